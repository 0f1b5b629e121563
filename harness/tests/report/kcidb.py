"""Validates a submission on standard input with kcidb-io's newest schema; counts its objects."""

import json
import sys

import kcidb_io

submission = json.load(sys.stdin)
schema = kcidb_io.schema.LATEST
schema.validate_exactly(submission)
# A schema cannot check these: ids are unique, and every link has a target.
ids = {kind: [thing["id"] for thing in submission[kind]] for kind in schema.id_fields}
assert all(len(set(of_kind)) == len(of_kind) for of_kind in ids.values()), "an id occurs twice"
assert all(build["checkout_id"] in ids["checkouts"] for build in submission["builds"])
assert all(test["build_id"] in ids["builds"] for test in submission["tests"])
for incident in submission["incidents"]:
    assert incident["issue_id"] in ids["issues"] and incident["test_id"] in ids["tests"]
json.dump({kind: len(of_kind) for kind, of_kind in ids.items()}, sys.stdout)
