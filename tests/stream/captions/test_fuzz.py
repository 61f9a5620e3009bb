"""Whatever comes in: cues or a CaptionError, soon, and within bounds.

HANDSTREAM_FUZZ=N multiplies the number of examples.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress

import m3u8  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.captions import CaptionError, Cue, Limits, Reviser, ReviserConfig, TimedText
from stream.captions.cue_files import CueReader
from stream.captions.ebutt_live import EbuttLive
from stream.captions.files import LineReader
from stream.captions.hls_time import MediaAxis
from stream.captions.messages import MessageReader
from stream.captions.numbered_posts import NumberedPosts
from stream.captions.timed_text import Numbering, pieces, plain_lines
from stream.captions.ttml import ttml_cues
from tests.stream.captions.fuzz import fuzz
from tests.stream.captions.test_ttml import live, timed_document

FUZZ = settings(
    max_examples=150 * int(os.environ.get("HANDSTREAM_FUZZ", "1")),
    deadline=2000,
    suppress_health_check=[HealthCheck.too_slow],
)
LIMITS = Limits(block_chars=500, text_chars=200, document_bytes=20_000)

_SCRAPS = [
    "WEBVTT\n\n",
    "\n\n",
    "\n",
    "\r\n",
    "\r",
    "\ufeff",
    "1\n",
    "-->",
    "00:00:01,000 --> 00:00:02,000\n",
    "00:01.000 --> 99:99.999\n",
    "9" * 5000,
    "999999999:00:00.000 --> 1",
    "<v Bob>",
    "<" * 50,
    "&amp;",
    "&#99999999999;",
    "{\\an8}",
    "NOTE",
    "STYLE\n",
    "X-TIMESTAMP-MAP=",
    "MPEGTS:",
    "LOCAL:00:00:00.000",
    "99999999999999999999",
    "a word ",
    "Zürich",
    "\ud800",
    "\u202e",
    "👩‍🦰",
    "\x00",
    "x" * 700,
    "٣",
    "²",
    "2026-01-31T12:00:00.000\n",
    "2026-99-99T12:00:00\n",
    "<br>",
    '{"text": "a',
    '"}',
    "[" * 2000,
    "{",
]
TEXT = st.lists(st.one_of(st.sampled_from(_SCRAPS), st.text(max_size=20)), max_size=30).map("".join)


def check(cues: Iterable[Cue], limits: Limits = LIMITS) -> None:
    numbering = Numbering(8)
    for cue in cues:
        for piece in pieces(cue, limits.text_chars):
            assert len(piece.text) <= limits.text_chars
            assert "\x00" not in piece.text
            piece.text.encode("utf-8")
            numbering.number(piece, 0)


@FUZZ
@given(TEXT, st.sampled_from(["vtt", "srt"]), st.integers(1, 300))
def test_cue_files(text: str, form: str, size: int) -> None:
    reader = CueReader(form, LIMITS)  # type: ignore[arg-type]
    with suppress(CaptionError):
        for at in range(0, len(text), size):
            check(reader.push(text[at : at + size]))
            assert len(reader._rest) <= LIMITS.block_chars
            assert sum(map(len, reader._block)) <= LIMITS.block_chars
        check(MediaAxis().place(reader.finish(), reader.metadata))


@FUZZ
@given(TEXT, st.integers(1, 300))
def test_lines_and_messages(text: str, size: int) -> None:
    reader, messages, posts = LineReader(LIMITS), MessageReader(), NumberedPosts()
    for n, at in enumerate(range(0, len(text), size)):
        part = text[at : at + size]
        check(reader.push(part))
        for take in (lambda part=part: messages.take(part), lambda n=n, part=part: posts.take(n % 7, part)):
            with suppress(CaptionError):
                check(take())
    check(reader.finish())
    plain_lines(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.fixed_dictionaries(
    {"text": st.text(max_size=30) | JSON},
    optional=dict.fromkeys(("final", "id", "language", "start_ms", "end_ms", "else"), JSON),
)


@FUZZ
@given(MESSAGES)
def test_json_messages(message: object) -> None:
    with suppress(CaptionError):
        check(MessageReader().take(json.dumps(message)))


_XML = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<span begin='1s'>",
            "</span>",
            "<br/>",
            "begin='",
            "end='-3s'",
            "dur='99999999999999h'",
            "'",
            ">",
            "&amp;",
            "&x;",
            "<![CDATA[",
            "timeBase='clock'",
            "xml:id='a'",
            "ttp:frameRate='0'",
            "begin='3f'",
            "begin='1e9'",
            "ttp:tickRate='0'",
            "begin='5t'",
            "<div timeContainer='seq'>",
            "</div>",
            "<!DOCTYPE t [",
            "<?pi?>",
            "<!--",
            "-->",
            "\x00",
            "ü",
            "sequenceNumber='-1'",
            "<metadata/>",
            "<set begin='1s' tts:color='red'/>",
            "<region/>",
        ]
    ),
    max_size=6,
)


@FUZZ
@given(st.booleans(), _XML, st.lists(st.integers(0, 2000), max_size=4), st.integers(0, 3))
def test_ttml_and_ebutt_live(is_live: bool, scraps: list[str], cuts: list[int], removed: int) -> None:
    document = live(3, ("begin='1s'", "one"), ("", "two")) if is_live else timed_document()
    for scrap, cut in zip(scraps, cuts, strict=False):
        at = cut % (len(document) + 1)
        document = document[:at] + scrap.encode() + document[at + removed :]
    for read in (lambda: ttml_cues(document, LIMITS), lambda: EbuttLive(LIMITS).take(document, 0)):
        with suppress(CaptionError):
            check(read())


@FUZZ
@given(st.binary(max_size=300))
def test_bytes_that_are_no_xml(document: bytes) -> None:
    with suppress(CaptionError):
        check(ttml_cues(document, LIMITS))


_TAGS = st.lists(
    st.sampled_from(
        [
            "#EXTINF:",
            "#EXTINF:1,\na.vtt",
            "#EXT-X-KEY:METHOD=",
            "#EXT-X-DISCONTINUITY",
            '#EXT-X-MEDIA:TYPE=SUBTITLES,URI="a"',
            "#EXT-X-ENDLIST",
            "a",
            "#EXT-X-TARGETDURATION:x",
            "#EXT-X-MEDIA-SEQUENCE:-1",
            "#EXT-X-BYTERANGE:1",
            "#EXT-X-MAP:",
            "#EXT-X-PROGRAM-DATE-TIME:x",
            "#EXT-X-STREAM-INF:",
            "," * 50,
        ]
    )
    | st.text(max_size=20),
    max_size=12,
)


@FUZZ
@given(_TAGS)
def test_playlists(tags: list[str]) -> None:
    """m3u8 raises whatever it likes; what we call must catch it, and it must end."""
    from stream.captions.hls import read_playlist

    with suppress(CaptionError):
        playlist = read_playlist("#EXTM3U\n" + "\n".join(tags), "http://127.0.0.1/a.m3u8")
        assert isinstance(playlist, m3u8.M3U8)


ITEMS = st.tuples(
    st.integers(1, 6),
    st.lists(st.sampled_from(["a", "b", "b c", "\n", "20", "zwanzig", "—", "9" * 300, "é."]), max_size=8).map(
        " ".join
    ),
    st.booleans(),
    st.none() | st.integers(0, 5),
    st.integers(0, 3),
)


@FUZZ
@given(st.lists(ITEMS, max_size=30), st.integers(1, 3), st.sampled_from([0, 2]))
def test_the_reviser_takes_anything_and_ends_with_nothing_waiting(
    items: list[tuple[int, str, bool, int | None, int]], agreement: int, hold_s: int
) -> None:
    reviser = Reviser(
        ReviserConfig(
            agreement=agreement, hold_ns=hold_s * 10**9, remembered_cues=3, open_cues=3, remembered_words=9
        )
    )
    first: dict[int, int] = {}
    now = 0
    closed: list[bool] = []
    for n, (cue, text, final, start, wait) in enumerate(items, 1):
        now += wait * 10**9
        revises = first.get(cue)
        first.setdefault(cue, n)
        start_ns = None if start is None else start * 10**9
        item = TimedText(text, n, revises, start_ns, None, now, "de", final)
        closed += [commit.final for commit in reviser.feed(item)]
        assert len(reviser._open) <= 4
        due_ns = reviser.next_due_ns()
        assert due_ns is None or due_ns >= 0
        if due_ns is not None and wait == 3:
            now = max(now, due_ns)
            closed += [commit.final for commit in reviser.due(now)]
            later_ns = reviser.next_due_ns()
            assert later_ns is None or later_ns > now  # waiting until then brings something each time
    closed += [commit.final for commit in reviser.finish()]
    assert not closed or closed[-1]
    assert reviser.next_due_ns() is None


def test_the_fast_fuzzer_finds_nothing() -> None:
    report = fuzz(4000 * int(os.environ.get("HANDSTREAM_FUZZ", "1")), seed=7)
    assert report.crashes == []
    assert report.hangs == []
    assert report.cues > 1000  # many inputs are still understood
