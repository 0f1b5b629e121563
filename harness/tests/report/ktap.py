"""Prints the results that the kernel's own parser finds in a KTAP report on standard input.

usage: ktap.py TREE/tools/testing/kunit
"""

import inspect
import io
import json
import sys

sys.path.insert(0, sys.argv[1])
import kunit_parser  # noqa: E402
import kunit_printer  # noqa: E402


def leaves(test, above):
    names = above + [test.name]
    if not test.subtests:
        return [names]
    return [leaf for subtest in test.subtests for leaf in leaves(subtest, names)]


# Opened as `kunit.py parse` opens a file.
report = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="backslashreplace")
arguments = [report.readlines()]
# Since 6.15 the parser has a parameter for its output.
if len(inspect.signature(kunit_parser.parse_run_tests).parameters) > 1:
    arguments.append(kunit_printer.stdout)
kunit_printer.stdout._output = io.StringIO()
test = kunit_parser.parse_run_tests(*arguments)
keys = ("passed", "failed", "crashed", "skipped", "errors")
counts = {key: getattr(test.counts, key) for key in keys}
names = [leaf for subtest in test.subtests for leaf in leaves(subtest, [])]
json.dump({"counts": counts, "names": names}, sys.stdout)
