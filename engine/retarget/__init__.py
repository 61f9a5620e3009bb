"""Retargeting: recordings of landmarks (`.pose`) become motion.

    recordings = [read_pose(path) for path in paths]      # of one source: one signer, one camera, one export
    source = measure_source(recordings)                   # once per source; `as_json` for cache keys
    motion = retarget(recordings[0], source=source)       # and letter="A" if it is that ASL letter

Enters: paths of `.pose` files. Leaves: `engine.signals.Motion`. Does not know lexicons.
`METHOD` goes into cache keys, beside the file's content and its source.
"""

from engine.retarget.alpha import estimate_alpha
from engine.retarget.clip import LETTER_LANGUAGES, METHOD, retarget
from engine.retarget.lifting import LiftingConfig
from engine.retarget.recording import Recording, read_pose
from engine.retarget.source import Source, measure_source

__all__ = [
    "LETTER_LANGUAGES",
    "METHOD",
    "LiftingConfig",
    "Recording",
    "Source",
    "estimate_alpha",
    "measure_source",
    "read_pose",
    "retarget",
]
