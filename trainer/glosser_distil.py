"""Further training pairs made by models: distillation of an ensemble, and back-translation.

Enters: training pairs and models. Leaves: pairs with the teachers' glosses, or with another text.
Does not know losses or epochs. No development sentence is ever read here.

Source: Kim & Rush 2016, sequence-level interpolation: of the ensemble's hypotheses, the one nearest to the
given glosses is taken, so that the teachers smooth the annotators' choices without replacing them.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.glossing.slul_model import SlulModel
from trainer.data.phoenix import Pair
from trainer.glosser import GlosserConfig, train
from trainer.glosser_ensemble import open_models
from trainer.glosser_noise import words_of

log = logging.getLogger(__name__)


def nearness(hypothesis: Sequence[str], reference: Sequence[str], order: int = 4) -> float:
    """Sentence BLEU with add-one smoothing of the orders above one, 0..1."""
    if not hypothesis or not reference:
        return float(list(hypothesis) == list(reference))
    total = 0.0
    for n in range(1, order + 1):
        ours = Counter(tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1))
        theirs = Counter(tuple(reference[i : i + n]) for i in range(len(reference) - n + 1))
        hits, said = (ours & theirs).total(), ours.total()
        if n == 1 and not hits:
            return 0.0
        total += math.log(hits / said) if n == 1 else math.log((hits + 1) / (said + 1))
    return math.exp(total / order + min(0.0, 1 - len(reference) / len(hypothesis)))


def retold(pairs: Sequence[Pair], teachers: Sequence[Path], beam: int = 5, batch: int = 64) -> list[Pair]:
    """For each pair, the ensemble's hypothesis nearest to its glosses; unchanged pairs are dropped."""
    ensemble = open_models(teachers)
    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at].words))
    told: list[Pair] = []
    for start in range(0, len(order), batch):
        part = [pairs[at] for at in order[start : start + batch]]
        encoded = [ensemble.vocabulary.source(pair.words, pair.language) for pair in part]
        for pair, found in zip(part, ensemble.decode(encoded, beam=beam, finished=beam), strict=True):
            hypotheses = [ensemble.vocabulary.glosses(one.tokens) for one in found]
            best = max(((nearness(said, pair.glosses), said) for said in hypotheses), key=lambda one: one[0])[
                1
            ]
            if best and tuple(best) != pair.glosses:
                told.append(Pair(pair.words, tuple(best), pair.language))
        log.info("retold %d of %d sentences", min(start + batch, len(order)), len(order))
    return told


def train_distilled(
    pairs: Sequence[Pair],
    dev: Sequence[Pair],
    config: GlosserConfig,
    folder: Path,
    teachers: int,
    device: str = "cpu",
) -> SlulModel:
    """Train `teachers` models of successive seeds, then one that also learns what they say together.

    Theirs are the folders `teacher-0`, .. beside the model, which goes on from the last of them. A killed
    call goes on where it stopped. Raises ValueError for fewer than two teachers.
    """
    if teachers < 2:
        raise ValueError(f"distillation: got {teachers} teachers, expected at least 2")
    places = [folder / f"teacher-{number}" for number in range(teachers)]
    for number, place in enumerate(places):
        loop = dataclasses.replace(config.loop, seed=config.loop.seed + number)
        train(pairs, dev, dataclasses.replace(config, loop=loop), place, device)
    further = _kept(folder / "retold.json", lambda: retold(pairs, places))
    return train(pairs, dev, config.distilling(teachers), folder, device, places[-1], further)


def _kept(path: Path, make: Callable[[], list[Pair]]) -> list[Pair]:
    """The pairs in a file; made and written there first where there is none."""
    if not path.exists():
        made = [(pair.words, pair.glosses, pair.language) for pair in make()]
        part = path.with_suffix(".part")
        part.write_text(json.dumps(made, ensure_ascii=False), "utf-8")
        part.replace(path)
    return [
        Pair(tuple(words), tuple(glosses), language)
        for words, glosses, language in json.loads(path.read_text("utf-8"))
    ]


def reversed_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of the other direction: glosses, written as words, to the words of the text."""
    return [Pair(tuple(words_of(pair.glosses)), pair.words, pair.language) for pair in pairs]


def back_translated(pairs: Sequence[Pair], reverse: Path, batch: int = 64) -> list[Pair]:
    """For each pair, another text for the same glosses, as a model trained on `reversed_pairs` says it.

    Source: Sennrich et al. 2016, within the corpus: there are no further glosses to be had. Greedy,
    since what guards a beam's length is made for glosses, of which there are fewer than words.
    """
    model = SlulModel.open(reverse)
    told: list[Pair] = []
    turned = reversed_pairs(pairs)
    order = sorted(range(len(pairs)), key=lambda at: len(turned[at].words))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        encoded = [model.vocabulary.source(turned[at].words, turned[at].language) for at in part]
        for at, found in zip(part, model.decode(encoded, beam=1), strict=True):
            words = tuple(model.vocabulary.glosses(found[0].tokens))
            if words and words != pairs[at].words:
                told.append(Pair(words, pairs[at].glosses, pairs[at].language))
        log.info("translated back %d of %d sentences", min(start + batch, len(order)), len(order))
    return told
