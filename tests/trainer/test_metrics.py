"""Our figures are sacrebleu's and jiwer's."""

from __future__ import annotations

import random
import string

import pytest

from trainer.metrics.text import bleu, chrf, rouge_l, word_error_rate

sacrebleu = pytest.importorskip("sacrebleu", reason="the dev extra is not installed")
jiwer = pytest.importorskip("jiwer", reason="the dev extra is not installed")


def corpora() -> list[tuple[list[str], list[str]]]:
    """Random corpora of glosses, from nearly right to unrelated, with empty and one-word lines among them."""
    rng = random.Random(7)
    words = ["REGEN", "IX", "neg-HABEN", "S+H", "WIE-AUSSEHEN", "NORD", "SUED", "MORGEN", "KOMMEN2", "UEBER"]
    made = []
    for noise in (0.0, 0.1, 0.3, 0.7, 1.0):
        references = [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(40)]
        said = [
            " ".join(
                rng.choice(words) if rng.random() < noise else w
                for w in line.split()
                if rng.random() > noise / 3
            )
            for line in references
        ]
        made.append(([*said, "", "REGEN"], [*references, "SCHNEE WOLKE", "REGEN"]))
    return made


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_is_sacrebleus(order: int) -> None:
    metric = sacrebleu.BLEU(
        tokenize="none", smooth_method="floor", smooth_value=0, effective_order=True, max_ngram_order=order
    )
    for said, references in corpora():
        assert bleu(said, references, order) == pytest.approx(
            metric.corpus_score(said, [references]).score, abs=1e-6
        )


def test_chrf_is_sacrebleus() -> None:
    metric = sacrebleu.CHRF()
    for said, references in corpora():
        assert chrf(said, references) == pytest.approx(
            metric.corpus_score(said, [references]).score, abs=0.01
        )


def test_word_error_rate_is_jiwers() -> None:
    plain = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.SubstituteRegexes({f"[{string.punctuation.replace('_', '')}]".replace("\\", "\\\\"): ""}),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )
    for said, references in corpora():
        theirs = 100 * jiwer.wer(references, said, reference_transform=plain, hypothesis_transform=plain)
        assert word_error_rate(said, references) == pytest.approx(theirs, abs=1e-6)


def test_rouge_by_hand() -> None:
    # common subsequence A C: precision 2/3, recall 2/4
    precision, recall, beta = 2 / 3, 2 / 4, 1.2
    expected = 100 * (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    assert rouge_l(["A X C"], ["A B C D"]) == pytest.approx(expected)
    assert rouge_l(["A", ""], ["A", "B"]) == pytest.approx(50)


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="one line each"):
        bleu(["A"], ["A", "B"])
    with pytest.raises(ValueError, match="at least one"):
        rouge_l([], [])
    assert bleu([""], ["A"]) == 0.0
