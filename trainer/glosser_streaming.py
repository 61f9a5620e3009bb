"""Quality against delay of streaming glossing: a table and a plot.

Enters: a model, pairs, policies. Leaves: BLEU-4 and average lagging of each policy.
Does not know how policies decide (see `engine.glossing.slul_stream`).

Average lagging (Ma et al. 2019): how many words the glosses are behind a glosser that keeps pace with the
speaker from the first word on; gloss i is due after (i - 1) * |words| / |glosses| words. Delays are counted
in words read, up to the first gloss said when all words were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.glossing.slul_model import SlulModel
from engine.glossing.slul_stream import Policy, SentenceState, read_on, read_out
from engine.glossing.slul_text import Word
from engine.glossing.slul_vocabulary import SEATS, Encoded
from trainer.data.phoenix import Pair
from trainer.metrics.text import bleu


@dataclass(frozen=True, slots=True)
class Streamed:
    """Figures of one policy: average lagging in words, BLEU-4, and the mean length of its glosses."""

    policy: Policy
    lagging_words: float
    bleu4: float
    length: float


def average_lagging(read: Sequence[int], words: int) -> float:
    """Average lagging of one sentence; `read[i]` is how many words were read when gloss i was said."""
    if not read:
        return float(words)
    pace = words / len(read)
    due = next((at for at, count in enumerate(read) if count >= words), len(read) - 1) + 1
    return sum(read[at] - at * pace for at in range(due)) / due


def stream(model: SlulModel, pairs: Sequence[Pair], policy: Policy) -> list[tuple[list[str], list[int]]]:
    """Sentences fed word by word, side by side: their glosses, and how many words were read at each."""
    words = [[Word(text, 0, 0) for text in pair.words] for pair in pairs]
    names = [[at for at, word in enumerate(row) if model.is_name(word)][:SEATS] for row in words]
    states = [SentenceState() for _ in pairs]
    read: list[list[int]] = [[] for _ in pairs]

    def encoded(row: int, count: int) -> Encoded:
        known = [at for at in names[row] if at < count]
        return model.encode(words[row][:count], pairs[row].language, known)

    for count in range(1, max(map(len, words)) + 1):
        rows = [row for row in range(len(pairs)) if len(words[row]) >= count]
        told = read_on(model, [encoded(row, count) for row in rows], [states[row] for row in rows], policy)
        for row, certain in zip(rows, told, strict=True):
            read[row] += [count] * len(certain)
    said = []
    for row, state in enumerate(states):
        whole = encoded(row, len(words[row]))
        read[row] += [len(words[row])] * len(read_out(model, whole, state, policy))
        said.append((model.vocabulary.glosses(state.said, whole.names), read[row]))
    return said


def measure(
    model: SlulModel, pairs: Sequence[Pair], policies: Sequence[Policy], batch: int = 64
) -> list[Streamed]:
    """Each policy over all pairs."""
    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at].words))
    table = []
    for policy in policies:
        said, lags = [""] * len(pairs), []
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            for at, (glosses, read) in zip(
                part, stream(model, [pairs[i] for i in part], policy), strict=True
            ):
                said[at] = " ".join(glosses)
                lags.append(average_lagging(read, len(pairs[at].words)))
        score = bleu(said, [" ".join(p.glosses) for p in pairs])
        length = sum(len(s.split()) for s in said) / len(said)
        table.append(Streamed(policy, sum(lags) / len(lags), score, length))
    return table


def plot(table: Sequence[Streamed], offline: float, path: Path) -> None:
    """Quality against delay as a picture. Needs matplotlib (extra `dev`)."""
    try:
        import matplotlib
    except ImportError as error:
        raise RuntimeError(
            "the plot needs matplotlib; install handstream[dev], or leave --plot out"
        ) from error
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), dpi=120)
    for agreement in sorted({row.policy.agreement for row in table}):
        rows = sorted((r for r in table if r.policy.agreement == agreement), key=lambda r: r.lagging_words)
        axes.plot(
            [r.lagging_words for r in rows], [r.bleu4 for r in rows], "o-", label=f"agreement {agreement}"
        )
        for row in rows:
            axes.annotate(
                f"{row.policy.margin}",
                (row.lagging_words, row.bleu4),
                textcoords="offset points",
                xytext=(4, 4),
            )
    axes.axhline(offline, color="grey", label="offline, beam 5")
    axes.axhline(offline - 1, color="grey", linestyle=":")
    axes.axvline(4, color="grey", linestyle=":")
    axes.set(xlabel="average lagging, words (numbers: margin)", ylabel="BLEU-4, dev")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
