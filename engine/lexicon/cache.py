"""The cache on disk: one small file a clip, written whole or not at all.

Enters: a key and bytes. Leaves: the same bytes, later, in this process or another. Does not know motion.

A file appears by `os.replace` from a temporary one beside it, so two processes may write the same key and a
reader never sees half of it. A disk that is full or read-only is said once, and done without.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

SUFFIX = ".motion"
MAX_FILES = 20_000
"""About 1 GB. Beyond it the least recently used go."""
_STALE_S = 3600.0


def cache_folder() -> Path:
    """HANDSTREAM_CACHE, else handstream under XDG_CACHE_HOME, else ~/.cache/handstream."""
    chosen = os.environ.get("HANDSTREAM_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache") / "handstream"
    except RuntimeError:  # no home: a service account
        return Path(tempfile.gettempdir()) / "handstream"


class DiskCache:
    """Bytes by key under a folder. Never raises: what cannot be read is absent, what cannot be written is
    said.
    """

    def __init__(self, folder: Path | None = None, max_files: int = MAX_FILES) -> None:
        self.folder = (folder or cache_folder()) / "motions"
        self.max_files = max_files
        self._silenced = False
        self._counted = False

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def load(self, key: str) -> bytes | None:
        path = self.path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # its turn to go comes later
        return data

    def save(self, key: str, data: bytes) -> bool:
        path = self.path(key)
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room()
            handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
            return True
        except OSError as error:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            if not self._silenced:
                self._silenced = True
                log.warning(
                    "cache: cannot write %s (%s); motion is kept in memory only and retargeted again at "
                    "every start. Free some space, or set HANDSTREAM_CACHE to a folder that can be written.",
                    path.parent, error.strerror or error,
                )  # fmt: skip
            return False

    def discard(self, key: str) -> None:
        with contextlib.suppress(OSError):
            self.path(key).unlink()

    def _make_room(self) -> None:
        """Once a process: forget the oldest files beyond `max_files`, and what crashed writers left
        behind.
        """
        if self._counted:
            return
        self._counted = True
        dated: list[tuple[float, Path]] = []
        for file in self.folder.glob("*/*"):
            with contextlib.suppress(OSError):
                dated.append((file.stat().st_mtime, file))
        newest = max((date for date, _ in dated), default=0.0)
        dated.sort(reverse=True)
        kept = [(date, file) for date, file in dated if file.suffix == SUFFIX]
        gone = [file for _, file in kept[self.max_files :]]
        gone += [file for date, file in dated if file.suffix == ".tmp" and newest - date > _STALE_S]
        for file in gone:
            with contextlib.suppress(OSError):
                file.unlink()
