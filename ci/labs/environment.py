#!/usr/bin/env python3
"""Checks an environment of labgrid without its machine: labgrid must know each driver, and each of
its attributes.

    environment.py ENVIRONMENT
"""

import sys

# Its drivers register themselves.
import labgrid.driver
import labgrid.resource
from labgrid.config import Config
from labgrid.factory import target_factory

for name, target in Config(sys.argv[1]).get_targets().items():
    for kind, known in [
        ("drivers", target_factory.drivers),
        ("resources", target_factory.resources),
    ]:
        for item, attributes in target.get(kind, {}).items():
            given = set(attributes) - {"name"}
            unknown = given - {field.name for field in known[item].__attrs_attrs__}
            assert not unknown, f"{item} has no {unknown}"
            print(f"{name}: {item}")
