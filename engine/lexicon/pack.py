"""The default alphabets, retargeted beforehand: ships with us, so a fresh machine signs at once.

Enters: `assets/alphabets.motion`. Leaves: `Motion` by content key. Does not know lexicons.
Made by `python -m engine.lexicon.packing`. A key names the recording's content and the method; when
either has changed the key is not found, and the clip is retargeted live.
"""

from __future__ import annotations

import logging
import threading
import zipfile
from pathlib import Path

from engine.lexicon.codec import unsqueeze
from engine.signals import Motion

log = logging.getLogger(__name__)

ASSET = Path(__file__).parent / "assets" / "alphabets.motion"


class Pack:
    """A zip with one squeezed motion a key, opened when first asked. Missing or unreadable: empty, with a
    warning.
    """

    def __init__(self, path: Path = ASSET) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._zip: zipfile.ZipFile | None = None
        self._keys: frozenset[str] | None = None

    def keys(self) -> frozenset[str]:
        with self._lock:
            if self._keys is None:
                self._keys = self._open()
            return self._keys

    def _open(self) -> frozenset[str]:
        try:
            self._zip = zipfile.ZipFile(self.path)
            return frozenset(self._zip.namelist())
        except (OSError, zipfile.BadZipFile) as error:
            log.warning(
                "lexicon: no packed alphabets at %s (%s); letters are retargeted when first signed, about "
                "half a second each. `python -m engine.lexicon.packing` makes the pack",
                self.path,
                error,
            )
            return frozenset()

    def load(self, key: str) -> Motion | None:
        if key not in self.keys():
            return None
        try:
            with self._lock:
                if self._zip is None:
                    return None
                data = self._zip.read(key)
            return unsqueeze(data)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            log.warning("lexicon: %s in %s is damaged (%s); retargeting it instead", key, self.path, error)
            return None

    def close(self) -> None:
        with self._lock:
            if self._zip is not None:
                self._zip.close()
                self._zip = None
