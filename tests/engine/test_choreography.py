"""Glosses to motion: continuous, causal, bounded in speed, mirrored exactly, alive at rest."""

from __future__ import annotations

import numpy as np
import pytest

from engine.body import load_body
from engine.choreography import LexiconChoreography, LexiconState, Timing
from engine.choreography.prepare import rest_wrists
from engine.signals import IDLE, MotionFrame
from engine.skeleton import FACE, WRIST, mirror_expression, mirror_hands, mirror_pose, mirror_smplx
from tests.engine.signing import LETTERS, HandMadeLexicon, glosses

FPS = 25.0
TOP_SPEED_M_S = 4.0
"""No wrist ever moves faster: what `Timing.wrist_speed_m_s` plans, plus the recordings' own movement."""


@pytest.fixture(scope="module")
def choreography() -> LexiconChoreography:
    return LexiconChoreography(HandMadeLexicon(), fps=FPS)


def sign(
    choreography: LexiconChoreography, state: LexiconState, text: str, spare: int = 40
) -> list[MotionFrame]:
    choreography.append(glosses(text), state)
    frames = []
    while not state.resting:
        frames.append(choreography.step(state, len(frames)))
        assert len(frames) < 20_000
    return frames + [choreography.step(state, len(frames) + i) for i in range(spare)]


def wrists(frames: list[MotionFrame]) -> np.ndarray:
    _, position = load_body().fk(np.stack([f.smplx for f in frames]))
    return position[:, [WRIST["left"], WRIST["right"]]]


def speeds(frames: list[MotionFrame]) -> np.ndarray:
    return np.linalg.norm(np.diff(wrists(frames), axis=0), axis=-1) * FPS


def same(a: list[MotionFrame], b: list[MotionFrame]) -> None:
    assert [f.gloss for f in a] == [f.gloss for f in b]
    for name in ("smplx", "expression", "pose", "hands"):
        np.testing.assert_array_equal(
            np.stack([getattr(f, name) for f in a]), np.stack([getattr(f, name) for f in b])
        )


def spans(frames: list[MotionFrame]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for i, frame in enumerate(frames):
        found.setdefault(frame.gloss, []).append(i)
    return found


def test_every_gloss_is_performed_once_and_in_order(choreography: LexiconChoreography) -> None:
    frames = sign(choreography, choreography.open(), "HELLO TWO WORLD LONG W")
    order = [
        f.gloss for f, g in zip(frames, [None, *frames], strict=False) if f.gloss != getattr(g, "gloss", None)
    ]
    assert [i for i in order if i != IDLE] == list(range(13))
    assert all(np.ptp(at) == len(at) - 1 for i, at in spans(frames).items() if i != IDLE)


def test_the_modalities_agree(choreography: LexiconChoreography) -> None:
    frames = sign(choreography, choreography.open(), "AW TWO")
    motion = load_body().motion(
        np.stack([f.smplx for f in frames]), np.stack([f.expression for f in frames]), FPS
    )
    np.testing.assert_allclose(np.stack([f.pose for f in frames]), motion.pose, atol=1e-5)
    np.testing.assert_allclose(np.stack([f.hands for f in frames]), motion.hands, atol=1e-4)


def test_pieces_in_time_give_the_same_frames_as_the_whole(choreography: LexiconChoreography) -> None:
    whole = sign(choreography, choreography.open(), "HELLO TWO")
    state, parts = choreography.open(), glosses("HELLO TWO")
    pieces: list[MotionFrame] = []
    for part in parts:
        choreography.append([part], state)
        pieces += [choreography.step(state, 0) for _ in range(2)]
    while len(pieces) < len(whole):
        pieces.append(choreography.step(state, 0))
    same(whole, pieces)


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_the_next_gloss_need_not_be_known_sooner_than_the_look_ahead(
    choreography: LexiconChoreography, rate: float
) -> None:
    """Fed each gloss when at most 5 frames of the present one are left, or told all at once: the same
    frames.
    """
    text = "ABBA TWO LONG HELLO WAVE"
    whole = sign(choreography, choreography.open(seed=3, rate=rate), text)
    state, waiting = choreography.open(seed=3, rate=rate), glosses(text)
    choreography.append([waiting.pop(0)], state)
    fed = []
    while len(fed) < len(whole):
        left = (state.clip.leave - state.at) / rate if state.clip is not None else np.inf
        if (
            waiting and not state.queue and left <= Timing().look_ahead_frames + 1
        ):  # the frame to come is the 5th
            choreography.append([waiting.pop(0)], state)
        fed.append(choreography.step(state, 0))
    assert not waiting
    same(whole, fed)


@pytest.mark.parametrize("text", ["A", "TWO", "LONG"])
def test_the_first_frame_after_append_moves_and_names_its_gloss(
    choreography: LexiconChoreography, text: str
) -> None:
    state, still = choreography.open(seed=1), choreography.open(seed=1)
    for _ in range(30):
        choreography.step(state, 0), choreography.step(still, 0)
    choreography.append(glosses(text), state)
    moved, idle = choreography.step(state, 0), choreography.step(still, 0)
    assert moved.gloss == 0
    assert np.abs(wrists([moved]) - wrists([idle])).max() > 1e-4
    assert np.abs(wrists([choreography.step(state, 0)]) - wrists([idle])).max() > 2e-3


def test_motion_is_continuous_and_bounded_over_a_long_random_text(choreography: LexiconChoreography) -> None:
    random = np.random.default_rng(5)
    words = ["".join(random.choice(list(LETTERS), random.integers(1, 9))) for _ in range(12)]
    frames = sign(choreography, choreography.open(), " ".join([*words, "TWO LONG WAVE"]))
    assert speeds(frames).max() < TOP_SPEED_M_S
    expression = np.stack([f.expression for f in frames])
    lids = [FACE["eyeBlinkLeft"], FACE["eyeBlinkRight"]]
    assert np.abs(np.diff(np.delete(expression, lids, 1), axis=0)).max() < 0.3
    assert expression.min() >= 0
    assert expression.max() <= 1


@pytest.mark.parametrize("at", [3, 11, 16, 25, 33])
def test_interruption_leads_to_rest_at_once_and_smoothly(choreography: LexiconChoreography, at: int) -> None:
    state = choreography.open()
    choreography.append(glosses("TWO HELLO LONG"), state)
    before = [choreography.step(state, 0) for _ in range(at)]
    choreography.interrupt(state)
    assert state.pending == 0
    after = [choreography.step(state, 0) for _ in range(30)]
    assert {f.gloss for f in after} == {IDLE}
    assert state.resting
    assert speeds(before + after).max() < TOP_SPEED_M_S
    home = rest_wrists(load_body())
    assert np.linalg.norm(wrists(after)[-1] - home, axis=-1).max() < 0.03  # idle life sways a little


def test_interruption_then_text_again_signs_on(choreography: LexiconChoreography) -> None:
    state = choreography.open()
    choreography.append(glosses("HELLO"), state)
    frames = [choreography.step(state, 0) for _ in range(30)]
    choreography.interrupt(state)
    frames += [choreography.step(state, 0) for _ in range(3)]
    choreography.append(glosses("TWO", 5), state)
    frames += [choreography.step(state, 0) for _ in range(30)]
    assert frames[33].gloss == 5
    assert speeds(frames).max() < TOP_SPEED_M_S


def test_rate_scales_durations(choreography: LexiconChoreography) -> None:
    text = "HELLO TWO LONG WORLD"
    lengths = {}
    for rate in (0.5, 1.0, 2.0):
        frames = sign(choreography, choreography.open(rate=rate), text, 0)
        named = [i for i, f in enumerate(frames) if f.gloss != IDLE]
        lengths[rate] = named[-1] - named[0]
    assert 0.45 < lengths[2.0] / lengths[1.0] < 0.68
    assert 1.7 < lengths[0.5] / lengths[1.0] < 2.2


def test_a_change_of_rate_is_complete_within_the_look_ahead(choreography: LexiconChoreography) -> None:
    state = choreography.open(rate=0.5)
    choreography.append(glosses("LONG"), state)
    for _ in range(32):
        choreography.step(state, 0)
    state.rate = 2.0
    steps = []
    for _ in range(Timing().look_ahead_frames):
        before = state.at
        choreography.step(state, 0)
        steps.append(state.at - before)
    assert steps[-1] == pytest.approx(2.0)
    assert np.all(np.diff([0.5, *steps]) < 0.5)


def test_left_handed_is_the_mirror_image(choreography: LexiconChoreography) -> None:
    right = sign(choreography, choreography.open(seed=2), "HELLO TWO")
    left = sign(choreography, choreography.open(seed=2, left_handed=True), "HELLO TWO")
    assert [f.gloss for f in left] == [f.gloss for f in right]
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a.smplx, mirror_smplx(b.smplx), atol=2e-5)
        np.testing.assert_allclose(a.expression, mirror_expression(b.expression), atol=1e-6)
        np.testing.assert_allclose(
            a.pose, mirror_pose(b.pose), atol=2e-3
        )  # the body is symmetric to a millimetre
        np.testing.assert_allclose(a.hands, mirror_hands(b.hands), atol=1e-4)


@pytest.mark.parametrize("at", [0, 20, 300])
def test_changing_hands_is_smooth(choreography: LexiconChoreography, at: int) -> None:
    state = choreography.open()
    choreography.append(glosses("HELLO WORLD"), state)
    frames = [choreography.step(state, 0) for _ in range(at)]
    state.left_handed = True
    frames += [choreography.step(state, 0) for _ in range(120)]
    assert speeds(frames).max() < TOP_SPEED_M_S
    assert state.mirrored


def test_a_still_letter_stands_and_a_moving_one_moves(choreography: LexiconChoreography) -> None:
    frames = sign(choreography, choreography.open(), "AWB")
    at = spans(frames)
    right = wrists(frames)[:, 1]
    assert np.ptp(right[at[2][1:]], axis=0).max() < 0.012
    assert np.ptp(right[at[1]], axis=0).max() > 0.03
    assert len(at[1]) > len(at[2]) - Timing().spelled_pause_s * FPS


def test_doubled_letters_step_aside(choreography: LexiconChoreography) -> None:
    frames = sign(choreography, choreography.open(), "ALLA")
    at = spans(frames)
    right = wrists(frames)[:, 1]
    step = right[at[2][len(at[2]) // 2]] - right[at[1][len(at[1]) // 2]]
    assert -0.06 < step[0] < -0.03  # outward: to the signer's right
    assert abs(step[1]) < 0.015
    a = [right[at[i][-2]] for i in (0, 3)]
    assert np.linalg.norm(a[0] - a[1]) < 0.02


def test_the_hand_that_does_not_sign_rests(choreography: LexiconChoreography) -> None:
    frames = sign(choreography, choreography.open(), "HELLO")
    assert np.linalg.norm(wrists(frames)[:, 0] - rest_wrists(load_body())[0], axis=-1).max() < 0.03


def test_long_dictionary_signs_are_capped(choreography: LexiconChoreography) -> None:
    at = spans(sign(choreography, choreography.open(), "A LONG A"))
    longest_s = 4.0 / Timing().max_squeeze
    assert len(at[1]) / FPS < longest_s + 0.2


def test_it_waits_ready_for_a_moment_before_going_to_rest(choreography: LexiconChoreography) -> None:
    frames = sign(choreography, choreography.open(), "A", 0)
    last = max(spans(frames)[0])
    moving = np.flatnonzero(speeds(frames)[last:, 1] > 0.15)[0]
    assert moving == pytest.approx(Timing().ready_s * FPS, abs=3)


def test_idle_life_is_seeded_and_alive(choreography: LexiconChoreography) -> None:
    def live(seed: int) -> list[MotionFrame]:
        state = choreography.open(seed=seed)
        return [choreography.step(state, 0) for _ in range(1500)]

    one, again, other = live(1), live(1), live(2)
    same(one, again)
    assert np.abs(one[500].smplx - other[500].smplx).max() > 1e-4
    lids = np.stack([f.expression for f in one])[:, FACE["eyeBlinkLeft"]]
    blinks = np.flatnonzero((lids[1:] > 0.5) & (lids[:-1] <= 0.5))
    assert 8 <= len(blinks) <= 30  # in a minute
    assert np.diff(blinks).min() > 5
    assert speeds(one).max() < 0.08
    assert 0.002 < np.ptp(wrists(one), axis=0).max() < 0.06


def test_signers_share_a_choreography_and_not_a_fate(choreography: LexiconChoreography) -> None:
    alone = sign(choreography, choreography.open(seed=4), "HELLO")
    state, busy = choreography.open(seed=4), choreography.open(seed=9)
    choreography.append(glosses("HELLO"), state)
    choreography.append(glosses("TWO LONG"), busy)
    together = []
    for i in range(len(alone)):
        together.append(choreography.step(state, i))
        choreography.step(busy, i)
    same(alone, together)


def test_a_broken_recording_is_skipped_and_reported(choreography: LexiconChoreography) -> None:
    state = choreography.open()
    frames = sign(choreography, state, "A BAD! B")
    assert {f.gloss for f in frames} == {IDLE, 0, 2}
    assert [index for index, _ in state.skipped] == [1]
    assert "truncated" in state.skipped[0][1]


def test_nothing_but_broken_recordings_ends_at_rest(choreography: LexiconChoreography) -> None:
    state = choreography.open()
    sign(choreography, state, "BAD! BAD!")
    assert state.pending == 0
    assert len(state.skipped) == 2


def test_the_backlog_estimate_is_near_the_truth(choreography: LexiconChoreography) -> None:
    state = choreography.open()
    for _, gloss in glosses("HELLO WORLD TWO"):
        choreography.warm(gloss)
    choreography.append(glosses("HELLO WORLD TWO"), state)
    estimate_s = choreography.backlog_ms(state) / 1000
    frames = 0
    while state.pending:
        choreography.step(state, 0)
        frames += 1
    assert estimate_s == pytest.approx(frames / FPS, rel=0.25)
    assert choreography.backlog_ms(state) == 0


@pytest.mark.parametrize("rate", [0.49, 2.01, float("nan"), -1])
def test_rates_out_of_range_are_refused(choreography: LexiconChoreography, rate: float) -> None:
    state = choreography.open()
    with pytest.raises(ValueError, match="rate"):
        state.rate = rate


@pytest.mark.parametrize("fps", [25.0, 30.0, 50.0])
def test_other_frame_rates_take_the_same_time(fps: float) -> None:
    choreography = LexiconChoreography(HandMadeLexicon(), fps=fps)
    frames = sign(choreography, choreography.open(), "HI TWO", 0)
    usual = LexiconChoreography(HandMadeLexicon(), fps=FPS)
    assert len(frames) / fps == pytest.approx(len(sign(usual, usual.open(), "HI TWO", 0)) / FPS, rel=0.08)
