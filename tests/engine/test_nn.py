"""The encoder-decoder and its search: cached is uncached, rewound never happened, padding is nothing."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from engine.nn.blocks import dropped
from engine.nn.decoding import Rules, beam, greedy, looks
from engine.nn.frozen import Frozen
from engine.nn.relative import RelativeBias
from engine.nn.seq2seq import PAD, Seq2Seq, Seq2SeqConfig

RULES = Rules(end=1, never=(0, 2, 3), once=(4, 5, 6, 7), length_penalty=1.0)


@pytest.fixture(scope="module")
def model() -> Seq2Seq:
    torch.manual_seed(3)
    made = Seq2Seq(Seq2SeqConfig(30, 14, width=32, heads=4, inner=64)).eval()
    for module in made.modules():  # biases start at zero; tests want them to matter
        if isinstance(module, RelativeBias):
            torch.nn.init.normal_(module.weight, std=0.2)
    return made


@pytest.fixture(scope="module")
def source() -> torch.Tensor:
    tokens = torch.randint(4, 30, (3, 7), generator=torch.Generator().manual_seed(0))
    tokens[1, 5:] = PAD
    return tokens


def test_cached_is_uncached(model: Seq2Seq, source: torch.Tensor) -> None:
    target = torch.randint(4, 14, (3, 6), generator=torch.Generator().manual_seed(1))
    target[:, 0] = PAD
    state = model.open(source, 6)
    stepped = torch.stack([model.step(target[:, at], state) for at in range(6)], 1)
    torch.testing.assert_close(stepped, model(source, target), atol=1e-5, rtol=1e-5)


def test_rewound_never_happened(model: Seq2Seq, source: torch.Tensor) -> None:
    plain, rewound = model.open(source, 6), model.open(source, 6)
    tokens = torch.tensor([[PAD, 5, 6], [PAD, 7, 8], [PAD, 9, 10]])
    for at in range(3):
        model.step(tokens[:, at], plain)
        model.step(tokens[:, at], rewound)
    for _ in range(2):
        model.step(torch.tensor([11, 12, 13]), rewound)
    rewound.rewind(2)
    last = torch.tensor([4, 4, 4])
    assert torch.equal(model.step(last, plain), model.step(last, rewound))
    with pytest.raises(ValueError, match="what was stepped"):
        rewound.rewind(99)


def test_reordered_rows_are_copies(model: Seq2Seq, source: torch.Tensor) -> None:
    state = model.open(source, 4)
    for token in (PAD, 6):
        model.step(
            torch.tensor([token, token + 1, token + 2]) if token else torch.zeros(3, dtype=torch.long), state
        )
    state.reorder(torch.tensor([2, 2, 0]))
    scores = model.step(torch.tensor([9, 9, 9]), state)
    assert torch.equal(scores[0], scores[1])
    assert not torch.allclose(scores[0], scores[2])


def test_padding_and_company_change_nothing(model: Seq2Seq, source: torch.Tensor) -> None:
    target = torch.tensor([[PAD, 5, 9]])
    alone = model(source[1:2, :5], target)
    torch.testing.assert_close(model(source, target.repeat(3, 1))[1:2], alone, atol=1e-5, rtol=1e-5)


def test_beam_of_everything_finds_the_best(model: Seq2Seq, source: torch.Tensor) -> None:
    steps, choices = 3, [token for token in range(14) if token not in (*RULES.never, *RULES.once)]

    def score(tokens: tuple[int, ...]) -> float:
        row = torch.tensor([[PAD, *tokens]])
        logp = model(source[:1], row).detach().log_softmax(-1)[0]
        total = sum(float(logp[at, token]) for at, token in enumerate((*tokens, RULES.end)))
        return total / (len(tokens) + 1) ** RULES.length_penalty

    everything = [
        said
        for length in range(steps)
        for said in itertools.product([c for c in choices if c != 1], repeat=length)
    ]
    best = max(everything, key=score)
    found = beam(model, source[:1], RULES, steps, width=200)[0][0]
    assert found.tokens == best
    assert found.score == pytest.approx(score(best), abs=1e-4)


def test_batched_search_is_single_search(model: Seq2Seq, source: torch.Tensor) -> None:
    owed = [[4], [], [5, 6]]
    together = beam(model, source, RULES, 8, 4, owed)
    alone = greedy(model, source, RULES, 8, owed)
    for row in range(3):
        one = source[row : row + 1][:, : int((source[row] != PAD).sum())]
        assert beam(model, one, RULES, 8, 4, owed[row : row + 1])[0][0].tokens == together[row][0].tokens
        assert greedy(model, one, RULES, 8, owed[row : row + 1])[0].tokens == alone[row].tokens
        assert beam(model, one, RULES, 8, 1, owed[row : row + 1])[0][0].tokens == alone[row].tokens


@pytest.mark.parametrize("steps", [3, 5, 9])
def test_what_is_owed_is_said_exactly_once(model: Seq2Seq, source: torch.Tensor, steps: int) -> None:
    owed = [[4, 7], [], [5, 6, 7]]
    answers = [
        greedy(model, source, RULES, steps, owed),
        *zip(*beam(model, source, RULES, steps, 3, owed), strict=False),
    ]
    for answer in answers[:2]:
        for row, debt in zip(answer, owed, strict=True):
            assert sorted(token for token in row.tokens if token in RULES.once) == debt
            assert not set(row.tokens) & {*RULES.never, RULES.end}
            assert len(row.tokens) <= steps


def test_a_prefix_is_kept_and_its_debts_are_paid(model: Seq2Seq, source: torch.Tensor) -> None:
    prefix = (9, 4)
    for row in (
        greedy(model, source[:1], RULES, 8, [[4, 5]], [prefix])[0],
        beam(model, source[:1], RULES, 8, 3, [[4, 5]], prefix)[0][0],
    ):
        assert row.tokens[:2] == prefix
        assert row.tokens.count(4) == 1
        assert row.tokens.count(5) == 1


def test_rows_go_on_from_their_own_prefixes(model: Seq2Seq, source: torch.Tensor) -> None:
    prefixes = [(9, 10, 11), (), (8,)]
    together = greedy(model, source, RULES, 8, None, prefixes, watch=True)
    for row, prefix in enumerate(prefixes):
        one = source[row : row + 1][:, : int((source[row] != PAD).sum())]
        (alone,) = greedy(model, one, RULES, 8, None, [prefix], watch=True)
        assert alone.tokens == together[row].tokens
        assert alone.tokens[: len(prefix)] == prefix
        assert alone.looks is not None
        torch.testing.assert_close(alone.looks, looks(model, one, alone.tokens), atol=1e-5, rtol=1e-5)


def test_looks_are_weights_over_the_source(model: Seq2Seq, source: torch.Tensor) -> None:
    seen = looks(model, source[1:2], (9, 10))
    assert seen.shape == (2, 7)
    torch.testing.assert_close(seen.sum(1), torch.ones(2))
    assert float(seen[:, 5:].max()) == 0  # padding is never looked at


def test_buckets_tell_near_distances_apart_and_reach_any_length() -> None:
    both, causal = RelativeBias(2, both_ways=True), RelativeBias(2, both_ways=False)
    near = torch.arange(-7, 8)
    assert len(set(both.bucket(near).tolist())) == len(near)
    assert set(causal.bucket(torch.arange(0, 50)).tolist()) == {0}
    assert int(both.bucket(torch.tensor([-10_000, 10_000])).max()) < both.buckets


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        Seq2SeqConfig(10, 10, width=30, heads=4)
    with pytest.raises(ValueError, match="dropout"):
        Seq2SeqConfig(10, 10, dropout=1.0)


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.2, 0.5])
def test_dropout_zeroes_its_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(401, 501, requires_grad=True)  # no multiple of the eight bytes drawn at once
    y = dropped(x, probability)
    share = round(256 * probability) / 256
    assert abs(float((y == 0).float().mean()) - share) < 0.005
    assert abs(float(y.mean().detach()) - 1) < 0.01
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    again = dropped(x, probability)
    assert torch.equal(y, again) == (probability == 0)  # another draw each time
    torch.manual_seed(0)
    assert torch.equal(y, dropped(x, probability))  # and the same one from the same seed


def test_dropout_rests_outside_training(model: Seq2Seq, source: torch.Tensor) -> None:
    target = torch.full((3, 4), PAD)
    assert torch.equal(model(source, target), model(source, target))
    model.train()
    try:
        assert not torch.equal(model(source, target), model(source, target))
    finally:
        model.eval()


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("watch", [False, True])
def test_frozen_decodes_as_the_model_it_was_made_from(
    model: Seq2Seq, source: torch.Tensor, copies: int, watch: bool
) -> None:
    frozen = Frozen(model)
    for text in (source, source[:1]):
        rows = len(text) * copies
        mine, theirs = frozen.open(text, 9, copies, watch), model.open(text, 9, copies, watch)
        pick = torch.randint(4, 14, (9, rows), generator=torch.Generator().manual_seed(2))
        for tokens in pick:
            torch.testing.assert_close(
                frozen.step(tokens, mine), model.step(tokens, theirs), atol=1e-4, rtol=1e-5
            )
            assert (mine.looked is None) == (theirs.looked is None) == (not watch)
            if mine.looked is not None:
                torch.testing.assert_close(mine.looked, theirs.looked, atol=1e-5, rtol=1e-5)
            swapped = torch.arange(rows) // copies * copies  # each a copy of its sentence's first
            for state in (mine, theirs):
                state.reorder(swapped, same_source=True)
    mine, theirs = frozen.open(source, 2), model.open(source, 2)
    for state in (mine, theirs):
        state.reorder(torch.tensor([2, 0, 0]))
    start = torch.full((3,), PAD)
    torch.testing.assert_close(frozen.step(start, mine), model.step(start, theirs), atol=1e-4, rtol=1e-5)


def test_frozen_reads_texts_longer_than_its_tables(model: Seq2Seq) -> None:
    text = torch.randint(4, 30, (1, 150), generator=torch.Generator().manual_seed(4))
    frozen = Frozen(model)
    mine, theirs = frozen.open(text, 140), model.open(text, 140)
    for _ in range(130):
        left, right = (m.step(torch.tensor([5]), s) for m, s in ((frozen, mine), (model, theirs)))
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-5)


def test_no_block_is_said_twice_in_a_row(model: Seq2Seq, source: torch.Tensor) -> None:
    def loops(tokens: tuple[int, ...], longest: int) -> bool:
        spans = ((at, n) for n in range(1, longest + 1) for at in range(len(tokens) - 2 * n + 1))
        return any(tokens[at : at + n] == tokens[at + n : at + 2 * n] for at, n in spans)

    free = dataclasses.replace(RULES, never=(0, 1, 2, 3))  # never ends: loops for want of anything else
    tight = dataclasses.replace(free, repeats=3)
    said = {rules: greedy(model, source, rules, 30) for rules in (free, tight)}
    beams = {rules: [row[0] for row in beam(model, source, rules, 30, 4)] for rules in (free, tight)}
    for found in (said, beams):
        assert any(loops(h.tokens, 3) for h in found[free])
        assert not any(loops(h.tokens, 3) for h in found[tight])
        assert all(len(h.tokens) == 30 for h in found[tight])
    held = beam(model, source[:1], tight, 12, 4, prefix=(8, 9, 8))[0][0].tokens
    assert held[:3] == (8, 9, 8)
    assert held[3] not in (8, 9)


def test_length_is_rewarded_only_as_far_as_it_reaches(model: Seq2Seq, source: torch.Tensor) -> None:
    eager = dataclasses.replace(RULES, length_penalty=4.0)  # the longer the better, without end
    found = beam(model, source, eager, 20, 4, [(4, 5, 6)] * 3, reach=[1, 2, 3])
    assert all(len(hypothesis.tokens) >= 3 for row in found for hypothesis in row)  # what is owed
    for row, most in zip(found, (1, 2, 3), strict=True):
        for hypothesis in row:
            length = min(len(hypothesis.tokens) + 1, most)
            assert hypothesis.score == pytest.approx(hypothesis.log_probability / length**4.0)
        assert [h.score for h in row] == sorted((h.score for h in row), reverse=True)
