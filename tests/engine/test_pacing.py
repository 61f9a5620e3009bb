"""Keeping up: nothing is hurried while there is time, what is left out is what tells least, and every word is
accounted for exactly once, whatever comes.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pacing_config import REASONS
from engine.pacing_tempo import MOST_BOOST, Tempo
from engine.pacing_unit import Fate
from engine.pacing_words import worth_of
from engine.signals import IDLE, Caption
from engine.signer import Signer
from tests.engine.signing import HandMadeLexicon, PlainWords
from tests.engine.timed_choreography import TimedChoreography

FRAME_NS = 40_000_000
S = 1_000_000_000


class Spelled(PlainWords):
    """Everything is spelled but TWO and WAVE, in any language."""

    def open(self, language: str):
        return super().open("ase")


def make(language: str = "gsg", **settings: object) -> Signer:
    return Signer(
        HandMadeLexicon(), Spelled(), language=language, choreography=TimedChoreography(), **settings
    )  # type: ignore[arg-type]


def live(text: str, at_s: float, seq: int = 1, *, delay_s: float = 0.0, final: bool = True) -> Caption:
    return Caption(text, "gsg", seq=seq, pts_ns=round(at_s * S), final=final, delay_ns=round(delay_s * S))


class Watched:
    """A signer, frame by frame: `begins` are (seconds, index), `fates` all that was told."""

    def __init__(self, signer: Signer) -> None:
        self.signer, self.frame = signer, 0
        self.begins: list[tuple[float, int]] = []
        self.fates: list[Fate] = []
        self._shown = IDLE

    def run(self, until_s: float) -> Watched:
        while self.frame * FRAME_NS < until_s * S:
            frame = self.signer.step(self.frame * FRAME_NS)
            if frame.gloss not in (self._shown, IDLE):
                self._shown = frame.gloss
                self.begins.append((self.frame * FRAME_NS / S, frame.gloss))
            self.fates += self.signer.take_fates()
            self.frame += 1
        return self

    def texts(self, kind: str) -> list[str]:
        return [fate.text for fate in self.fates if fate.kind == kind]


def dense(words: str, watched: Watched, per_s: float = 160 / 60, delay_s: float = 0.0) -> Watched:
    """Words one by one at a speaker's pace, each a caption of its own."""
    start_s = watched.frame * FRAME_NS / S
    for n, word in enumerate(words.split()):
        watched.run(start_s + n / per_s)
        watched.signer.say(live(word, start_s + n / per_s, seq=1000 + n, delay_s=delay_s))
    return watched.run(start_s + len(words.split()) / per_s + delay_s + 20)


WEATHER = (
    "und nun die vorhersage für morgen am donnerstag bleibt es im norden trocken aber richtung süden kommt "
    "regen auf und in den bergen fällt schnee bei nur vier grad in der nacht gibt es keinen frost mehr aber "
    "der wind weht stark und an der küste sind böen möglich am freitag wird es dann freundlicher mit sonne "
)


# -- while there is time ---------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [30, 36, 41])
def test_with_time_a_live_caption_is_signed_like_any_other(gap: int) -> None:
    """Words come one by one, at moments when the one before is still signed, or stands, or is over."""

    def frames(delay_ns: int | None) -> np.ndarray:
        signer = Signer(HandMadeLexicon(), PlainWords(), language="ase")
        made = []
        for i in range(6 * gap):
            if i % gap == 0 and i < 5 * gap:
                word = ("HI", "TWO", "A", "WAVE", "UP")[i // gap]
                signer.say(Caption(word, "ase", seq=i, pts_ns=i * FRAME_NS, delay_ns=delay_ns))
            made.append(signer.step(i * FRAME_NS))
        assert signer.gloss(0) is not None
        return np.stack([np.append(f.smplx.ravel(), f.gloss) for f in made])

    np.testing.assert_array_equal(frames(0), frames(None))


def test_typed_text_is_never_hurried_or_left_out() -> None:
    watched = Watched(make())
    watched.signer.say(Caption("DER REGEN KOMMT NICHT VOR DEM ABEND", "gsg", pts_ns=0))
    watched.run(40)
    assert Counter(fate.kind for fate in watched.fates) == {"signed": 7}
    assert watched.signer.tempo == 1.0
    gaps = np.diff([at for at, _ in watched.begins])
    assert np.allclose(gaps, 10 / 25)


def test_a_lone_long_word_takes_its_time() -> None:
    watched = Watched(make())
    watched.signer.say(live("donaudampfschifffahrt", 0))
    watched.run(20)
    assert watched.texts("signed") == ["donaudampfschifffahrt"]
    assert watched.signer.tempo == 1.0


# -- when there is not ------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_s", [0.0, 4.0])
def test_a_fast_speaker_is_kept_up_with(delay_s: float) -> None:
    watched = dense(WEATHER * 2, Watched(make()), delay_s=delay_s)
    signer = watched.signer
    lags = [at - signer.gloss(index).pts_ns / S for at, index in watched.begins]  # type: ignore[union-attr]
    assert np.percentile(lags, 99) <= delay_s + 3.0
    if delay_s:
        assert min(lags) >= delay_s - 1.6  # only what is too long for its time begins before it
        assert np.percentile(lags, 25) >= delay_s
    kinds = Counter(f.kind for f in watched.fates if f.kind != "abbreviated")
    assert sum(kinds.values()) == len((WEATHER * 2).split())
    assert kinds["signed"] >= 20


def test_function_words_go_first_and_negations_and_numbers_last() -> None:
    watched = dense(WEATHER, Watched(make()), delay_s=5)
    signed, out = watched.texts("signed"), watched.texts("omitted")
    assert {"vier", "keinen"} <= set(signed)
    assert {"und", "die", "der", "es", "in"} <= set(out)

    def share(words: list[str]) -> float:
        return sum(worth_of(word, "de").function for word in words) / len(words)

    assert share(signed) < 0.25 < share(out)
    assert {f.reason for f in watched.fates if f.kind == "omitted"} <= set(REASONS.values())


def test_a_word_is_never_signed_without_the_negation_before_it() -> None:
    """Many tries: the negation, and what comes with it, at other moments of other rushes."""
    together = 0
    for n in range(30):
        before = " ".join(WEATHER.split()[n : n + 12])
        text = f"{before} keine gewitter am donnerstag und heute nicht warm sondern kühl"
        watched = dense(text, Watched(make()), per_s=2 + n % 5, delay_s=n % 3)
        signed = watched.texts("signed")
        for negation, word in (("keine", "gewitter"), ("nicht", "warm")):
            assert word not in signed or negation in signed, text
            together += word in signed
    assert together, "it happens that there is time for both"


def test_a_name_is_signed_by_its_initials_within_the_minute_only() -> None:
    signer = make()
    watched = Watched(signer)
    dense("merkel " + WEATHER + " merkel " + WEATHER, watched, delay_s=6)
    cut = [f for f in watched.fates if f.kind == "abbreviated"]
    assert cut, "something was said twice"
    for fate in cut:
        assert fate.reason == REASONS["initials"]
        shown = [index for _, index in watched.begins]
        assert not set(range(fate.first, fate.last + 1)) & set(shown)
        assert fate.first - 1 in shown
        assert not worth_of(fate.text, "de").number
        assert not worth_of(fate.text, "de").negation


def test_the_tempo_rises_within_bounds_without_jerks_and_falls_again() -> None:
    signer = make(rate=0.8)
    watched, tempos = Watched(signer), []
    for n in range(40):
        watched.run(n * 0.3)
        signer.say(live("wind regen", n * 0.3, seq=n + 1))
        tempos.append(signer.tempo)
    assert max(tempos) == pytest.approx(MOST_BOOST)
    assert signer.rate == 0.8
    watched.run(30)
    assert signer.tempo == 1.0
    tempo, values = Tempo(0.5, 1.5), [1.0]
    for late_s in [5.0] * 60 + [0.0] * 120:
        tempo.step(late_s, 0.04)
        values.append(tempo.boost)
    assert max(np.abs(np.diff(values))) < 0.02
    assert (max(values), values[-1]) == (MOST_BOOST, 1.0)


# -- programme delay ---------------------------------------------------------------------------------


def test_an_hour_at_a_programme_delay_does_not_drift() -> None:
    watched = Watched(make())
    moments = [7.013 * n for n in range(514)]  # an hour, off the frames' grid
    for n, at_s in enumerate(moments):
        watched.run(at_s)
        watched.signer.say(live("ja", at_s, seq=n + 1, delay_s=3.0))
    watched.run(moments[-1] + 10)
    firsts = [at for at, index in watched.begins if index % 2 == 0]
    errors = np.array(firsts) - np.array(moments) - 3.0
    assert len(firsts) == len(moments)
    assert (errors >= 0).all()
    assert (errors <= 0.04 + 1e-9).all()


def test_a_caption_that_comes_late_is_caught_up() -> None:
    watched = Watched(make())
    watched.run(10)
    watched.signer.say(live("regen", 2.0, delay_s=4.0))  # due at 6, here at 10
    for n in range(12):
        watched.run(10 + 2.5 * n)
        watched.signer.say(live("wind", 10 + 2.5 * n, seq=2 + n, delay_s=4.0))
    watched.run(60)
    assert watched.texts("signed")[0] == "regen"
    seqs = {index: gloss.caption_seq for _, index in watched.begins if (gloss := watched.signer.gloss(index))}
    last = next(at for at, index in watched.begins if seqs[index] == 13)
    assert last == pytest.approx(10 + 2.5 * 11 + 4, abs=0.05)


# -- the books ---------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["der", "regen", "nicht", "kein", "acht", "25", "wind", "TWO", "WAVE", "donaudampfschifffahrt", "ja"]
)
EVENT = st.one_of(
    st.tuples(st.just("say"), st.lists(WORDS, min_size=1, max_size=6), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 60)),
    st.tuples(st.just("interrupt")),
    st.tuples(st.just("cold"), st.integers(0, 5)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENT, max_size=30), st.sampled_from([None, 0.0, 1.5]), st.floats(0.5, 2.0))
def test_every_word_has_one_fate(events: list[tuple], delay_s: float | None, rate: float) -> None:
    """Live and typed text, interruptions and recordings that cannot be loaded, in any order."""
    signer = make(rate=rate)
    watched = Watched(signer)
    promised: list[int] = []
    for n, event in enumerate(events):
        if event[0] == "say":
            caption = live(" ".join(event[1]), watched.frame * FRAME_NS / S, seq=n, delay_s=delay_s or 0)
            if delay_s is None or event[2]:
                caption = Caption(caption.text, "gsg", seq=n, pts_ns=caption.pts_ns)
            promised += [index for index, _ in signer.say(caption).glosses]
        elif event[0] == "wait":
            watched.run((watched.frame + event[1]) * FRAME_NS / S)
        elif event[0] == "interrupt":
            signer.interrupt()
        else:
            caption = live("wind regen", watched.frame * FRAME_NS / S, seq=n)
            said = signer.understand(caption)
            promised += [index for index, _ in said.glosses]
            for k, (index, gloss) in enumerate(said.glosses):
                if k == event[1]:
                    signer.skip(index, "broken")
                else:
                    signer.perform([(index, gloss)])
    for _ in range(40):
        watched.run((watched.frame + 250) * FRAME_NS / S)
        if signer.resting:
            break
    watched.run((watched.frame + 2) * FRAME_NS / S)
    assert signer.resting
    told = Counter(i for fate in watched.fates for i in range(fate.first, fate.last + 1))
    assert set(told) <= set(promised)
    assert all(count == 1 for count in told.values())
    shown = [index for _, index in watched.begins]
    assert len(shown) == len(set(shown)), "nothing is signed twice"
    skipped = {index for index, _ in signer.skipped}
    left = set(promised) - set(told) - skipped
    assert not left
    silent = {
        i for f in watched.fates if f.kind in ("omitted", "abbreviated") for i in range(f.first, f.last + 1)
    }
    assert not silent & set(shown), "what is told as left out was not signed"
    signed = {i for f in watched.fates if f.kind == "signed" for i in range(f.first, f.last + 1)} - skipped
    assert signed <= set(shown), "what is told as signed was"
