"""Choosing tokens: greedy and beam search over a `Seq2Seq`, with tokens that must appear exactly once.

Enters: a model, source tokens [B, S], and the constraint. Leaves: token lists with their scores.
Does not know what tokens mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from engine.nn.seq2seq import PAD, Seq2SeqConfig


class Search(Protocol):
    """Streaming state of a batch of hypotheses, as `DecoderState` is."""

    @property
    def looked(self) -> Tensor | None:
        """Where in the source the last step looked [R, S]; None where nobody watches."""

    def reorder(self, rows: Tensor, *, same_source: bool = False) -> None:
        """Make hypothesis i a copy of hypothesis rows[i]."""


State = TypeVar("State", bound=Search)


class Stepper(Protocol[State]):
    """What decodes step by step: a `Seq2Seq`, or several as one."""

    config: Seq2SeqConfig

    def open(self, source: Tensor, capacity: int, copies: int = 1, watch: bool = False) -> State:
        """See `Seq2Seq.open`."""

    def step(self, tokens: Tensor, state: State) -> Tensor:
        """See `Seq2Seq.step`."""


@dataclass(frozen=True)
class Rules:
    """What decoding may say. end: the token that ends a row. never: tokens that are never chosen.

    once: tokens allowed only where a row owes them; the end is not allowed before all are said.
    length_penalty: scores are divided by length ** length_penalty before hypotheses are compared.
    repeats: a block of up to so many tokens may not be said twice in a row (0: it may). A length penalty
    above 1 pays for length, and a loop (`A B A B`) is the cheapest length there is.
    """

    end: int
    never: tuple[int, ...] = ()
    once: tuple[int, ...] = ()
    length_penalty: float = 1.5
    repeats: int = 0

    def again(self, path: Sequence[int]) -> set[int]:
        """The tokens that would end a block of tokens said twice in a row."""
        most = min(self.repeats, (len(path) + 1) // 2)
        blocks = range(1, most + 1)
        return {path[-n] for n in blocks if n == 1 or path[1 - n :] == path[1 - 2 * n : -n]}


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Tokens without start and end; the sum of their log-probabilities; that sum after the length penalty.

    looks [T, S]: where in the source each token looked, if it was watched.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    looks: Tensor | None = field(default=None, compare=False, repr=False)


class _Debt:
    """Which of the `once` tokens each hypothesis still owes: bool [R, N]."""

    def __init__(
        self, rules: Rules, owed: Sequence[Sequence[int]], copies: int, device: torch.device
    ) -> None:
        rows = [[token in row for token in rules.once] for row in owed]
        self.rules = rules
        self.once = torch.tensor(rules.once, dtype=torch.long, device=device)
        self.never = torch.tensor(rules.never, dtype=torch.long, device=device)
        self.left = torch.tensor(rows, dtype=torch.bool, device=device).view(len(rows), len(rules.once))
        self.left = self.left.repeat_interleave(copies, 0)
        self.any = bool(self.left.any())
        self.closed: Tensor | None = None  # what is forbidden where nothing is owed: 0 or -inf [V]

    def forbid(self, scores: Tensor, steps_left: int) -> None:
        """Set what may not be said now to -inf, in scores [R, V], in place."""
        if not self.any:
            if self.closed is None:
                self.closed = torch.zeros_like(scores[0])
                self.closed[[*self.rules.never, *self.rules.once]] = -torch.inf
            scores += self.closed
            return
        scores[:, self.never] = -torch.inf
        kept = scores[:, self.once].masked_fill(~self.left, -torch.inf)
        owing = self.left.sum(1)
        scores[owing >= steps_left] = -torch.inf  # the last steps belong to what is owed
        scores[:, self.once] = kept
        scores[owing > 0, self.rules.end] = -torch.inf

    def pay(self, tokens: Tensor) -> None:
        """Strike out tokens [R] that were said."""
        if self.any:
            self.left &= tokens[:, None] != self.once[None, :]

    def reorder(self, rows: Tensor) -> None:
        if self.any:
            self.left = self.left[rows]


def _owed(owed: Sequence[Sequence[int]] | None, rows: int) -> Sequence[Sequence[int]]:
    return owed if owed is not None else [()] * rows


def _prefill(model: Stepper[State], state: State, prefix: Sequence[int], debt: _Debt) -> Tensor:
    """Feed the start and a prefix shared by all rows; scores of what follows [R, V]."""
    start = torch.full((len(debt.left),), PAD, device=debt.left.device)
    scores = model.step(start, state)
    for token in prefix:
        tokens = torch.full_like(start, token)
        debt.pay(tokens)
        scores = model.step(tokens, state)
    return scores


@torch.inference_mode()
def looks(model: Stepper[State], source: Tensor, tokens: Sequence[int]) -> Tensor:
    """Where in the source [1, S] the model looks when it says each of `tokens`: [T, S]."""
    state = model.open(source, len(tokens) + 1, watch=True)
    seen = []
    for token in (PAD, *tokens[:-1]):
        model.step(torch.full((1,), token, device=source.device), state)
        assert state.looked is not None
        seen.append(state.looked[0])
    return torch.stack(seen) if tokens else source.new_zeros((0, source.shape[1]), dtype=torch.float32)


@torch.inference_mode()
def greedy(
    model: Stepper[State],
    source: Tensor,
    rules: Rules,
    steps: int,
    owed: Sequence[Sequence[int]] | None = None,
    prefixes: Sequence[Sequence[int]] | None = None,
    watch: bool = False,
) -> list[Hypothesis]:
    """The likeliest token at each step, for source [B, S]; at most `steps` tokens a row, its prefix included.

    A row's prefix is what is said already; it is repeated at the head of its answer, and not scored.
    watch: also where each token looked.
    """
    rows, device = len(source), source.device
    debt = _Debt(rules, _owed(owed, rows), 1, device)
    state = model.open(source, steps + 1, watch=watch)
    begun = [tuple(prefix) for prefix in prefixes or [()] * rows]
    longest = max(map(len, begun))
    forced = torch.tensor([[*prefix, *[-1] * (longest - len(prefix))] for prefix in begun], device=device)
    tokens = torch.full((rows,), PAD, device=device)
    said: list[list[int]] = [[] for _ in range(rows)]
    looked: list[Tensor] = []
    totals = [0.0] * rows
    running = [True] * rows
    for at in range(steps):
        logp = model.step(tokens, state).log_softmax(-1)
        debt.forbid(logp, steps - at)
        best, tokens = logp.max(-1)
        looping = [row for row, token in enumerate(tokens.tolist()) if token in rules.again(said[row])]
        if looping:
            for row in looping:
                logp[row, list(rules.again(said[row]))] = -torch.inf
            best, tokens = logp.max(-1)
        if at < longest:
            given = forced[:, at] >= 0
            tokens, best = torch.where(given, forced[:, at], tokens), best.masked_fill(given, 0.0)
        debt.pay(tokens)
        if state.looked is not None:
            looked.append(state.looked)
        for row, (token, score) in enumerate(zip(tokens.tolist(), best.tolist(), strict=True)):
            if running[row]:
                totals[row] += score
                running[row] = token != rules.end
                if running[row]:
                    said[row].append(token)
        if not any(running):
            break
    answers = [_hypothesis(path, total, rules) for path, total in zip(said, totals, strict=True)]
    if not watch:
        return answers
    seen = torch.stack(looked, 1)  # [B, T, S]
    return [replace(answer, looks=seen[row, : len(answer.tokens)]) for row, answer in enumerate(answers)]


def _hypothesis(tokens: Sequence[int], total: float, rules: Rules, most: int | None = None) -> Hypothesis:
    length = len(tokens) + 1 if most is None else min(len(tokens) + 1, most)
    return Hypothesis(tuple(tokens), total, total / length**rules.length_penalty)


@torch.inference_mode()
def beam(
    model: Stepper[State],
    source: Tensor,
    rules: Rules,
    steps: int,
    width: int = 5,
    owed: Sequence[Sequence[int]] | None = None,
    prefix: Sequence[int] = (),
    reach: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Beam search of `width` hypotheses for each row of source [B, S]; finished ones, best first.

    reach: the length of each row beyond which the length penalty rewards no further token. Without it, and
    with a penalty above 1, a row whose tokens are likely enough is the better the longer it is, without end.
    A row stops when `width` hypotheses are finished and no running one can still beat the best of them.
    """
    rows, device = len(source), source.device
    furthest = list(reach) if reach is not None else [steps + 1] * rows
    debt = _Debt(rules, _owed(owed, rows), width, device)
    state = model.open(source, steps + 1, copies=width)
    scores = _prefill(model, state, prefix, debt)
    totals = torch.full((rows, width), -torch.inf, device=device)
    totals[:, 0] = 0.0  # all copies are alike at first: only one may branch
    said = torch.zeros((rows * width, 0), dtype=torch.long, device=device)
    finished: list[list[Hypothesis]] = [[] for _ in range(rows)]
    offsets = torch.arange(rows, device=device)[:, None] * width
    for at in range(len(prefix), steps):
        logp = scores.log_softmax(-1)
        debt.forbid(logp, steps - at)
        if rules.repeats:
            _forbid_loops(logp, said, prefix, rules)
        vocabulary = logp.shape[-1]
        joint = (totals.view(-1, 1) + logp).view(rows, -1)  # [B, width * V]
        best, flat = joint.topk(2 * width, dim=-1)  # enough to keep `width` after all ends are taken out
        parents, tokens = flat // vocabulary, flat % vocabulary
        ends = tokens == rules.end
        early = ends & (torch.arange(2 * width, device=device) < width) & best.isfinite()
        for row, rank in early.nonzero().tolist():
            path = (*prefix, *said[row * width + int(parents[row, rank])].tolist())
            finished[row].append(_hypothesis(path, float(best[row, rank]), rules, furthest[row]))
        order = ends.to(torch.int8).sort(dim=-1, stable=True).indices[:, :width]
        totals, parents, tokens = (x.gather(1, order) for x in (best, parents, tokens))
        chosen = (parents + offsets).flatten()
        said = torch.cat([said[chosen], tokens.view(-1, 1)], dim=1)
        if at + 1 == steps or all(
            _settled(done, total, min(at + 2, most), width, rules)
            for done, total, most in zip(finished, totals[:, 0].tolist(), furthest, strict=True)
        ):
            break
        debt.reorder(chosen)
        debt.pay(tokens.flatten())
        state.reorder(chosen, same_source=True)
        scores = model.step(tokens.flatten(), state)
    for row, done in enumerate(finished):
        if not done:  # the step limit was reached first: what runs is all there is
            path = (*prefix, *said[row * width].tolist())
            done.append(_hypothesis(path, float(totals[row, 0]), rules, furthest[row]))
        done.sort(key=lambda hypothesis: -hypothesis.score)
    return finished


def _forbid_loops(scores: Tensor, said: Tensor, prefix: Sequence[int], rules: Rules) -> None:
    """Set what would repeat a block at once to -inf, in scores [R, V], after said [R, T], in place."""
    again = [
        (row, token) for row, path in enumerate(said.tolist()) for token in rules.again([*prefix, *path])
    ]
    if again:
        rows, tokens = zip(*again, strict=True)
        scores[list(rows), list(tokens)] = -torch.inf


def _settled(done: Sequence[Hypothesis], running: float, length: int, width: int, rules: Rules) -> bool:
    """Whether a row needs no more steps: enough is finished, and the best running one is behind."""
    if len(done) < width:
        return running == -torch.inf and bool(done)
    return max(h.score for h in done) >= float(running / length**rules.length_penalty)
