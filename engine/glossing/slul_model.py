"""A learned text-to-gloss model: sentences in, gloss lists out, in batches.

Enters: a model folder and sentences. Leaves: gloss labels, one list a sentence. Does not know lexicons,
captions or streams (see `slul` and `slul_stream`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint import open_checkpoint, save_checkpoint
from engine.glossing.slul_text import Word, read_text, segments, understood
from engine.glossing.slul_vocabulary import END, MASK, SEATS, TARGET_SEAT, UNKNOWN, Encoded, Vocabulary
from engine.lexicon.languages import language_info
from engine.nn.decoding import Hypothesis, Rules, Stepper, greedy, looks
from engine.nn.decoding import beam as beam_search
from engine.nn.frozen import Frozen
from engine.nn.seq2seq import PAD, Seq2Seq, Seq2SeqConfig

KIND = "handstream-slul-1"
"""Names the file format in `config.json`; other kinds are refused."""

RULES = Rules(
    end=END,
    never=(PAD, UNKNOWN, MASK),
    once=tuple(range(TARGET_SEAT, TARGET_SEAT + SEATS)),
    length_penalty=1.5,
    repeats=4,
)
"""Glosses hardly ever come as `A B A B`: 33 times among the 55,182 of PHOENIX's training part, never with a
block longer than four. Models do it far more often, for length's sake."""


class SlulModel:
    """Weights and vocabulary. No state between calls; `stepper` decodes with a copy of the weights."""

    def __init__(self, model: Stepper[Any], vocabulary: Vocabulary, device: str = "cpu") -> None:
        sizes = (model.config.source_tokens, model.config.target_tokens)
        expected = (len(vocabulary.sources), len(vocabulary.targets))
        if sizes != expected:
            raise ValueError(
                f"glosser model: weights are for vocabularies of {sizes} tokens, but the vocabulary holds "
                f"{expected}: they do not belong together; copy the whole model folder again"
            )
        self.model = model
        self.stepper: Stepper[Any] = Frozen(model) if isinstance(model, Seq2Seq) else model
        self.device = device
        self.vocabulary = vocabulary
        self._understood: dict[str, bool] = {}
        self._letters = frozenset("".join(vocabulary.words))

    @classmethod
    def open(cls, folder: Path) -> SlulModel:
        """Open a trained model. Raises ValueError where it is damaged or of another kind."""
        tensors, config = open_checkpoint(folder)
        if config.get("kind") != KIND:
            raise ValueError(
                f"{folder}: got a model of kind {config.get('kind')!r}, expected {KIND!r}; give a glosser"
            )
        try:
            model = Seq2Seq(Seq2SeqConfig(**config["model"]))
            vocabulary = Vocabulary.from_json(config["vocabulary"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{folder}: config.json lacks or misnames a part ({error}); train the model anew"
            ) from error
        try:
            model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise ValueError(f"{folder}: weights and config.json do not fit each other: {error}") from error
        return cls(model.eval(), vocabulary)

    def save(self, folder: Path, **notes: object) -> Path:
        """Save into a folder; `notes` (how it was trained, its figures) are kept in config.json."""
        config = {
            "kind": KIND,
            "model": dataclasses.asdict(self.model.config),
            **notes,
            "vocabulary": self.vocabulary.to_json(),
        }
        return save_checkpoint(folder, self.weights(), config)

    def weights(self) -> dict[str, torch.Tensor]:
        """The model's weights by name."""
        assert isinstance(self.model, Seq2Seq), "an ensemble has no weights of its own; distil it"
        return self.model.state_dict()

    def language(self, wanted: str | None = None) -> str:
        """The signed language meant by a signed (`gsg`) or spoken (`de`) code; the first one for None.

        Raises ValueError for one the model was not trained on.
        """
        known = self.vocabulary.languages
        for language in known:
            if wanted is None or wanted in (language, spoken_language(language)):
                return language
        raise ValueError(
            f"language {wanted!r} is not in this model, which knows {', '.join(known)}; "
            "train one that does, or use the plain glosser"
        )

    def sources(self, encoded: Encoded, tokens: Sequence[int]) -> list[int]:
        """For each target token, the word of the segment it looks at most while it is said."""
        return _words_seen(
            encoded, looks(self.stepper, torch.tensor([encoded.tokens], device=self.device), tokens)
        )

    def read(self, encoded: Sequence[Encoded], said: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
        """Greedy readings that go on from what is said already: each token with the word it looks at most."""
        source, owed, steps = self._batch(encoded, max(map(len, said)))
        found = greedy(self.stepper, source, RULES, steps, owed, said, watch=True)
        readings = []
        for one, hypothesis in zip(encoded, found, strict=True):
            assert hypothesis.looks is not None
            words = _words_seen(one, hypothesis.looks[:, : len(one.tokens)])
            readings.append(list(zip(hypothesis.tokens, words, strict=True)))
        return readings

    def _batch(self, encoded: Sequence[Encoded], said: int) -> tuple[torch.Tensor, list[list[int]], int]:
        """Source [B, S], the seats each row owes, and how many steps it may take."""
        longest = max(len(one.tokens) for one in encoded)
        rows = [[*one.tokens, *[PAD] * (longest - len(one.tokens))] for one in encoded]
        owed = [[TARGET_SEAT + seat for seat in range(len(one.names))] for one in encoded]
        return torch.tensor(rows, device=self.device), owed, max(longest, said) + 8

    def is_name(self, word: Word, cased: bool = False) -> bool:
        """Whether a word is to be spelled: unknown, nothing it could be read from, and not a small word.

        cased: the text it stands in uses capitals, so that a word without one is no name. A word with letters
        that the model never saw (another alphabet) is always spelled, for it cannot be read at all.
        """
        known = self.vocabulary.words
        if not self._letters.issuperset(word.text):
            return True
        if len(word.text) < 4 or (cased and not word.capital):
            return False
        if word.text not in self._understood:
            if len(self._understood) > 50_000:
                self._understood.clear()
            self._understood[word.text] = understood(word.text, known)
        return not self._understood[word.text]

    def encode(self, words: Sequence[Word], language: str, names: Sequence[int]) -> Encoded:
        """Token numbers of a segment; the words at `names` (at most `SEATS` different) will be spelled."""
        return self.vocabulary.source([word.text for word in words], language, names=names)

    def segments(self, text: str, language: str) -> list[Encoded]:
        """What the model reads at once: a text's sentences, the long ones in parts."""
        cased = text != text.lower()
        read = []
        for sentence in read_text(text, spoken_language(language)):
            for part in segments(sentence, lambda word: self.is_name(word, cased), SEATS):
                names = [place for place, word in enumerate(part) if self.is_name(word, cased)]
                read.append(self.encode(part, language, names))
        return read

    def decode(
        self, encoded: Sequence[Encoded], *, beam: int = 5, prefix: Sequence[int] = (), finished: int = 1
    ) -> list[list[Hypothesis]]:
        """The best hypotheses (at most `finished`) of each segment, after `prefix`. beam=1: greedy."""
        source, owed, steps = self._batch(encoded, len(prefix))
        if beam == 1:
            found = greedy(self.stepper, source, RULES, steps, owed, [prefix] * len(encoded))
            return [[best] for best in found]
        words = [one.places[-1] + 1 for one in encoded]  # and the end
        every = beam_search(self.stepper, source, RULES, steps, beam, owed, prefix, words)
        return [best[:finished] for best in every]

    def gloss(
        self, sentences: Sequence[str], language: str, *, beam: int = 5, batch: int = 32
    ) -> list[list[str]]:
        """Gloss labels of each sentence, in order. Unknown names come back spelled (`U+L+M`).

        An empty sentence gives an empty list; a very long one is glossed in segments.
        Raises ValueError for a language the model does not know.
        """
        self.vocabulary.source([], language)  # refuses an unknown language before any work, also for no text
        jobs = [
            (index, e) for index, sentence in enumerate(sentences) for e in self.segments(sentence, language)
        ]
        order = sorted(range(len(jobs)), key=lambda at: len(jobs[at][1].tokens))
        said: dict[int, list[str]] = {}
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            for at, best in zip(part, self.decode([jobs[i][1] for i in part], beam=beam), strict=True):
                said[at] = self.vocabulary.glosses(best[0].tokens, jobs[at][1].names)
        glossed: list[list[str]] = [[] for _ in sentences]
        for at, (index, _) in enumerate(jobs):
            glossed[index] += said[at]
        return glossed


def _words_seen(encoded: Encoded, seen: torch.Tensor) -> list[int]:
    """The word of a segment that each row of `seen` [T, S] looks at most, not the language nor the end."""
    words = max(1, encoded.places[-1])
    real = slice(1, len(encoded.tokens) - 1)
    by_word = torch.zeros((len(seen), words))
    by_word.index_add_(1, torch.tensor(encoded.places[real], dtype=torch.long), seen[:, real].cpu())
    return [int(word) for word in by_word.argmax(1)]


def spoken_language(language: str) -> str:
    """The spoken language beside a signed one, in which captions come: `gsg` -> `de`."""
    return language_info(language).spoken
