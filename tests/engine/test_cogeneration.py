"""Signing from the shipped co-generation model: in order, alike, faithful to what was asked, and never
frozen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.choreography import LexiconChoreography
from engine.choreography.cogeneration import CogenerationChoreography, CogenerationSigning
from engine.choreography.cogeneration_clock import GlossClock
from engine.choreography.cogeneration_lanes import ON_GPU
from engine.choreography.cogeneration_model import CogenerationModel
from engine.choreography.cogeneration_run import Ahead
from engine.corrector import Corrector, CorrectorConfig
from engine.features import pack, split
from engine.lexicon import Lexicon
from engine.signals import IDLE, FloatArray, Gloss, MotionFrame
from tests.engine.signing import HandMadeLexicon


@pytest.fixture(scope="module")
def model() -> CogenerationModel:
    return CogenerationModel.open()


@pytest.fixture(scope="module")
def choreography(model: CogenerationModel) -> CogenerationChoreography:
    return CogenerationChoreography(HandMadeLexicon(), model)


def spelled(text: str, language: str = "ase", first: int = 0) -> list[tuple[int, Gloss]]:
    """Letters; words in capitals that the hand-made lexicon knows (TWO, LONG) are signs."""
    out: list[Gloss] = []
    for word in text.split():
        if word in ("TWO", "LONG", "BAD!"):
            out.append(Gloss(word, word, language))
        else:
            out += [Gloss(c.upper(), c, language, True, k == len(word) - 1) for k, c in enumerate(word)]
    return list(enumerate(out, first))


def finish(
    choreography: CogenerationChoreography, state: CogenerationSigning, most: int = 3000
) -> list[MotionFrame]:
    frames = [choreography.step(state, 0)]
    while (state.pending or not state.resting) and len(frames) < most:
        frames.append(choreography.step(state, 0))
    assert len(frames) < most, "it does not come to rest"
    return frames


def order(frames: list[MotionFrame]) -> list[int]:
    """Glosses in the order they are shown."""
    shown = [frame.gloss for frame in frames if frame.gloss != IDLE]
    return [g for i, g in enumerate(shown) if i == 0 or g != shown[i - 1]]


def wrists(frames: list[MotionFrame]) -> FloatArray:
    """[T, 2, 2]: both wrists of the picture, shoulder widths."""
    return np.stack([frame.pose[[4, 7]] for frame in frames])


def test_letters_are_generated_once_in_order_and_it_rests(choreography: CogenerationChoreography) -> None:
    state = choreography.open(seed=1)
    choreography.append(spelled("hello world"), state)
    assert state.pending == 10
    assert choreography.backlog_ms(state) > 1000
    frames = finish(choreography, state)
    assert order(frames) == list(range(10))
    assert frames[0].gloss == 0, "a sign that begins from stillness is named from its first frame"
    assert not choreography.fallbacks
    assert 60 < len(frames) < 250
    assert np.abs(np.diff(wrists(frames), axis=0)).max() < 0.35, "no wrist jumps from one frame to the next"
    still = choreography.open(seed=1)
    for _ in range(40):
        rest = choreography.step(still, 0)
    assert np.abs(frames[-1].smplx - rest.smplx).max() < 0.15, "it ends as it rests"


def test_what_is_generated_looks_like_the_recordings(model: CogenerationModel) -> None:
    """The hand of every letter, where it stands, beside the recording's: mean angle of the finger joints."""
    lexicon = Lexicon.default()
    try:
        alphabet = lexicon.alphabet("ase")
        letters = [(i, Gloss(c.upper(), alphabet[c], "ase", True, True)) for i, c in enumerate("aeiloy")]
        recorded = LexiconChoreography(lexicon)
        for _, gloss in letters:
            recorded.warm(gloss)
        hands = []
        for choreography in (CogenerationChoreography(lexicon, model), recorded):
            state = choreography.open(seed=0)
            choreography.append(letters, state)
            frames = finish(choreography, state)  # type: ignore[arg-type]
            held = [[f for f in frames if f.gloss == i] for i, _ in letters]
            hands.append(np.stack([group[len(group) // 2].hands[1, 1:] for group in held]))
    finally:
        lexicon.close()
    apart = np.linalg.norm(hands[0][:, None] - hands[1][None], axis=-1).mean(-1)  # [generated, recorded]
    assert (apart.argmin(1) == np.arange(len(letters))).all(), "each letter is nearest to itself"
    assert np.degrees(np.diag(apart)).mean() < 10


def test_doubled_letters_step_aside(choreography: CogenerationChoreography) -> None:
    state = choreography.open()
    choreography.append(spelled("lll ll"), state)
    frames = finish(choreography, state)
    across = [[f.pose[4, 0] for f in frames if f.gloss == i][-2] for i in range(5)]
    assert across[0] - across[1] > 0.05
    assert across[1] - across[2] > 0.05
    assert across[3] - across[4] > 0.05
    assert abs(across[0] - across[3]) < 0.05, "another word begins where the first one did"
    assert np.abs(np.diff(wrists(frames), axis=0)).max() < 0.35


def test_the_same_glosses_and_seed_give_the_same_frames(choreography: CogenerationChoreography) -> None:
    """Two signers side by side, stepped in turn, and one alone: no signer changes another."""
    states = [choreography.open(seed=s) for s in (5, 6)]
    for state, word in zip(states, ("quick", "lazy"), strict=True):
        choreography.append(spelled(word), state)
    together = [[choreography.step(state, 0) for state in states] for _ in range(60)]
    alone = choreography.open(seed=5)
    choreography.append(spelled("quick"), alone)
    for pair in together:
        np.testing.assert_allclose(pack(pair[0]), pack(choreography.step(alone, 0)), atol=1e-5)


@pytest.mark.parametrize("frames_ahead", [2, 4, 8])
def test_how_far_it_decodes_ahead_changes_nothing(
    choreography: CogenerationChoreography, model: CogenerationModel, frames_ahead: int
) -> None:
    """In pieces of 1, 2, 4, 8 frames: also when text comes while going to rest was decoded already."""
    others = CogenerationChoreography(HandMadeLexicon(), model, ahead=Ahead(frames_ahead))
    just_in_time = CogenerationChoreography(HandMadeLexicon(), model, ahead=Ahead(1))
    shown = []
    for one in (just_in_time, others):
        state = one.open(seed=2)
        one.append(spelled("ab"), state)
        frames = []
        while state.pending:
            frames.append(one.step(state, 0))
        one.append(spelled("cd", first=2), state)
        shown.append(np.stack([pack(f) for f in [*frames, *finish(one, state)]]))
    np.testing.assert_allclose(shown[1], shown[0], atol=1e-5)


@pytest.mark.parametrize("speed", ["eager", "hand", "cuda-graph", "tensorrt"])
def test_each_way_of_stepping_shows_the_same(
    choreography: CogenerationChoreography,
    model: CogenerationModel,
    speed: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sentence after sentence, on lanes used again; without a GPU torch takes over, and that is said once."""
    others = CogenerationChoreography(HandMadeLexicon(), model, ahead=Ahead(speed=speed))
    states = [one.open(seed=2) for one in (choreography, others)]
    shown: list[list[FloatArray]] = [[], []]
    with caplog.at_level("WARNING"):
        for first, text in ((0, "ab"), (2, "cd")):
            for one, state, frames in zip((choreography, others), states, shown, strict=True):
                one.append(spelled(text, first=first), state)
                frames += [pack(frame) for frame in finish(one, state)]
    model.network.to("cpu")
    np.testing.assert_allclose(np.stack(shown[1]), np.stack(shown[0]), atol=1e-4)
    if speed in ON_GPU and not torch.cuda.is_available():
        told = [r.message for r in caplog.records if "goes on in plain torch" in r.message]
        assert len(told) == 1
        assert "needs a GPU" in told[0]


def test_a_way_of_stepping_that_is_not_known_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Ahead.speed: got 'fast', expected one of auto, hand, eager, compile"
    ):
        Ahead(speed="fast")


def test_what_was_shown_does_not_depend_on_what_comes(choreography: CogenerationChoreography) -> None:
    """And a gloss that comes while the hands sink is taken up at once."""
    states = [choreography.open(seed=3) for _ in range(2)]
    for state in states:
        choreography.append(spelled("ok"), state)
    while states[0].pending:
        first, second = (choreography.step(state, 0) for state in states)
        np.testing.assert_array_equal(pack(first), pack(second))
    for _ in range(15):  # now the hands are on their way down
        choreography.step(states[0], 0)
    choreography.append(spelled("go", first=2), states[0])
    assert order([choreography.step(states[0], 0) for _ in range(4)]) == [2]
    assert order(finish(choreography, states[0])) == [2, 3]


def test_signs_the_model_does_not_know_come_from_the_lexicon_and_that_is_said(
    model: CogenerationModel, caplog: pytest.LogCaptureFixture
) -> None:
    choreography = CogenerationChoreography(HandMadeLexicon(), model)
    state = choreography.open(seed=0)
    with caplog.at_level("INFO"):
        choreography.append(spelled("TWO hi LONG TWO ok TWO"), state)
    assert choreography.fallbacks == {"ase/TWO": 3, "ase/LONG": 1}
    assert "ase/TWO" in caplog.text
    assert "ase/LONG, ase/TWO" in choreography.remark
    for _, gloss in spelled("TWO LONG"):
        choreography.warm(gloss)
        assert choreography.warmed(gloss)
    frames = finish(choreography, state)
    assert order(frames) == list(range(8))
    assert np.abs(np.diff(wrists(frames), axis=0)).max() < 0.5


def test_a_recording_that_cannot_be_read_is_skipped(choreography: CogenerationChoreography) -> None:
    state = choreography.open()
    choreography.append(spelled("a BAD! b"), state)
    frames = finish(choreography, state)
    assert order(frames) == [0, 2]
    assert [index for index, _ in state.skipped] == [1]


def test_interruption_leads_to_rest(choreography: CogenerationChoreography) -> None:
    for at in (3, 30):
        state = choreography.open()
        choreography.append(spelled("interrupted TWO"), state)
        for _ in range(at):
            choreography.step(state, 0)
        choreography.interrupt(state)
        assert state.pending == 0
        assert len(finish(choreography, state)) < 40
        choreography.append(spelled("on", first=20), state)
        assert order(finish(choreography, state)) == [20, 21]


def test_the_rate_is_followed_also_under_way(choreography: CogenerationChoreography) -> None:
    lengths = []
    for first, then in ((1.0, 1.0), (1.7, 1.7), (1.0, 1.7), (0.6, 0.6)):
        state = choreography.open(rate=first)
        choreography.append(spelled("alphabets"), state)
        frames = [choreography.step(state, 0) for _ in range(30)]
        state.rate = then
        while state.pending:
            frames.append(choreography.step(state, 0))
        assert order(frames) == list(range(9))
        lengths.append(len(frames))
    usual, fast, changed, slow = lengths
    assert 0.5 < fast / usual < 0.75
    assert fast < changed < usual
    assert 1.3 < slow / usual < 1.9


def test_left_handed_is_the_mirror_image(choreography: CogenerationChoreography) -> None:
    right, left = (choreography.open(seed=4, left_handed=hand) for hand in (False, True))
    for state in (right, left):
        choreography.append(spelled("mirror"), state)
    for _ in range(60):
        one, other = choreography.step(right, 0), choreography.step(left, 0)
        np.testing.assert_allclose(one.pose[39:60, 0], -other.pose[18:39, 0], atol=2e-3)
        np.testing.assert_allclose(one.pose[39:60, 1], other.pose[18:39, 1], atol=2e-3)


def test_changing_hands_is_smooth(choreography: CogenerationChoreography) -> None:
    state = choreography.open()
    choreography.append(spelled("changing"), state)
    frames = [choreography.step(state, 0) for _ in range(30)]
    state.left_handed = True
    frames += finish(choreography, state)
    assert np.abs(np.diff(wrists(frames), axis=0)).max() < 0.45
    assert order(frames) == list(range(8))


def test_ten_thousand_glosses_are_taken_and_signed_on(choreography: CogenerationChoreography) -> None:
    state = choreography.open()
    choreography.append(spelled("abcdefghij" * 1000), state)  # ten minutes and more
    assert state.pending == 10_000
    frames = [choreography.step(state, 0) for _ in range(250)]
    assert order(frames) == list(range(order(frames)[-1] + 1))
    travelled = np.linalg.norm(np.diff(pack_hands(frames), axis=0), axis=-1)
    quiet = np.array([travelled[i : i + 25].max() for i in range(0, 225, 25)])
    assert (quiet > 0.05).all(), "in every second something moves"
    choreography.interrupt(state)
    finish(choreography, state)


def pack_hands(frames: list[MotionFrame]) -> FloatArray:
    return np.stack([split(pack(frame))["hands"] for frame in frames])


def test_a_corrector_that_changes_nothing_changes_nothing(model: CogenerationModel) -> None:
    """An untrained corrector of the paper's form is the identity: with its look-ahead and its ring, frames
    are the same, none is lost."""
    corrector = Corrector(CorrectorConfig(geometry=False), model.channels.normaliser).eval()
    plain = CogenerationChoreography(HandMadeLexicon(), model)
    corrected = CogenerationChoreography(HandMadeLexicon(), model, corrector=corrector)
    shown = []
    for choreography in (plain, corrected):
        state = choreography.open(seed=7)
        choreography.append(spelled("so TWO be"), state)
        frames = [choreography.step(state, 0) for _ in range(25)]
        state.rate = 1.3  # what was decoded ahead is taken back
        frames += [choreography.step(state, 0) for _ in range(60)]
        choreography.append(spelled("it", first=5), state)
        shown.append([*frames, *finish(choreography, state)])
    assert order(shown[0]) == order(shown[1]) == list(range(7))
    one, other = (np.stack([pack(frame) for frame in frames]) for frames in shown)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_clock_keeps_time_though_frames_are_whole() -> None:
    clock, frames = GlossClock(), 0
    for _ in range(200):
        clock.start(7.37)
        seen = []
        while not clock.over:
            clock.tick()
            seen.append(clock.progress)
            frames += 1
        assert seen == sorted(seen)
        assert seen[-1] == pytest.approx(1)
    assert frames == pytest.approx(200 * 7.37, abs=1)
    clock.start(10)
    clock.tick()
    clock.stretch(40)
    assert clock.left == 36
    clock.start(float("inf"))
    assert clock.left <= 501
