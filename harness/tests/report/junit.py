"""Prints the totals of each suite of a JUnit report on standard input, as junitparser has them."""

import json
import sys

import junitparser

report = junitparser.JUnitXml.fromstring(sys.stdin.buffer.read())
suites = []
for suite in report:
    said = [suite.tests, suite.failures, suite.errors, suite.skipped]
    suite.update_statistics()
    counted = [suite.tests, suite.failures, suite.errors, suite.skipped]
    suites.append({"name": suite.name, "said": said, "counted": counted})
json.dump(suites, sys.stdout)
