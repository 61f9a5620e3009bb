"""Several signers of one model in common steps: each signs exactly as if it were alone."""

from __future__ import annotations

import functools
import gc

import numpy as np
import pytest
import torch

from engine.choreography.cogeneration import CORRECTOR, CogenerationChoreography, CogenerationSigning
from engine.choreography.cogeneration_lanes import ROWS, Bench, Lane, Made, Told
from engine.choreography.cogeneration_model import CogenerationModel
from engine.choreography.cogeneration_run import Ahead
from engine.clock import ManualClock
from engine.corrector import Corrector
from engine.features import pack
from engine.scheduler import Scheduler
from engine.signals import Caption, FloatArray, Gloss, MotionFrame
from engine.signer import Signer
from tests.engine.signing import HandMadeLexicon, PlainWords

WORDS = (
    "quick brown",
    "over",
    "lazy dog jumps",
    "hello",
    "sphinx of",
    "black quartz",
    "judge",
    "my vow",
    "a",
)
CLOSE = 1e-5


@functools.cache
def shipped() -> tuple[CogenerationModel, Corrector]:
    return CogenerationModel.open(), Corrector.open(CORRECTOR)


def fresh() -> CogenerationChoreography:
    """With memories of its own."""
    model, corrector = shipped()
    return CogenerationChoreography(HandMadeLexicon(), model, corrector=corrector)


def letters(text: str, first: int = 0) -> list[tuple[int, Gloss]]:
    glosses = [
        Gloss(c.upper(), c, "ase", True, k == len(word) - 1)
        for word in text.split()
        for k, c in enumerate(word)
    ]
    return list(enumerate(glosses, first))


def act(choreography: CogenerationChoreography, state: CogenerationSigning, who: int, t: int) -> None:
    """What happens to signer `who` before frame `t`: each in its own time."""
    if t == 3 * who:
        choreography.append(letters(WORDS[who]), state)
    if t == 30 + 5 * who:
        choreography.append(letters("more", first=50), state)
    if t == 40 and who % 3 == 1:
        state.rate = 1.4
    if t == 45 and who % 4 == 2:
        choreography.interrupt(state)
    if t == 60 and who % 4 == 2:
        choreography.append(letters("again", first=80), state)


def signed(frames: int, who: range, *, together: bool) -> list[FloatArray]:
    """Frames [T, 694] of each signer."""
    choreography = fresh()
    states = [choreography.open(seed=k) for k in who]
    shown: list[list[FloatArray]] = [[] for _ in who]
    for t in range(frames):
        for k, state in zip(who, states, strict=True):
            act(choreography, state, k, t)
        if together:
            choreography.together(states)
        for state, own in zip(states, shown, strict=True):
            own.append(pack(choreography.step(state, 0)))
    return [np.stack(own) for own in shown]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows every step of a bench has had."""
    counted: list[int] = []
    plain = Bench.step

    def step(self: Bench, told: list[Told], rows: list[int]) -> list[Made]:
        counted.append(len(rows))
        return plain(self, told, rows)

    monkeypatch.setattr(Bench, "step", step)
    return counted


def test_signers_in_company_sign_as_if_alone(steps: list[int]) -> None:
    """Nine of them, so more than one memory holds; they begin, are interrupted, change their rate and go on
    at different times."""
    frames, who = 90, range(len(WORDS))
    assert len(WORDS) > ROWS
    company = signed(frames, who, together=True)
    assert max(steps) == ROWS
    shared = len(steps)
    steps.clear()
    for k, own in zip(who, company, strict=True):
        alone = signed(frames, range(k, k + 1), together=True)[0]
        np.testing.assert_allclose(own, alone, atol=CLOSE)
    assert set(steps) == {1}
    assert shared < len(steps) / 3, "most steps were common ones"


def test_who_fails_does_so_alone() -> None:
    """A row whose frames are no numbers any more: its signer is told, and no other one's frame changes. Who
    has that row next signs as if nothing had happened."""
    choreography = fresh()
    states = [choreography.open(seed=k) for k in range(3)]
    sound = signed(20, range(3), together=True)
    failed = False
    for t in range(20):
        for k, state in enumerate(states):
            act(choreography, state, k, t)
        if t == 12:
            poison(states[1])
        choreography.together(states)
        for k, state in enumerate(states):
            if k == 1 and t >= 12:
                if not failed:
                    with pytest.raises(RuntimeError, match="NaN; the signer begins anew"):
                        choreography.step(state, 0)
                failed = True
            else:
                np.testing.assert_allclose(pack(choreography.step(state, 0)), sound[k][t], atol=CLOSE)
    assert failed
    states[1] = state = choreography.open(seed=1)
    gc.collect()
    for t in range(20):
        act(choreography, state, 1, t)
        np.testing.assert_allclose(pack(choreography.step(state, 0)), sound[1][t], atol=CLOSE)
    assert state.run is not None
    assert state.run.lane.row == 1


def poison(state: CogenerationSigning) -> None:
    assert state.run is not None
    lane = state.run.lane
    lane.bench.state.history[:, lane.row] = torch.nan
    lane.bench.state.ring.keys[:, :, lane.row] = torch.nan


def test_ways_of_stepping_that_take_one_signer_take_them_in_turn(steps: list[int]) -> None:
    """Plain torch, as it is where nothing faster can be had: the same frames, without company."""
    model, corrector = shipped()
    shown = []
    for speed in ("hand", "eager"):
        choreography = CogenerationChoreography(
            HandMadeLexicon(), model, corrector=corrector, ahead=Ahead(speed=speed)
        )
        states = [choreography.open(seed=k) for k in range(2)]
        for k, state in enumerate(states):
            choreography.append(letters(WORDS[k]), state)
        steps.clear()
        frames = []
        for _ in range(15):
            choreography.together(states)
            frames += [pack(choreography.step(state, 0)) for state in states]
        assert max(steps) == (2 if speed == "hand" else 1)
        shown.append(np.stack(frames))
    np.testing.assert_allclose(shown[0], shown[1], atol=1e-4)


def test_rows_are_free_again_whoever_let_go_of_them() -> None:
    choreography = fresh()
    lanes = choreography._lanes
    held = [lanes.take() for _ in range(3)]
    bench = held[0].bench
    assert len(bench.free) == ROWS - 3
    held[0].give()
    held[0].give()
    assert len(bench.free) == ROWS - 2, "given back once"
    held.clear()  # a signer that failed gives nothing back
    assert sorted(bench.free) == list(range(ROWS))
    many = [lanes.take() for _ in range(2 * ROWS)]
    assert len({(id(lane.bench), lane.row) for lane in many}) == 2 * ROWS
    assert isinstance(many[0], Lane)


def test_the_scheduler_steps_signers_of_one_choreography_together(steps: list[int]) -> None:
    texts = {"a": "quick", "b": "lazy", "c": "jumps", "d": "vow"}

    def shown(names: str) -> dict[str, list[MotionFrame]]:
        choreography = fresh()
        frames: dict[str, list[MotionFrame]] = {name: [] for name in names}
        with_own_clock = Scheduler(clock=ManualClock(1_000))
        for name in names:
            signer = Signer(
                HandMadeLexicon(), PlainWords(), language="ase", choreography=choreography, seed=ord(name)
            )
            signer.say(Caption(texts[name], "ase", seq=0, final=True))
            with_own_clock.add(name, signer, frames[name].append)
        with_own_clock.run(40)
        with_own_clock.close()
        return frames

    company = shown("abcd")
    assert steps.count(4) > 30
    for name, frames in company.items():
        for one, other in zip(frames, shown(name)[name], strict=True):
            np.testing.assert_allclose(pack(one), pack(other), atol=CLOSE)
            assert one.gloss == other.gloss
