#!/usr/bin/env python3
"""Prints the shell script that LAVA makes of the inline steps of a job definition.

    lava.py JOB [NAME=VALUE]...

The values replace parameters. Steps that install packages are left out.
"""

import shlex
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as job:
    actions = yaml.safe_load(job)["actions"]
(test,) = [action["test"] for action in actions if "test" in action]
(definition,) = test["definitions"]
repository = definition["repository"]
parameters = dict(repository["params"])
for word in sys.argv[2:]:
    name, value = word.split("=", 1)
    assert name in parameters, f"the job has no parameter {name}"
    parameters[name] = value
print("#!/bin/sh\nset -e")
for name, value in parameters.items():
    print(f"{name}={shlex.quote(value)}")
for step in repository["run"]["steps"]:
    if not step.startswith("apt-get "):
        print(step)
