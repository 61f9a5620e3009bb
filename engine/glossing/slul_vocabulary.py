"""The words a glosser model knows: source subwords, target glosses, and seats for names.

Enters: words and glosses. Leaves: token numbers, and glosses again. Does not know tensors or models.

A word the training text never held cannot be translated, but it can be spelled. It takes a *seat*: a token
`<name1>`.. on the source side, which the target side repeats; decoding is constrained to repeat each seat
taken exactly once, and `glosses` puts the spelled word (`Z+A+P+H+O+D`) back in.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.glossing.slul_subwords import Subwords, learn_merges

SEATS = 4
"""How many different names one sentence may hold; longer texts are cut so that this suffices."""

_FIXED_SOURCE = ("<pad>", "<end>", "<unknown>", *(f"<name{i + 1}>" for i in range(SEATS)))
_FIXED_TARGET = ("<pad>", "<end>", "<unknown>", "<mask>", *(f"<name{i + 1}>" for i in range(SEATS)))
END, UNKNOWN, MASK = 1, 2, 3
SOURCE_SEAT, TARGET_SEAT = _FIXED_SOURCE.index("<name1>"), _FIXED_TARGET.index("<name1>")

_LETTERS = str.maketrans({"Ä": "AE", "Ö": "OE", "Ü": "UE", "ẞ": "SS", "Æ": "AE", "Ø": "OE", "Œ": "OE"})


def spelled(word: str) -> str:
    """The gloss that spells a word letter by letter, joined as in the corpus: `ulm` -> `U+L+M`."""
    letters = unicodedata.normalize("NFC", word).upper().translate(_LETTERS)
    return "+".join(c for c in letters if not c.isspace() and c != "+")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sentence as token numbers, and the words that took seats, in the order of their seats.

    places: for each token, which word it belongs to (-1: the language, the number of words: the end).
    """

    tokens: tuple[int, ...]
    names: tuple[str, ...] = ()
    places: tuple[int, ...] = ()


class Vocabulary:
    """Token numbers of words and glosses, for one model and all its languages."""

    def __init__(
        self,
        languages: Sequence[str],
        merges: Sequence[tuple[str, str]],
        pieces: Sequence[str],
        glosses: Sequence[str],
        words: Iterable[str],
    ) -> None:
        if not languages:
            raise ValueError(
                "Vocabulary: got no languages, expected at least one signed-language code such as 'gsg'"
            )
        self.languages = tuple(languages)
        self.subwords = Subwords(merges)
        self.pieces = tuple(pieces)
        self.targets = (*_FIXED_TARGET, *glosses)
        self.words = frozenset(words)
        self.sources = (*_FIXED_SOURCE, *(f"<{language}>" for language in languages), *pieces)
        self._source = {piece: number for number, piece in enumerate(self.sources)}
        self._target = {gloss: number for number, gloss in enumerate(self.targets)}
        if len(self._source) != len(self.sources) or len(self._target) != len(self.targets):
            raise ValueError(
                "Vocabulary: got a piece or gloss twice, expected each once; build it with `learn`"
            )

    @classmethod
    def learn(
        cls, pairs: Iterable[tuple[str, Sequence[str], Sequence[str]]], pieces: int = 1500, least: int = 1
    ) -> Vocabulary:
        """From (language, words, glosses) triples: `pieces` subwords; glosses seen `least` times."""
        words: Counter[str] = Counter()
        glosses: Counter[str] = Counter()
        languages: Counter[str] = Counter()
        for language, left, right in pairs:
            languages[language] += 1
            words.update(left)
            glosses.update(right)
        merges = learn_merges(words, pieces)
        inventory = Counter({piece: 1 for pair in merges for piece in (*pair, pair[0] + pair[1])})
        plain = Subwords([])
        for word in words:
            inventory.update(plain.cut(word))
        kept = sorted((g for g, count in glosses.items() if count >= least), key=lambda g: (-glosses[g], g))
        return cls(sorted(languages), merges, sorted(inventory), kept, words)

    def source(
        self,
        words: Sequence[str],
        language: str,
        *,
        names: Sequence[int] = (),
        dropout: float = 0.0,
        rng: random.Random | None = None,
    ) -> Encoded:
        """[language; pieces; end]. `names` are the places in `words` that take a seat instead of pieces.

        Raises ValueError for a language this model was not trained on, or for more names than seats.
        """
        if language not in self.languages:
            raise ValueError(
                f"language {language!r} is not in this model, which knows {', '.join(self.languages)}; "
                "train one that does, or use the plain glosser"
            )
        taken: dict[str, int] = {}
        tokens = [self._source[f"<{language}>"]]
        places = [-1]
        for place, word in enumerate(words):
            if place in names:
                seat = taken.setdefault(word, len(taken))
                if seat >= SEATS:
                    raise ValueError(
                        f"got more than {SEATS} unknown names in one sentence; cut it into shorter ones"
                    )
                tokens.append(SOURCE_SEAT + seat)
            else:
                cut = self.subwords.cut(word, dropout, rng)
                tokens += [self._source.get(piece, UNKNOWN) for piece in cut]
            places += [place] * (len(tokens) - len(places))
        return Encoded((*tokens, END), tuple(taken), (*places, len(words)))

    def target(self, glosses: Sequence[str], names: Mapping[str, int] | None = None) -> tuple[int, ...]:
        """Token numbers of glosses, then the end. `names`: glosses that stand on a seat (0-based)."""
        seats = names or {}
        return (
            *(TARGET_SEAT + seats[g] if g in seats else self._target.get(g, UNKNOWN) for g in glosses),
            END,
        )

    def glosses(self, tokens: Iterable[int], names: Sequence[str] = ()) -> list[str]:
        """Glosses of token numbers up to the end; seats become their spelled names."""
        said: list[str] = []
        for token in tokens:
            if token == END:
                break
            seat = token - TARGET_SEAT
            if 0 <= seat < SEATS:
                if seat < len(names):
                    said.append(spelled(names[seat]))
            elif token > MASK:
                said.append(self.targets[token])
        return said

    def name_of(self, token: int, names: Sequence[str]) -> str | None:
        """The word on the seat a target token stands for, or None where it is no seat."""
        seat = token - TARGET_SEAT
        return names[seat] if 0 <= seat < min(SEATS, len(names)) else None

    def to_json(self) -> dict[str, object]:
        """Everything needed to build it again."""
        return {
            "languages": list(self.languages),
            "merges": [list(merge) for merge in self.subwords.merges],
            "pieces": list(self.pieces),
            "glosses": list(self.targets[len(_FIXED_TARGET) :]),
            "words": sorted(self.words),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, object]) -> Vocabulary:
        """Inverse of `to_json`. Raises ValueError where a part is missing or of the wrong kind."""
        parts: dict[str, list[str]] = {}
        for name in ("languages", "pieces", "glosses", "words"):
            part = saved.get(name)
            if not isinstance(part, list) or not all(isinstance(item, str) for item in part):
                raise ValueError(
                    f"vocabulary: {name!r} is missing or no list of strings; the model file is damaged"
                )
            parts[name] = part
        merges = saved.get("merges")
        if not isinstance(merges, list) or not all(isinstance(m, list) and len(m) == 2 for m in merges):
            raise ValueError("vocabulary: 'merges' is missing or no list of pairs; the model file is damaged")
        return cls(merges=[(str(a), str(b)) for a, b in merges], **parts)
