"""Validates the lines of standard input by the JSON Schema in the first line; counts them."""

import json
import sys

import jsonschema

schema, *documents = map(json.loads, sys.stdin.buffer.read().splitlines())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for document in documents:
    validator.validate(document)
json.dump(len(documents), sys.stdout)
