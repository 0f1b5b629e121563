"""Tests the kernel that a machine of labgrid runs: who may use perf on it, and what it logs.

    pytest --lg-env qemu.yaml
    pytest --lg-env board.yaml

perfsec changes the machine for its cells, and puts it back: `perfsec help machines` says what.

    PERFSEC    the static program, sent to a machine that has an SSHDriver  [it has perfsec]
    CELLS      the cells to run: globs, separated by spaces                 [all]
    RESULTS    the directory for the results                                [perfsec-results]
"""

import os
import pathlib

import pytest

# The whole suite takes minutes, and an emulated machine is slow.
LIMIT = 3600


@pytest.fixture
def shell(target):
    """A shell of root on the machine, after a reset."""
    # First, so that the console has everything that the kernel prints.
    target.get_driver("ConsoleProtocol", name="console")
    target.get_driver("PowerProtocol").cycle()
    return target.get_driver("ShellDriver")


@pytest.fixture
def folder(shell):
    """A directory on the machine."""
    (path,) = shell.run_check("mktemp -d")
    yield path
    shell.run_check(f"rm -rf {path}")


@pytest.fixture
def perfsec(target, folder):
    """perfsec's path on the machine."""
    program = os.environ.get("PERFSEC")
    if program is None:
        return "perfsec"
    target.get_driver("SSHDriver").put(program, f"{folder}/perfsec")
    return f"{folder}/perfsec"


def test_every_cell_behaves_as_expected(shell, folder, perfsec):
    cells = os.environ.get("CELLS", "")
    # The shell must not expand the globs.
    command = f"set -f; {perfsec} run --machine here --format ktap {cells} 2>{folder}/said"
    ktap, _, code = shell.run(command, timeout=LIMIT)
    said = "\n".join(shell.run_check(f"cat {folder}/said"))
    results = pathlib.Path(os.environ.get("RESULTS", "perfsec-results"))
    results.mkdir(parents=True, exist_ok=True)
    (results / "run.ktap").write_text("\n".join(ktap) + "\n", encoding="utf-8")
    lines = [line.strip() for line in ktap]
    print("\n".join([*(line for line in lines if line.startswith("not ok")), said]))
    # perfsec's exit code says if it failed or could not decide; its last line, why.
    assert code == 0, f"perfsec: exit code {code}"
    assert any(line.startswith("ok") and "# SKIP" not in line for line in lines), said
