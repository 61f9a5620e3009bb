"""Sentence pairs of any language from a table: language, text, glosses, parted by tabs.

Enters: a .tsv file, or a PHOENIX folder given as `LANGUAGE=FOLDER`. Leaves: `Pair`s.
Does not know tensors.
"""

from __future__ import annotations

from pathlib import Path

from engine.glossing.slul_model import spoken_language
from engine.glossing.slul_text import read_text
from trainer.data.phoenix import Pair, read_pairs


def read_table(path: Path) -> list[Pair]:
    """Pairs of a table with one `language<TAB>text<TAB>glosses` a line; glosses are parted by blanks.

    Raises ValueError naming the line that is not of this form.
    """
    pairs = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 3:
            raise ValueError(f"{path}:{number}: got {len(cells)} cells, expected language, text and glosses")
        language, text, glosses = cells
        words = tuple(w.text for part in read_text(text, spoken_language(language)) for w in part)
        pairs.append(Pair(words, tuple(glosses.split()), language))
    return pairs


def read_corpus(path: Path, split: str) -> list[Pair]:
    """One split of a corpus: a PHOENIX folder, or a folder with `train.tsv`, `dev.tsv`."""
    table = path / f"{split}.tsv"
    return read_table(table) if table.exists() else read_pairs(path, split)
