"""The multimodal motion lexicon: words and letters to clips, clips to motion.

Enters: words, characters, clip keys. Leaves: clip keys, `Entry`, `Motion`. Does not know sentences.

A lexicon is one or more opened folders ("shelves"); the first that knows a word wins, a language's backup
comes after the language itself on every shelf, and alphabets spell what no shelf has a sign for.
"""

from __future__ import annotations

import functools
import importlib.resources
import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.lexicon.index import Entry, Problem
from engine.lexicon.languages import backup_chain, language_info
from engine.lexicon.letters import Spelled, fold, spell
from engine.lexicon.motions import MotionStore
from engine.lexicon.pack import Pack
from engine.lexicon.shelf import Shelf, open_shelf, sign_key
from engine.retarget import read_pose
from engine.signals import Motion

log = logging.getLogger(__name__)

ALPHABETS = "alphabets"
_REMEMBERED_WORDS = 4096


class Lexicon:
    """See `open`, `default` and `stack`. Thread-safe. `close` ends what `warm` began."""

    def __init__(self, shelves: Sequence[Shelf], motions: MotionStore | None = None) -> None:
        self.shelves = tuple(shelves)
        packed = any(shelf.name == ALPHABETS for shelf in shelves)
        self._motions = motions or MotionStore(pack=Pack() if packed else None)
        self._entries = {clip: entry for shelf in shelves for clip, entry in shelf.entries.items()}
        self._shelf_of = {clip: shelf for shelf in shelves for clip in shelf.entries}
        self._sound: set[str] = set()
        self._broken: dict[str, str] = {}
        self._lock = threading.Lock()
        self._phrases: dict[str, frozenset[str]] = {}
        self._alphabets: dict[str, dict[str, str]] = {}
        self._spelled = functools.lru_cache(_REMEMBERED_WORDS)(self._spell)
        self._languages = tuple(sorted({entry.language for entry in self._entries.values()}))
        self._spoken = {entry.language: entry.spoken for entry in self._entries.values() if entry.spoken}

    @classmethod
    def open(cls, path: Path, motions: MotionStore | None = None) -> Lexicon:
        """A folder with index.csv and .pose files. Raises ValueError when nothing in it is usable."""
        shelf = open_shelf(Path(path))
        for problem in shelf.problems[:10]:
            log.warning("lexicon %s: %s", path, problem)
        if len(shelf.problems) > 10:
            log.warning("lexicon %s: %d more; see `handstream lexicon check`", path, len(shelf.problems) - 10)
        return cls([shelf], motions)

    @classmethod
    def default(cls, motions: MotionStore | None = None) -> Lexicon:
        """The fingerspelling alphabets of the installed `spoken-to-signed` package."""
        return cls([open_shelf(default_folder(), ALPHABETS)], motions)

    @classmethod
    def stack(cls, lexicons: Sequence[Lexicon], motions: MotionStore | None = None) -> Lexicon:
        """Several as one; the first that knows a word wins. The parts are closed; use the whole."""
        if not lexicons:
            raise ValueError(
                "lexicon: got nothing to stack; expected at least one, such as Lexicon.default()"
            )
        for lexicon in lexicons:
            lexicon.close()
        return cls([shelf for lexicon in lexicons for shelf in lexicon.shelves], motions)

    def languages(self) -> tuple[str, ...]:
        """Codes of the signed languages there are recordings in."""
        return self._languages

    def knows(self, language: str) -> bool:
        """Whether a language, or one that backs it up, has recordings."""
        return not set(backup_chain(language)).isdisjoint(self.languages())

    def spoken(self, language: str) -> str:
        """The spoken language captions are in: as registered, else as the recordings' index says."""
        info = language_info(language)
        if info.spoken != "und":
            return info.spoken
        return self._spoken.get(language, "und")

    def sign(self, word: str, language: str) -> str | None:
        """Clip of a whole sign for a word or phrase, own language first, then its backup; None when there
        is none.
        """
        return self.sign_of((word,), language)

    def sign_of(self, forms: Sequence[str], language: str) -> str | None:
        """Like `sign` for a word that has several forms (as written, lemma): the first form that has a
        sign.
        """
        spoken = self.spoken(language)
        for code in backup_chain(language):
            for form in forms:
                key = sign_key(form, spoken)
                for shelf in self.shelves:
                    entries = shelf.signs.get(code, {}).get(key, [])
                    exact = [e for e in entries if form in e.words and e.priority == entries[0].priority]
                    if "ss" in key:  # Maße are no Masse, where a lexicon has both
                        written = fold(form, spoken)
                        exact += [e for e in entries if written in (fold(word, spoken) for word in e.words)]
                    for entry in (*exact, *entries):
                        if self.readable(entry.clip):
                            return entry.clip
        return None

    def has_signs(self, language: str) -> bool:
        """Whether there are whole signs at all, not only letters."""
        return any(shelf.signs.get(code) for code in backup_chain(language) for shelf in self.shelves)

    def phrases(self, language: str) -> frozenset[str]:
        """Keys (see `sign_key`) of signs for several words, and every beginning of them with a space
        behind.
        """
        with self._lock:
            if language not in self._phrases:
                keys = {
                    key
                    for code in backup_chain(language)
                    for shelf in self.shelves
                    for key in shelf.signs.get(code, {})
                    if " " in key
                }
                begun = {key[: i + 1] for key in keys for i, c in enumerate(key) if c == " "}
                self._phrases[language] = frozenset(keys | begun)
            return self._phrases[language]

    def alphabet(self, language: str) -> dict[str, str]:
        """Letter (lower case) -> clip: the first shelf's letters, completed by the next ones' and the
        backup's.
        """
        with self._lock:
            if language not in self._alphabets:
                letters: dict[str, str] = {}
                for code in backup_chain(language):
                    for shelf in self.shelves:
                        letters = shelf.alphabets.get(code, {}) | letters
                self._alphabets[language] = letters
            return self._alphabets[language]

    def letter(self, character: str, language: str) -> str | None:
        """Clip of one letter as it is; None when the alphabet lacks it (see `letters` for
        decompositions).
        """
        return self.alphabet(language).get(fold(character, self.spoken(language)))

    def letters(self, word: str, language: str) -> tuple[Spelled, ...]:
        """A word letter by letter: letters of several characters first, missing ones decomposed
        (`letters.py`).
        """
        return self._spelled(word, language)

    def _spell(self, word: str, language: str) -> tuple[Spelled, ...]:
        return tuple(spell(word, self.alphabet(language), self.spoken(language)))

    def entry(self, clip: str) -> Entry:
        """Raises ValueError for a key that is not from this lexicon."""
        try:
            return self._entries[clip]
        except KeyError:
            raise ValueError(
                f"lexicon: no clip {clip!r}; expected a key given by sign() or letter()"
            ) from None

    def readable(self, clip: str) -> bool:
        """Whether the recording can be read; tried once, so that a broken one is spelled instead of
        signed.
        """
        if clip in self._sound or clip.startswith(f"{ALPHABETS}:"):
            return True
        if clip in self._broken:
            return False
        entry = self.entry(clip)
        try:
            read_pose(entry.path, entry.start_ms, entry.end_ms or None)
        except ValueError as error:
            self._broken[clip] = str(error)
            log.warning("lexicon: %s is left out: %s", "/".join(entry.words), error)
            return False
        self._sound.add(clip)
        return True

    def motion(self, clip: str) -> Motion:
        """The clip's motion, made once. May take some 100 ms. Raises ValueError when its recording is
        unreadable.
        """
        entry = self.entry(clip)
        return self._motions.motion(entry, self._shelf_of[clip].source_of(entry))

    def ready(self, clip: str) -> bool:
        """Whether `motion` would answer at once."""
        return clip in self._motions.memory

    def warm(self, clips: Iterable[str]) -> None:
        """Make motions in the background; never blocks."""
        for clip in clips:
            entry = self.entry(clip)
            self._motions.warm(entry, self._shelf_of[clip].source_of(entry))

    @property
    def warming(self) -> bool:
        """Whether motions are still being made in the background."""
        return self._motions.warming

    def problems(self) -> list[tuple[Path, Problem]]:
        """What was found wrong when the folders were opened."""
        return [(shelf.folder, problem) for shelf in self.shelves for problem in shelf.problems]

    def close(self) -> None:
        self._motions.close()


def default_folder() -> Path:
    """Where the installed alphabets are. Raises ValueError, naming the remedy, when they are not."""
    try:
        folder = importlib.resources.files("spoken_to_signed") / "assets" / "fingerspelling_lexicon"
    except ModuleNotFoundError as error:
        raise ValueError(
            "lexicon: the package spoken-to-signed is missing; install it with `pip install spoken-to-signed`"
        ) from error
    return Path(str(folder))
