"""A signer as a state machine: whole text = pieces, reset = new, bounded, honest about what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from engine.signals import IDLE, Caption, MotionFrame, Unseen
from engine.signer import BacklogFull, Signer, SignerConfig, TextTooLong
from tests.engine.signing import HandMadeLexicon, PlainWords
from tests.engine.timed_choreography import TimedChoreography


def make(**settings: object) -> Signer:
    return Signer(HandMadeLexicon(), PlainWords(), language="ase", **settings)  # type: ignore[arg-type]


def caption(text: str, seq: int = 0, final: bool = True) -> Caption:
    return Caption(text, "ase", seq=seq, final=final)


def finish(signer: Signer) -> list[MotionFrame]:
    frames = [signer.step(0)]
    while not signer.resting:
        frames.append(signer.step(len(frames)))
    return frames


def same(a: list[MotionFrame], b: list[MotionFrame]) -> None:
    assert [(f.seq, f.gloss) for f in a] == [(f.seq, f.gloss) for f in b]
    np.testing.assert_array_equal(np.stack([f.smplx for f in a]), np.stack([f.smplx for f in b]))


def test_a_caption_in_pieces_is_signed_like_the_whole() -> None:
    whole, parts = make(), make()
    said = whole.say(caption("HELLO TWO WORLD"))
    pieces = [parts.say(caption(p, final=False)) for p in ("HE", "LLO T", "WO ", "WOR", "LD")]
    pieces.append(parts.flush())
    assert sum((p.glosses for p in pieces), ()) == said.glosses
    assert [len(p.glosses) for p in pieces] == [0, 5, 1, 0, 0, 5]
    same(finish(whole), finish(parts))


def test_a_new_caption_ends_the_one_before() -> None:
    signer = make()
    assert signer.say(caption("AB", 0, final=False)).glosses == ()
    said = signer.say(caption("C", 1))
    assert [(g.label, g.caption_seq) for _, g in said.glosses] == [("A", 0), ("B", 0), ("C", 1)]
    assert [index for index, _ in said.glosses] == [0, 1, 2]


def test_reset_is_as_new() -> None:
    used, new = make(seed=7, rate=1.5, left_handed=True), make(seed=7, rate=1.5, left_handed=True)
    used.say(caption("HELLO", final=False))
    for _ in range(40):
        used.step(0)
    used.reset()
    assert used.say(caption("TWO A")) == new.say(caption("TWO A"))
    same(finish(used), finish(new))


def test_interrupting_drops_pending_and_half_heard_text() -> None:
    signer = make()
    signer.say(caption("HELLO WOR", final=False))
    signer.step(0)
    signer.interrupt()
    assert signer.pending == 0
    assert signer.flush().glosses == ()
    assert {f.gloss for f in finish(signer)} == {IDLE}
    assert signer.backlog_ms == 0


def test_indices_lead_back_to_the_text() -> None:
    signer = make()
    signer.say(caption("HI TWO"))
    seen = dict.fromkeys(f.gloss for f in finish(signer))
    text = "HI TWO"
    labels = [(g.label, text[g.start : g.end]) for i in seen if (g := signer.gloss(i)) is not None]
    assert labels == [("H", "HI"), ("I", "HI"), ("TWO", "TWO")]
    assert signer.gloss(IDLE) is None
    assert signer.gloss(99) is None


def test_what_cannot_be_signed_is_said() -> None:
    signer = make()
    said = signer.say(caption("A 42 BAD! B"))
    assert said.unspellable == ("42",)
    finish(signer)
    assert [index for index, _ in signer.skipped] == [1]


def test_backlog_is_bounded_and_the_error_says_when_to_return() -> None:
    signer = make(config=SignerConfig(max_pending=10, max_text_chars=50))
    with pytest.raises(BacklogFull, match="50"):
        signer.say(caption("A" * 51))
    signer.say(caption("ABCDEFGH"))
    assert signer.pending == 8
    with pytest.raises(BacklogFull, match="10") as refused:
        signer.say(caption("ABC", 1))
    assert refused.value.retry_after_s >= 1
    assert signer.pending == 8
    finish(signer)
    assert len(signer.say(caption("ABC", 2)).glosses) == 3


def test_a_text_of_too_many_signs_leaves_the_caption_before_it_as_it_was() -> None:
    signer = make(config=SignerConfig(max_glosses=5))
    signer.say(caption("HEL", 0, final=False))
    with pytest.raises(TextTooLong, match="5"):
        signer.say(caption("ABCDEF", 1))
    assert signer.pending == 0
    said = signer.say(caption("LO", 0))
    assert [g.label for _, g in said.glosses] == list("HELLO")
    with pytest.raises(TextTooLong):
        signer.say(caption("ABCDEF", 2))
    assert signer.pending == 5
    assert {f.gloss for f in finish(signer)} >= set(range(5))


def test_words_of_a_long_piece_are_told_as_they_were_written() -> None:
    """Also those at its beginning, far from where its text ends."""
    signer = make(config=SignerConfig(max_pending=10_000))
    signer.say(Caption("a b c d " * 400, "ase", delay_ns=0))
    signer.interrupt()
    assert [fate.text for fate in signer.take_fates()] == list("abcd") * 400


def test_remembered_glosses_are_bounded() -> None:
    signer = make(config=SignerConfig(remembered=4))
    signer.say(caption("ABCDEF"))
    assert [signer.gloss(i) is None for i in range(6)] == [True, True, False, False, False, False]


@pytest.mark.parametrize("text", ["", "   ", "1 2 3"])
def test_nothing_to_sign_is_no_error(text: str) -> None:
    signer = make()
    assert signer.say(caption(text)).glosses == ()
    assert signer.resting
    assert signer.step(0).gloss == IDLE


def test_an_unknown_language_is_refused_and_changes_nothing() -> None:
    signer = make()
    signer.say(caption("HEL", final=False))
    with pytest.raises(ValueError, match="xxx"):
        signer.say(Caption("A", "xxx", seq=1))
    assert [g.label for _, g in signer.say(caption("LO", final=True)).glosses] == list("HELLO")


def test_settings_are_live_and_checked() -> None:
    signer = make()
    signer.rate, signer.left_handed = 0.5, True
    assert (signer.rate, signer.left_handed) == (0.5, True)
    with pytest.raises(ValueError, match="rate"):
        signer.rate = 3
    with pytest.raises(ValueError, match="rate"):
        make(rate=0.1)


def test_pending_counts_down_to_zero() -> None:
    signer = make()
    signer.say(caption("HI TWO"))
    counts = [signer.pending]
    while not signer.resting:
        signer.step(0)
        counts.append(signer.pending)
    assert counts[0] == 3
    assert sorted(counts, reverse=True) == counts
    assert counts[-1] == 0


@pytest.mark.parametrize("seed", range(4))
def test_unseen_steps_change_nothing_but_that_nobody_sees_them(seed: int) -> None:
    """Whenever somebody looks, it is the frame of a signer that was looked at all the time; and the rest is
    told alike: numbers, glosses, what waits, when it rests, what became of words."""
    random = np.random.default_rng(seed)
    seen, other = make(seed=seed, left_handed=seed == 1), make(seed=seed, left_handed=seed == 1)
    looks, dark = True, 0
    for step in range(700):
        for signer in (seen, other):
            if step in (5, 300):
                signer.say(caption("HELLO TWO WAVE LONG", step))
            elif step == 200:
                signer.say(Caption("WAVE LL AB BAD! TWO", "ase", seq=step, delay_ns=0))
            elif step == 330 + 20 * seed:
                signer.interrupt()
            elif step == 360:
                signer.rate, signer.left_handed = 1.7, seed != 1
                signer.say(caption("FEET TWO", step))
        if random.random() < 0.15:
            looks = not looks
        frame = seen.step(step)
        mine = other.step(step) if looks else other.step_unseen(step)
        assert (mine.seq, mine.pts_ns, mine.gloss) == (frame.seq, frame.pts_ns, frame.gloss)
        if isinstance(mine, Unseen):
            dark += 1
        else:
            for name in ("pose", "hands", "smplx", "expression"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(frame, name))
        state = (seen.pending, seen.resting, seen.backlog_ms, seen.skipped, seen.tempo)
        assert state == (other.pending, other.resting, other.backlog_ms, other.skipped, other.tempo)
        assert seen.take_fates() == other.take_fates()
    assert 100 < dark < 600


def test_a_choreography_that_cannot_spare_the_motion_may_be_stepped_unseen() -> None:
    timed = TimedChoreography()
    signer = make(choreography=timed)
    signer.say(caption("A"))
    glosses = [signer.step_unseen(step).gloss for step in range(20)]
    assert glosses == [0] * 10 + [IDLE] * 10
