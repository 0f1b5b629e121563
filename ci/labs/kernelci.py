#!/usr/bin/env python3
"""Plays KernelCI for ci/templates/kernelci.py: serves one job with one kernel, and reads what the
lab submits with KCIDB's own schema.

    kernelci.py KERNEL COMMAND [ARGUMENT]...

`{api}` in an argument is the API's URL. Fails unless the command submits tests of the job's build,
and all of them passed.
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import kcidb_io

LAB = "perfsec"
TOKEN = "0123456789"


class KernelCi(http.server.BaseHTTPRequestHandler):
    """One event, the job that it names, the job's kernel, and KCIDB."""

    kernel = b""
    submissions = []

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        root = f"http://{self.headers['Host']}"
        job = {"artifacts": {"kernel": f"{root}/bzImage"}, "environment": {"arch": "x86_64"}}
        node = {"id": "2", "parent": "1", "artifacts": {"job_definition": f"{root}/job.json"}}
        mine = {"timestamp": "2026-01-01", "node": node, "data": {"data": {"runtime": LAB}}}
        other = mine | {"data": {"data": {"runtime": "another"}}}
        seen = "2026-01-01" in self.path
        path = self.path.split("?")[0]
        self.answer({
            "/latest/events": lambda: json.dumps([] if seen else [other, mine]).encode(),
            "/job.json": lambda: json.dumps(job).encode(),
            "/bzImage": lambda: self.kernel,
        }[path]())

    def do_POST(self):
        assert self.path == "/submit" and TOKEN in self.headers["Authorization"]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.submissions.append(json.loads(body))
        self.answer(b"{}")


def main():
    kernel, *command = sys.argv[1:]
    KernelCi.kernel = pathlib.Path(kernel).read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), KernelCi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    command = [word.format(api=f"http://{host}/latest") for word in command]
    environment = os.environ | {"KCIDB_REST": f"http://{TOKEN}@{host}/submit"}
    subprocess.run(command, check=True, env=environment)
    (submission,) = KernelCi.submissions
    kcidb_io.schema.LATEST.validate_exactly(submission)
    tests = submission["tests"]
    assert tests and all(test["build_id"] == "maestro:1" for test in tests), tests[:1]
    seen = {test["status"] for test in tests}
    assert seen <= {"PASS", "SKIP"}, seen
    print(f"{len(tests)} tests of maestro:1 were submitted")


if __name__ == "__main__":
    main()
