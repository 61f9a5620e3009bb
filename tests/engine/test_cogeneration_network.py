"""The joint generator: one frame at a time equals all at once, and state does what it says."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from engine.nn import speed as speeds
from engine.nn.cogeneration import (
    PROGRESS,
    STREAMS,
    CogenerationConfig,
    CogenerationState,
    Cogenerator,
    progress_features,
)
from engine.nn.cogeneration_quick import QuickStep, quick_progress
from engine.nn.speed import open_step

CONFIG = CogenerationConfig(tokens=12, languages=2, channels=(5, 7, 9), width=16, heads=2, layers=2, inner=24,
                            encoder_width=16, encoder_layers=1, around=2, context=8, sinks=2,
                            anchors=3)  # fmt: skip
LONG = 10 * CONFIG.context
ROWS, EVERY = 2, 7
"""Rows, and frames of a gloss."""
CLOSE = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def network() -> Cogenerator:
    torch.manual_seed(0)
    network = Cogenerator(CONFIG).eval()
    with torch.no_grad():  # everything that begins at zero takes part
        for parameter in (network.distance, network.offset, network.anchors):
            parameter.normal_(0, 0.5)
    return network


@pytest.fixture(scope="module")
def text() -> tuple[Tensor, Tensor, Tensor]:
    """Tokens [B, G, N], owner [B, T] and progress [B, T, 16] of a long text."""
    generator = torch.Generator().manual_seed(1)
    glosses = -(-LONG // EVERY)
    tokens = torch.randint(0, CONFIG.tokens, (ROWS, glosses, CONFIG.window), generator=generator)
    owner = (torch.arange(LONG) // EVERY).expand(ROWS, -1)
    elapsed = (torch.arange(LONG) % EVERY + 1.0).expand(ROWS, -1)
    rate = torch.zeros(ROWS, LONG)
    return tokens, owner, progress_features(elapsed / EVERY, elapsed, EVERY - elapsed, rate)


def remembered(network: Cogenerator, tokens: Tensor) -> Tensor:
    rows, glosses = tokens.shape[:2]
    languages = torch.ones(rows * glosses, dtype=torch.long)
    flat = network.encode(tokens.flatten(0, 1), languages, tokens.flatten(0, 1) % 2 == 0)
    return flat.unflatten(0, (rows, glosses))


def opened(network: Cogenerator, start: Tensor, rewind: int = 4) -> CogenerationState:
    state = network.open(start.shape[1], rewind=rewind)
    state.reset(start)
    return state


def stepped(
    network: Cogenerator,
    text: tuple[Tensor, Tensor, Tensor],
    state: CogenerationState,
    first: int,
    last: int,
    rows: list[int] | None = None,
    active: Tensor | None = None,
) -> Tensor:
    """Frames [M, B, last - first, C] of those of the text."""
    tokens, owner, progress = text
    rows = list(range(ROWS)) if rows is None else rows
    memory = remembered(network, tokens)
    frames = []
    for t in range(first, last):
        now = owner[rows, t]
        state.focus.put(range(len(rows)), network.focus(memory[rows, now], tokens[rows, now]))
        frames.append(network.step(progress[rows, t], state, active))
    return torch.stack(frames, 2)


@pytest.fixture(scope="module")
def start() -> Tensor:
    return torch.randn(STREAMS, ROWS, CONFIG.widest, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_frame_by_frame_equals_all_at_once_far_beyond_the_context(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], start: Tensor
) -> None:
    """Cached = uncached, at ten times the context, glosses changing under way."""
    tokens, owner, progress = text
    frames = stepped(network, text, opened(network, start), 0, LONG)
    standing = start[:, :, None]
    before = torch.cat([standing, standing, frames[:, :, :-1]], 2)
    whole, _, _ = network(before, progress, remembered(network, tokens), tokens, owner)
    torch.testing.assert_close(frames, whole, **CLOSE)
    assert frames.std() > 0.1, "frames that hardly differ would agree anyhow"


@torch.inference_mode()
def test_the_future_cannot_be_seen(network: Cogenerator, text: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, owner, progress = text
    before = torch.randn(STREAMS, ROWS, LONG + 1, CONFIG.widest)
    memory = remembered(network, tokens)
    whole, _, _ = network(before, progress, memory, tokens, owner)
    changed = before.clone()
    changed[:, :, 41:] += 1  # frame 40 is made from those up to 40
    other, _, _ = network(changed, progress, memory, tokens, owner)
    torch.testing.assert_close(whole[:, :, :40], other[:, :, :40], **CLOSE)
    assert (whole[:, :, 40] - other[:, :, 40]).abs().max() > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("back", [1, 4])
def test_rewound_never_happened(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], start: Tensor, back: int
) -> None:
    """At many positions, so that the ring has gone round between."""
    plain = stepped(network, text, opened(network, start), 0, LONG)
    state = opened(network, start)
    t = 0
    while t < LONG - back:
        first, t = t, min(t + 9, LONG - back)
        stepped(network, text, state, first, t)
        stepped(network, tuple(x.flip(0) for x in text), state, t, t + back)  # type: ignore[arg-type]
        state.rewind(back)
    last = stepped(network, text, state, t, LONG)
    torch.testing.assert_close(last, plain[:, :, t:], **CLOSE)


@torch.inference_mode()
def test_a_masked_row_is_untouched_and_rows_are_alone(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], start: Tensor
) -> None:
    """Row 1 sits out half of the steps; afterwards both are where they would be by themselves."""
    alone = [stepped(network, text, opened(network, start[:, [row]]), 0, LONG, [row]) for row in range(ROWS)]
    state = opened(network, start)
    tokens, owner, progress = text
    memory = remembered(network, tokens)
    at = [0, 0]
    made: list[list[Tensor]] = [[], []]
    for number in range(2 * LONG):
        active = [at[0] < LONG and number % 2 == 0, at[1] < LONG and number % 3 != 0]
        if not any(active):
            continue
        now = [min(t, LONG - 1) for t in at]
        index = torch.tensor([int(owner[row, t]) for row, t in enumerate(now)])
        rows = torch.arange(ROWS)
        state.focus.put(rows, network.focus(memory[rows, index], tokens[rows, index]))
        told = torch.stack([progress[row, t] for row, t in enumerate(now)])
        frame = network.step(told, state, torch.tensor(active))
        for row in range(ROWS):
            if active[row]:
                made[row].append(frame[:, row])
                at[row] += 1
    for row in range(ROWS):
        got = torch.stack(made[row], 1)
        torch.testing.assert_close(got, alone[row][:, 0, : got.shape[1]], **CLOSE)


@torch.inference_mode()
def test_a_row_that_is_reset_begins_anew_and_the_other_goes_on(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], start: Tensor
) -> None:
    plain = stepped(network, text, opened(network, start), 0, 40)
    state = opened(network, start)
    stepped(network, text, state, 0, 20)
    state.reset(start, torch.tensor([True, False]))
    tokens, owner, progress = text
    memory = remembered(network, tokens)
    rows = torch.arange(ROWS)
    for t in range(20):
        now = torch.tensor([int(owner[0, t]), int(owner[1, 20 + t])])
        state.focus.put(rows, network.focus(memory[rows, now], tokens[rows, now]))
        frame = network.step(torch.stack([progress[0, t], progress[1, 20 + t]]), state)
        torch.testing.assert_close(frame[:, 0], plain[:, 0, t], **CLOSE)
        torch.testing.assert_close(frame[:, 1], plain[:, 1, 20 + t], **CLOSE)


@torch.inference_mode()
def test_the_step_by_hand_equals_the_step(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], start: Tensor
) -> None:
    """Both kinds in turn on one state, and with steps taken back, against torch alone."""
    plain = stepped(network, text, opened(network, start[:, :1]), 0, LONG, [0])
    state = opened(network, start[:, :1])
    quick = QuickStep(network, state)
    tokens, owner, progress = text
    memory = remembered(network, tokens)
    for t in range(LONG):
        now = owner[[0], t]
        state.focus.put([0], network.focus(memory[[0], now], tokens[[0], now]))
        if t % 5 == 3:
            quick.step(progress[1:2, t].numpy())
            state.rewind(1)
        made = quick.step(progress[:1, t].numpy()) if t % 3 else network.step(progress[:1, t], state).numpy()
        torch.testing.assert_close(torch.from_numpy(made), plain[:, :, t], **CLOSE)


@torch.inference_mode()
def test_rows_step_by_hand_in_any_company_as_if_alone(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], start: Tensor
) -> None:
    """Five rows that begin, pause, go back and join at different times, in one memory: each as if it were
    alone, and who does not step is left as it was."""
    tokens, owner, progress = text
    memory = remembered(network, tokens)
    alone = stepped(network, text, opened(network, start), 0, LONG)
    many = 5
    state = network.open(many, rewind=4)
    quick = QuickStep(network, state)
    for row in range(many):
        state.reset(start[:, [row % ROWS] * many], torch.arange(many) == row)
    generator = torch.Generator().manual_seed(5)
    at = [0] * many
    for turn in range(3 * LONG):
        chosen = torch.rand(many, generator=generator) < torch.tensor([0.9, 0.5, 0.2, 0.7, 0.8])
        rows = [row for row in chosen.nonzero().flatten().tolist() if at[row] < LONG]
        if not rows:
            continue
        for row in rows:
            now = owner[[row % ROWS], at[row]]
            told = network.focus(memory[[row % ROWS], now], tokens[[row % ROWS], now])
            state.focus.put([row], told)
        made = quick.step(torch.stack([progress[row % ROWS, at[row]] for row in rows]).numpy(), rows)
        for k, row in enumerate(rows):
            wanted = alone[:, row % ROWS, at[row]]
            torch.testing.assert_close(torch.from_numpy(made[:, k]), wanted, **CLOSE)
            if turn % 11 == row:
                state.rewind(1, torch.arange(many) == row)
            else:
                at[row] += 1
    assert min(at) > LONG / 4


def test_progress_by_hand_is_progress() -> None:
    for told in ((0.1, 1.0, 9.0, 0.2), (1.0, 10.0, 0.0, -0.5), (0.5, 200.0, 200.0, 0.0)):
        wanted = progress_features(*torch.tensor(told).unbind())
        torch.testing.assert_close(torch.from_numpy(quick_progress(*told)), wanted, atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_a_gloss_is_encoded_from_its_window_alone(network: Cogenerator) -> None:
    """Appending text changes nothing outside the windows it falls into."""
    tokens = torch.randint(3, CONFIG.tokens, (1, 5, CONFIG.window))
    longer = torch.cat([tokens, torch.randint(3, CONFIG.tokens, (1, 3, CONFIG.window))], 1)
    torch.testing.assert_close(remembered(network, tokens), remembered(network, longer)[:, :5], **CLOSE)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("width", 15, "multiple of heads"),
        ("tokens", 3, "expected a whole number 4"),
        ("layers", 0, "expected a whole number 1"),
        ("around", 1, "expected a whole number 2"),
        ("context", 10**9, "65536"),
        ("width", 2.5, "whole number"),
        ("channels", (5, 7), "expected 3 numbers"),
        ("width", 65536, "thousand million weights"),
    ],
)
def test_impossible_sizes_are_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        CogenerationConfig(**{"tokens": 12, name: value})  # type: ignore[arg-type]


def test_progress_features_are_as_many_as_said_and_finite() -> None:
    numbers = [
        torch.tensor([0.0, 1.0]),
        torch.tensor([1.0, 500.0]),
        torch.tensor([499.0, 0.0]),
        torch.zeros(2),
    ]
    features = progress_features(*numbers)
    assert features.shape == (2, PROGRESS)
    assert features.isfinite().all()


# -- faster steps --------------------------------------------------------------------------------


def test_a_compiled_step_is_the_plain_one(
    network: Cogenerator, text: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows, beyond where the ring goes round, and after going back. Traced and run as one graph; turning
    it into C++ takes minutes on a small machine, `benchmarks.cogeneration --speed compile` does that."""
    traced = functools.partial(torch.compile, backend="eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", traced)
    tokens, owner, progress = text
    start = torch.randn(STREAMS, ROWS, 9, generator=torch.Generator().manual_seed(3))
    states = [opened(network, start) for _ in range(2)]
    fast, used = open_step(network, states[0], "compile")
    assert used == "compile"
    memory = remembered(network, tokens)
    with torch.inference_mode():
        for t in range(3 * CONFIG.context):
            for state in states:
                told = network.focus(memory[:, owner[0, t]], tokens[:, owner[0, t]])
                state.focus.put(list(range(ROWS)), told)
            one, other = fast(progress[:, t]), network.step(progress[:, t], states[1])
            torch.testing.assert_close(one, other, **CLOSE)
            if t == 20:
                for state in states:
                    state.rewind(3)


def test_a_step_that_differs_is_not_used(
    network: Cogenerator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(network: Cogenerator, state: CogenerationState, speed: str) -> speeds.Step:
        return lambda progress: network.step(progress, state) + 0.01

    monkeypatch.setattr(speeds, "_build", wrong)
    state = network.open(1, rewind=2)
    _, used = open_step(network, state, "compile")
    assert used == "eager"
    assert "frame 0 is 0.01 from plain torch's, more than 0.0001" in caplog.text
    with pytest.raises(ValueError, match="speed: got 'fast', expected one of eager, compile"):
        open_step(network, state, "fast")
