#!/usr/bin/env python3
"""A pull-lab for KernelCI: runs perfsec on the kernels of the jobs that are scheduled to it.

It polls KernelCI's API for jobs of the runtime LAB, downloads each job's kernel, runs gate.sh on
it, and submits the results with `kci-dev submit build --from-json`, which takes its credentials
from KCIDB_REST. The tests belong to the build that KernelCI has submitted itself. The lab needs no
access from outside.

    PERFSEC, CELLS, KNOWN    as for gate.sh
    KCI_DEV                  kci-dev [kci-dev]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

GATE = pathlib.Path(__file__).resolve().with_name("gate.sh")
# KernelCI's own results have this origin in KCIDB.
KERNELCI = "maestro"


def options():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", metavar="LAB", help="the runtime that KernelCI's pipeline names")
    parser.add_argument("--api", required=True, metavar="URL", help="the API, up to `/latest`")
    parser.add_argument("--origin", default="perfsec", help="your name in KCIDB [perfsec]")
    parser.add_argument("--logs", metavar="URL", help="where the result directory is published")
    parser.add_argument("--results", default="results", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--once", action="store_true", help="do not wait for more jobs")
    parser.add_argument("--dry-run", action="store_true", help="print results, submit nothing")
    return parser.parse_args()


def fetch(url):
    """Returns what a URL answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def jobs(api, lab, since):
    """Returns (time, node, URL of the job definition) for each job of the lab after a time."""
    query = {"state": "done", "kind": "job", "limit": 1000, "recursive": "true", "from": since}
    events = json.loads(fetch(f"{api}/events?{urllib.parse.urlencode(query)}"))
    found = []
    for event in events:
        node = event.get("node") or {}
        job = (node.get("artifacts") or {}).get("job_definition")
        runtime = event.get("data", {}).get("data", {}).get("runtime")
        if job and runtime == lab:
            found.append((event["timestamp"], node, job))
    return found, events[-1]["timestamp"] if events else since


def attach(report, build, logs):
    """Moves the tests of perfsec's submission to a build that somebody else has submitted."""
    for test in report.get("tests", []):
        test["build_id"] = build
        if logs:
            test["log_url"] = logs
    # kci-dev wants one of these keys; the checkout and the build are there already.
    return report | {"checkouts": [], "builds": []}


def run(node, job, wanted):
    """Runs perfsec on a job's kernel and submits what it found."""
    definition = json.loads(fetch(job))
    arch = definition.get("environment", {}).get("arch", "x86_64")
    url = definition.get("artifacts", {}).get("kernel")
    if arch != "x86_64" or not url:
        print(f"{node['id']}: skipped: no kernel for x86-64", file=sys.stderr)
        return
    room = wanted.results / node["id"]
    room.mkdir(parents=True, exist_ok=True)
    kernel = room / (pathlib.PurePosixPath(urllib.parse.urlparse(url).path).name or "kernel")
    kernel.write_bytes(fetch(url))
    code = subprocess.run([GATE, kernel], env=os.environ | {"RESULTS": str(room)}).returncode
    record = room / "run.jsonl"
    print(f"{node['id']}: gate.sh ended with {code}", file=sys.stderr)
    if not record.exists():
        return
    perfsec = os.environ.get("PERFSEC", "perfsec")
    command = [perfsec, "report", record, "--format", "kcidb", "--origin", wanted.origin]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    logs = f"{wanted.logs.rstrip('/')}/{node['id']}/report.html" if wanted.logs else None
    submission = room / "kcidb.json"
    build = f"{KERNELCI}:{node['parent']}"
    submission.write_text(json.dumps(attach(report, build, logs), indent=2))
    command = [os.environ.get("KCI_DEV", "kci-dev"), "submit", "build", "--from-json", submission]
    subprocess.run(command + (["--dry-run"] if wanted.dry_run else []), check=True)


def main():
    wanted = options()
    wanted.results.mkdir(parents=True, exist_ok=True)
    # The last event that was seen, so that a restart repeats no job.
    mark = wanted.results / "since"
    since = mark.read_text() if mark.exists() else "1970-01-01T00:00:00.000000"
    while True:
        try:
            found, newest = jobs(wanted.api, wanted.lab, since)
            for moment, node, job in found:
                run(node, job, wanted)
                mark.write_text(moment)
            mark.write_text(newest)
            waiting = newest == since
            since = newest
        except (urllib.error.URLError, subprocess.CalledProcessError) as error:
            print(f"kernelci.py: {error}", file=sys.stderr)
            if wanted.once:
                return 1
            waiting = True
        if wanted.once and waiting:
            return 0
        if waiting:
            time.sleep(30)


if __name__ == "__main__":
    sys.exit(main())
