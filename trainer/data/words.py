"""What is spelled in training, and what never is: words and letter strings of a language.

Enters: a lexicon's alphabet, a seed. Leaves: training texts, and held-back words for evaluation.
Does not know motion.

Held back is decided by the letters of a word alone (`is_held_back`: a hash of its letter glosses falls into
one bucket of `BUCKETS`), so no list has to be kept: whatever the dictionary, the seed or the language, a word
of that bucket is never composed for training, and the words that models are measured on all come from it.
Words of fewer than `SHORTEST` letters are not held back: there are too few of them, and every pair of letters
must be learned. Real words are the lemmas of the installed `simplemma` package (MIT).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from engine.lexicon import Lexicon
from engine.lexicon.letters import raised

BUCKETS = 16
SHORTEST, LONGEST = 4, 10
HELD_BACK = 200
_LEAST_FORMS, _MOST = 3, 16000
"""Lemmas with fewer inflected forms tend to be oddities; of the others so many, in the order of their
hashes.
"""
_DICTIONARIES = {"hr": "hbs"}


def letter_glosses(lexicon: Lexicon, language: str, word: str) -> tuple[str, ...]:
    """Labels of a word's letters, as `Gloss.label`. Raises ValueError where the alphabet lacks one."""
    labels = []
    for letter in lexicon.letters(word, language):
        if letter.clip is None:
            alphabet = " ".join(sorted(lexicon.alphabet(language))) or "no letters"
            raise ValueError(
                f"{word!r}: the lexicon's {language} alphabet has no {word[letter.start : letter.end]!r}; "
                "it has "
                f"{alphabet}. Leave the word out or add the letter with `handstream lexicon add`"
            )
        entry = lexicon.entry(letter.clip)
        labels.append(raised(entry.words[0], entry.spoken))
    if not labels:
        raise ValueError(f"{word!r}: got nothing to spell, expected at least one letter")
    return tuple(labels)


def is_held_back(letters: Sequence[str]) -> bool:
    """Whether a word of these letter glosses is for evaluation only."""
    return len(letters) >= SHORTEST and _digest(letters)[0] % BUCKETS == 0


def _digest(letters: Sequence[str]) -> bytes:
    return hashlib.sha256(" ".join(letters).encode()).digest()


@lru_cache(maxsize=8)
def real_words(spoken: str) -> tuple[str, ...]:
    """Lemmas of a spoken language (ISO 639-1), lower case, 3 to 10 letters; none where `simplemma` does not
    know it.
    """
    from simplemma.strategies import DefaultDictionaryFactory

    try:
        forms = DefaultDictionaryFactory().get_dictionary(_DICTIONARIES.get(spoken, spoken))
    except ValueError:
        return ()
    counts = Counter(forms.values())
    words = {w.lower() for w, n in counts.items() if n >= _LEAST_FORMS and w.isalpha() and len(w) <= LONGEST}
    return tuple(sorted(sorted((w for w in words if len(w) >= 3), key=_digest)[:_MOST]))


@lru_cache(maxsize=8)
def _spellable(lexicon: Lexicon, language: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Real words that the alphabet can spell, with their letters."""
    found = []
    for word in real_words(lexicon.spoken(language)):
        with contextlib.suppress(ValueError):
            found.append((word, letter_glosses(lexicon, language, word)))
    return tuple(found)


def held_back_words(lexicon: Lexicon, language: str, count: int = HELD_BACK) -> tuple[str, ...]:
    """Words for evaluation: real ones first, in an order fixed by their hashes; then random letter
    strings.
    """
    letters = _alphabet(lexicon, language)
    chosen: dict[tuple[str, ...], str] = {}
    for word, labels in _spellable(lexicon, language):
        if is_held_back(labels) and len(labels) <= LONGEST:
            chosen.setdefault(labels, word)
    words = [chosen[labels] for labels in sorted(chosen, key=_digest)][:count]
    rng = random.Random(f"held back/{language}")
    while len(words) < count:
        word = "".join(rng.choices(letters, k=rng.randint(SHORTEST, 7)))
        if is_held_back(letter_glosses(lexicon, language, word)) and word not in words:
            words.append(word)
    return tuple(words)


def _alphabet(lexicon: Lexicon, language: str) -> list[str]:
    """Letters that spell as themselves, sorted (the Arabic article, say, does only at the beginning)."""
    letters = sorted(lexicon.alphabet(language))
    if not letters:
        raise ValueError(
            f"{language}: the lexicon has no alphabet to spell with; expected one of "
            f"{', '.join(lexicon.languages())}"
        )
    return letters


class Texts:
    """Training texts without end, the same for the same seed: real words and letter strings, one to a few a
    text.

    real_share: share of real words; most_words: at most so many a text. Letter strings walk along the pairs
    of letters seen least so far, so that after about |alphabet|^2 / 4 of them every pair, doubled letters
    too, has come.
    """

    def __init__(
        self, lexicon: Lexicon, language: str, seed: int = 0, real_share: float = 0.5, most_words: int = 3
    ) -> None:
        if not 0 <= real_share <= 1 or most_words < 1:
            raise ValueError(
                f"Texts: got real_share={real_share}, most_words={most_words}; expected 0..1 and at least 1"
            )
        self._lexicon, self._language = lexicon, language
        self._letters = _alphabet(lexicon, language)
        self._rng = random.Random(f"{language}/{seed}")
        self._real = [w for w, labels in _spellable(lexicon, language) if not is_held_back(labels)]
        self._real_share = real_share if self._real else 0.0
        self._most_words = most_words
        self.pairs: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[str]:
        while True:
            yield " ".join(self._word() for _ in range(self._rng.randint(1, self._most_words)))

    def _word(self) -> str:
        if self._rng.random() < self._real_share:
            word = self._rng.choice(self._real)
            self.pairs.update(itertools.pairwise(word))
            return word
        while True:
            letters = self._walk(self._rng.randint(2, 7))
            word = "".join(letters)
            try:
                if is_held_back(letter_glosses(self._lexicon, self._language, word)):
                    continue
            except ValueError:  # two letters that together mean a third the alphabet lacks
                continue
            self.pairs.update(itertools.pairwise(letters))
            return word

    def _walk(self, count: int) -> list[str]:
        word = [self._rng.choice(self._letters)]
        while len(word) < count:
            order = self._rng.sample(self._letters, len(self._letters))
            word.append(min(order, key=lambda letter: self.pairs[word[-1], letter]))
        return word
