"""One opened lexicon folder: its signs and its alphabets, ready to be looked up.

Enters: a folder in the `index.csv` + `.pose` layout. Leaves: `Shelf`. Does not know motion or other
lexicons.

A language of a folder is an alphabet when nearly all its words are one character, or few of them: its
entries are letters then, and spell words. Otherwise they are signs, even one for the word "I".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.lexicon.index import Entry, Problem, read_index
from engine.lexicon.languages import LANGUAGES
from engine.lexicon.letters import fold, straight

_LETTER_CHARACTERS = 4
_ALPHABET_SHARE = 0.8
_ALPHABET_SINGLE = 0.5
_SPACES = re.compile(r"[\s_\-‐-―]+")
_ARTIFACTS = re.compile(r"\+|--|-ix$")
SAMPLE = 24
"""How many recordings of one source are pooled to measure it: the first in the index, so that adding at
the end changes nothing once there are this many."""


def sign_key(word: str, spoken: str) -> str:
    """The form in which words are compared: composed, lower case, parts (space, hyphen, underscore) apart.

    ß is ss: STRASSE is how capitals write Straße, and Strasse how Switzerland does.
    """
    return _SPACES.sub(" ", straight(fold(word, spoken)).replace("ß", "ss")).strip()


@dataclass(frozen=True, eq=False)
class Shelf:
    """A folder's contents. signs: language -> word -> entries, best first. alphabets: language -> letter
    -> clip.
    """

    name: str
    folder: Path
    entries: dict[str, Entry]
    signs: dict[str, dict[str, list[Entry]]]
    alphabets: dict[str, dict[str, str]]
    problems: tuple[Problem, ...] = ()
    samples: dict[Path, tuple[Path, ...]] = field(default_factory=dict)

    def source_of(self, entry: Entry) -> tuple[Path, ...]:
        """Recordings of the same source (the same folder), to be measured together."""
        return self.samples[entry.path.parent]


def open_shelf(folder: Path, name: str | None = None) -> Shelf:
    """Read a lexicon folder. Raises ValueError when nothing in it can be used; lesser trouble is in
    `problems`.
    """
    folder = Path(folder)
    if name is None:
        name = f"{folder.name}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:6]}"
    entries, problems = read_index(folder, name)
    by_language: dict[str, list[Entry]] = defaultdict(list)
    samples: dict[Path, dict[Path, None]] = defaultdict(dict)
    for entry in entries:
        by_language[entry.language].append(entry)
        if len(samples[entry.path.parent]) < SAMPLE:
            samples[entry.path.parent][entry.path] = None
    known: dict[str, Entry] = {}
    signs: dict[str, dict[str, list[Entry]]] = {}
    alphabets: dict[str, dict[str, str]] = {}
    for language, own in by_language.items():
        letters = _is_alphabet(own)
        own = [replace(entry, letter=letters) for entry in own]
        known.update({entry.clip: entry for entry in own})
        own.sort(key=lambda entry: (_foreign(entry), entry.priority, entry.line))
        if letters:
            alphabets[language] = _letters(own)
        else:
            signs[language] = _signs(own)
    return Shelf(
        name,
        folder,
        known,
        signs,
        alphabets,
        tuple(problems),
        {parent: tuple(paths) for parent, paths in samples.items()},
    )


def _is_alphabet(entries: Sequence[Entry]) -> bool:
    sizes = [len(unicodedata.normalize("NFC", word)) for entry in entries for word in entry.words]
    short = sum(size <= _LETTER_CHARACTERS for size in sizes)
    single = sum(size == 1 for size in sizes)
    return short >= _ALPHABET_SHARE * len(sizes) and single >= _ALPHABET_SINGLE * len(sizes)


def _foreign(entry: Entry) -> bool:
    info = LANGUAGES.get(entry.language)
    return info is not None and info.spoken != entry.spoken


def _letters(entries: Sequence[Entry]) -> dict[str, str]:
    letters: dict[str, str] = {}
    for entry in entries:
        for word in entry.words:
            letters.setdefault(fold(word, entry.spoken), entry.clip)
    return letters


def _signs(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    signs: dict[str, list[Entry]] = defaultdict(list)
    for term_of in (_words, _glosses):  # words are looked up before glosses
        for entry in entries:
            for term in term_of(entry):
                here = signs[sign_key(term, entry.spoken)]
                if entry not in here:
                    here.append(entry)
    signs.pop("", None)
    return dict(signs)


def _words(entry: Entry) -> tuple[str, ...]:
    return entry.words


def _glosses(entry: Entry) -> tuple[str, ...]:
    """A gloss as written, and without the marks glossers add: REZEPT+, HAUS--, BERG-IX."""
    return entry.gloss, _ARTIFACTS.sub("", entry.gloss.lower())
