"""Every test that docs/security.md and docs/tested-with.md name exists; what cures a threat is run."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_each_threat_names_a_test():
    rows = [
        row for row in PAGE.split("## Threats")[1].split("## What is not")[0].splitlines() if row[:1] == "|"
    ]
    threats = rows[2:]
    assert len(threats) >= 20
    for row in threats:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row), row


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_named_tests_are_collected(file):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    collected = set(re.findall(r"::(\w+)", done.stdout))
    for name in [name for named_in, name in NAMED if named_in == file]:
        assert name in collected, f"{file}: {name} is not there\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def test_each_input_and_output_names_a_test():
    page = (ROOT / "docs" / "tested-with.md").read_text()
    rows = [row for row in page.splitlines() if row[:2] == "| " and not row.startswith("| what ")]
    assert len(rows) >= 25
    for row in rows:
        ((file, name),) = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        written = ast.walk(ast.parse((ROOT / file).read_text()))
        functions = {f.name for f in written if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{file}: there is no {name}"
