"""BLEU, ROUGE-L, chrF and WER of token sequences against one reference each.

Enters: hypotheses and references as strings of tokens parted by blanks. Leaves: percentages, 0..100.
Does not know tokenisation: tokens are taken as they are. Equal to sacrebleu and jiwer, which tests ask.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references) or not references:
        raise ValueError(
            f"got {len(hypotheses)} hypotheses and {len(references)} references; expected as many of both, "
            "at least one: one line each, empty lines kept"
        )


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def bleu(hypotheses: Sequence[str], references: Sequence[str], order: int = 4) -> float:
    """Corpus BLEU on raw tokens: no tokenisation, no smoothing, effective order (Papineni et al. 2002)."""
    _check(hypotheses, references)
    hits, totals = [0] * order, [0] * order
    said = wanted = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = hypothesis.split(), reference.split()
        said, wanted = said + len(ours), wanted + len(theirs)
        for n in range(1, order + 1):
            grams = _ngrams(ours, n)
            hits[n - 1] += (grams & _ngrams(theirs, n)).total()
            totals[n - 1] += grams.total()
    effective = sum(1 for total in totals if total)
    if not effective or any(not hit for hit in hits[:effective]):
        return 0.0
    precision = (
        sum(math.log(hit / total) for hit, total in zip(hits[:effective], totals, strict=False)) / effective
    )
    brevity = min(0.0, 1 - wanted / said)
    return 100 * math.exp(precision + brevity)


def rouge_l(hypotheses: Sequence[str], references: Sequence[str], beta: float = 1.2) -> float:
    """Mean over sentences of the F measure of the longest common subsequence (Lin 2004)."""
    _check(hypotheses, references)
    scores = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = hypothesis.split(), reference.split()
        common = _longest_common(ours, theirs)
        if not common:
            scores.append(float(ours == theirs))
            continue
        precision, recall = common / len(ours), common / len(theirs)
        scores.append((1 + beta**2) * precision * recall / (recall + beta**2 * precision))
    return 100 * sum(scores) / len(scores)


def _longest_common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    row = [0] * (len(theirs) + 1)
    for token in ours:
        before = row[:]
        for at, other in enumerate(theirs, 1):
            row[at] = before[at - 1] + 1 if token == other else max(before[at], row[at - 1])
    return row[-1]


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Edits over reference words of the whole corpus; lower case, punctuation removed. May exceed 100."""
    _check(hypotheses, references)
    edits = words = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = _plain(hypothesis), _plain(reference)
        edits += _distance(ours, theirs)
        words += len(theirs)
    if not words:
        raise ValueError("word_error_rate: the references hold no words; expected at least one")
    return 100 * edits / words


def _plain(line: str) -> list[str]:
    return "".join(c for c in line.lower() if c.isalnum() or c.isspace() or c == "_").split()


def _distance(ours: Sequence[str], theirs: Sequence[str]) -> int:
    row = list(range(len(theirs) + 1))
    for at, token in enumerate(ours, 1):
        before, row = row, [at]
        for place, other in enumerate(theirs, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (token != other)))
    return row[-1]


def chrf(hypotheses: Sequence[str], references: Sequence[str], order: int = 6, beta: float = 2.0) -> float:
    """Corpus chrF: F measure of character n-grams, blanks left out (Popović 2015)."""
    _check(hypotheses, references)
    hits, ours_total, theirs_total = [0] * order, [0] * order, [0] * order
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = "".join(hypothesis.split()), "".join(reference.split())
        for n in range(order):
            left, right = _ngrams(ours, n + 1), _ngrams(theirs, n + 1)
            hits[n] += (left & right).total()
            ours_total[n] += left.total()
            theirs_total[n] += right.total()
    shares = [(h / o, h / t) for h, o, t in zip(hits, ours_total, theirs_total, strict=True) if o and t]
    if not shares:
        return 0.0
    precision, recall = (sum(share) / len(shares) for share in zip(*shares, strict=True))
    if not precision + recall:
        return 0.0
    return float(100 * (1 + beta**2) * precision * recall / (beta**2 * precision + recall))
