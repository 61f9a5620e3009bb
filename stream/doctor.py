"""`handstream doctor`: what is present, what is missing, and what follows from it.

Enters: nothing but the machine. Leaves: a table (or JSON), and exit code 0 when the server can run, else 1.
Every check is independent, so one broken part never hides another.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

GL_TIMEOUT_S = 60
LOW_DISK_MB = 200
_MODELS = {
    "cogeneration": "--choreography cogeneration",
    "corrector": "correction of generated motion",
    "video": "--renderer diffusion without a model of one's own",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. needed: nothing can be served without it. follows: what its state means."""

    what: str
    ok: bool
    detail: str
    follows: str = ""
    needed: bool = False


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_python() -> Finding:
    ok = sys.version_info >= (3, 11)
    follows = "" if ok else "install Python 3.11 or newer and run make again"
    return Finding("Python", ok, sys.version.split()[0], follows, needed=True)


def check_packages() -> Finding:
    names = (
        "torch",
        "numpy",
        "aiortc",
        "av",
        "moderngl",
        "aiohttp",
        "msgpack",
        "pose-format",
        "spoken-to-signed",
    )
    missing = [n for n in names if _package(n) is None]
    detail = ", ".join(f"{n} {_package(n)}" for n in names if n not in missing)
    follows = f"missing: {', '.join(missing)}; run make serve, or pip install -e ." if missing else ""
    return Finding("packages", not missing, detail, follows, needed=True)


def check_gl() -> Finding:
    """Open a context in a child process: a broken driver may kill the process that tries."""
    code = (
        "import moderngl; c = moderngl.create_context(standalone=True, backend='egl'); "
        "print(c.info['GL_RENDERER'], '/ OpenGL', c.version_code)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=GL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Finding(
            "OpenGL", False, f"no answer in {GL_TIMEOUT_S} s", "the driver hangs: no avatar", needed=True
        )
    if done.returncode == 0:
        return Finding("OpenGL", True, done.stdout.strip(), needed=True)
    error = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return Finding(
        "OpenGL",
        False,
        error,
        "no avatar: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgl1 (software is enough)",
        needed=True,
    )


def check_codecs() -> Finding:
    from av.codec import codecs_available

    wanted = {"libx264": "H.264", "libvpx": "VP8", "libvpx-vp9": "transparent .webm"}
    missing = {name: use for name, use in wanted.items() if name not in codecs_available}
    follows = "; ".join(f"no {use}" for use in missing.values())
    return Finding(
        "codecs", not missing, ", ".join(n for n in wanted if n not in missing), follows, needed=True
    )


def check_gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name(0))
    return Finding(
        "GPU", False, "none", "the avatar is drawn on the CPU, which suffices; training models is slower"
    )


def check_lexicons() -> Finding:
    from engine.lexicon import Lexicon
    from engine.lexicon.packing import missing

    try:
        lexicon = Lexicon.default()
    except (ValueError, OSError) as error:
        return Finding("lexicons", False, str(error), "reinstall spoken-to-signed", needed=True)
    try:
        languages = lexicon.languages()
    finally:
        lexicon.close()
    stale = missing()
    detail = f"default alphabets in {len(languages)} signed languages"
    follows = f"{stale} letters are not packed; they are retargeted when first used" if stale else ""
    return Finding("lexicons", True, detail, follows, needed=True)


def check_models() -> Finding:
    """The shipped models; without them signs still come from recordings and words from rules."""
    import engine
    from engine.checkpoint import open_checkpoint
    from renderer.diffusion import SHIPPED

    folder = Path(engine.__file__).parent / "models"
    present, troubles = [], []
    for name, use in _MODELS.items():
        try:
            open_checkpoint(SHIPPED if name == "video" else folder / name)
        except ValueError as error:
            troubles.append(f"no {use} ({error})")
        else:
            present.append(name)
    detail = ", ".join(present) or "none"
    follows = "; ".join(troubles) + "; recordings are signed, as without a model" if troubles else ""
    return Finding("models", not troubles, detail, follows)


def check_cache() -> Finding:
    from engine.lexicon.cache import cache_folder

    folder = cache_folder()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free_mb = shutil.disk_usage(existing).free // 2**20
    if not os.access(existing, os.W_OK):
        return Finding(
            "cache", False, f"{folder} is not writable", "recordings are retargeted again at every start"
        )
    if free_mb < LOW_DISK_MB:
        return Finding(
            "cache",
            False,
            f"{folder}: {free_mb} MB free",
            "recordings are retargeted again at every start: free disk space, or set HANDSTREAM_CACHE",
        )
    return Finding("cache", True, f"{folder} ({free_mb} MB free)")


def check_extra(extra: str, module: str, follows: str) -> Finding:
    present = find_spec(module) is not None
    detail = f"{module} {_package(module.replace('_', '-')) or ''}".strip() if present else "not installed"
    return Finding(f"extra {extra}", present, detail, "" if present else follows)


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_packages,
    check_gl,
    check_codecs,
    check_gpu,
    check_lexicons,
    check_models,
    check_cache,
    lambda: check_extra("uvloop", "uvloop", "asyncio's own loop is used; it works, uvloop was asked for"),
    lambda: check_extra(
        "vision", "mediapipe", "videos cannot be added to a lexicon: pip install -e '.[vision]'"
    ),
    lambda: check_extra(
        "smplx", "smplx", "a licensed SMPL-X body cannot be drawn: pip install -e '.[smplx]'"
    ),
    lambda: check_extra(
        "tensorrt", "torch_tensorrt", "only useful with an NVIDIA GPU: pip install -e '.[tensorrt]'"
    ),
)


def examine() -> list[Finding]:
    """Run every check; a check that breaks becomes a finding itself."""
    findings = []
    for check in CHECKS:
        try:
            findings.append(check())
        except Exception as error:  # a doctor that dies helps nobody
            findings.append(
                Finding(getattr(check, "__name__", "check"), False, repr(error), "report this", needed=True)
            )
    return findings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(args: argparse.Namespace) -> int:
    findings = examine()
    if args.json:
        print(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        for f in findings:
            mark = "ok     " if f.ok else ("MISSING" if f.needed else "absent ")
            print(f"{mark}  {f.what:16} {f.detail}")
            if f.follows:
                print(f"{'':9}{'':16} -> {f.follows}")
    broken = [f.what for f in findings if f.needed and not f.ok]
    if not args.json:
        print(f"cannot serve: {', '.join(broken)}" if broken else "ready to serve: handstream serve")
    return 1 if broken else 0
