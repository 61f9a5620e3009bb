"""PHOENIX-2014T text files: sentence pairs, and rules for the training glosses.

Enters: a folder with `*.train.de`, `*.train.gloss`, `*.dev.de`, `*.dev.gloss` (one sentence a line).
Leaves: pairs of word lists. Does not know tensors. References are read as they are, never changed.

The training glosses are raw annotation; dev and test follow the corpus's evaluation convention (RWTH Aachen's
clean-up for scoring). `normalise_glosses` re-implements that convention from its description, rule by rule:

1. `__ON__`, `__OFF__`, `__PU__`, `__HOLD__`, `__LEFTHAND__`, `__EMP__`, `__??...__`: marks, dropped.
2. `loc-X`, `cl-X` -> `X`: location and classifier marks are not scored.
3. `X-PLUSPLUS` -> `X`: repetition of a sign is not scored.
4. `NORDWESTRAUM` -> `NORDWEST`: `-RAUM` is dropped after a point of the compass.
5. `WIE AUSSEHEN` -> `WIE-AUSSEHEN`; `ZEIGEN` -> `ZEIGEN-BILDSCHIRM`: one sign, two spellings.
6. `S H` -> `S+H`: neighbouring spelled letters (`SCH` and `NN` count as letters) are one spelled gloss.
7. Adjacent repeats are one gloss.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.glossing.slul_text import read_text

_MARK = re.compile(r"^__.*__$")
_PREFIX = re.compile(r"^(neg-|negalp-|)(?:loc-|cl-)")
_COMPASS = re.compile(r"^((?:NORD|SUED)?(?:OST|WEST)?)RAUM$")
_LETTER = re.compile(r"^(?:[A-Z]|SCH|NN)$")


@dataclass(frozen=True, slots=True)
class Pair:
    """One sentence: words of the text, its glosses, and the signed language (ISO 639-3)."""

    words: tuple[str, ...]
    glosses: tuple[str, ...]
    language: str = "gsg"


def normalise_glosses(line: str) -> list[str]:
    """Glosses of one training line by the rules above. For training only."""
    kept: list[str] = []
    spelling = False  # whether the gloss before this one was a spelled letter
    for raw in line.split():
        if _MARK.match(raw):
            continue
        gloss = _PREFIX.sub(r"\1", raw).removesuffix("-PLUSPLUS")
        compass = _COMPASS.match(gloss)
        if compass and compass[1]:
            gloss = compass[1]
        if gloss == "ZEIGEN":
            gloss = "ZEIGEN-BILDSCHIRM"
        letter = bool(_LETTER.match(gloss))
        if letter and spelling:
            kept[-1] += "+" + gloss
        elif gloss == "AUSSEHEN" and kept and kept[-1] == "WIE":
            kept[-1] = "WIE-AUSSEHEN"
        elif gloss and (not kept or kept[-1] != gloss):
            kept.append(gloss)
        spelling = letter
    merged = [g for at, g in enumerate(kept) if at == 0 or kept[at - 1] != g]
    return merged


def read_pairs(
    folder: Path, split: str, language: str = "gsg", *, normalise: bool | None = None
) -> list[Pair]:
    """Pairs of one split (`train`, `dev`, `test`). Glosses are normalised for `train` only, unless told.

    Raises ValueError where files are absent or their line counts differ.
    """
    texts, glosses = sorted(folder.glob(f"*.{split}.de")), sorted(folder.glob(f"*.{split}.gloss"))
    if len(texts) != 1 or len(glosses) != 1:
        raise ValueError(
            f"{folder}: expected one *.{split}.de and one *.{split}.gloss, got "
            f"{len(texts)} and {len(glosses)}; give the folder that holds the corpus's text files"
        )
    left, right = (p.read_text("utf-8").splitlines() for p in (texts[0], glosses[0]))
    if len(left) != len(right):
        raise ValueError(
            f"{folder}: {len(left)} sentences but {len(right)} gloss lines in {split}; they must pair up"
        )
    if normalise is None:
        normalise = split == "train"
    return [
        Pair(
            tuple(w.text for part in read_text(text, "de") for w in part),
            tuple(normalise_glosses(line) if normalise else line.split()),
            language,
        )
        for text, line in zip(left, right, strict=True)
    ]
