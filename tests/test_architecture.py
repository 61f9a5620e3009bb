"""The house's rules that a machine can check: which way imports point, no traces of one machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("engine", "renderer", "stream", "trainer")
MAY_IMPORT = {
    "engine": {"engine"},
    "renderer": {"engine", "renderer"},
    "stream": {"engine", "renderer", "stream"},
    "trainer": {"engine", "renderer", "trainer"},
}


def imported_rooms(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            names.add((node.module or "").split(".")[0])
    return names & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_one_way(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"no modules in {room}"
    wrong = {
        str(f.relative_to(ROOT)): sorted(bad)
        for f in files
        if (bad := imported_rooms(f.read_text(encoding="utf-8")) - MAY_IMPORT[room])
    }
    assert not wrong, f"{room} may import only {sorted(MAY_IMPORT[room])}"


def test_a_wrong_arrow_would_be_seen():
    assert imported_rooms("def f():\n    from stream.wire import encode") == {"stream"}


def test_the_licensed_body_loader_is_imported_only_where_it_is_used():
    users = [
        str(f.relative_to(ROOT))
        for room in ROOMS
        for f in (ROOT / room).rglob("*.py")
        if re.search(r"^\s*(import smplx|from smplx)", f.read_text(encoding="utf-8"), re.M)
    ]
    assert users in ([], ["renderer/avatar/licensed.py"])


def test_no_path_of_a_developers_machine_is_committed():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    pattern = "|".join(["/" + "work/", "/" + "root/", "pypi" + "-more"])
    found = subprocess.run(
        ["git", "grep", "-nE", pattern, "--", ".", ":!*.lock"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout == ""
