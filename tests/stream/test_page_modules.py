"""The page's modules one by one, in real Chromium, without a server: rules a whole page tests too bluntly."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.signals import MotionFrame
from stream import wire
from tests.stream.page_driver import ROOT, needs_chromium

pytest_plugins = ["tests.stream.page_fixtures"]
pytestmark = needs_chromium
SITE = "http://modules.test"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A blank page that can import the modules from its own origin."""

    def answer(route: Any) -> None:
        name = route.request.url.removeprefix(SITE + "/")
        path = ROOT / "stream" / "web" / name
        if name:
            route.fulfill(content_type=TYPES[path.suffix], body=path.read_text(encoding="utf-8"))
        else:
            route.fulfill(content_type="text/html", body="<!doctype html>")

    context = chromium.new_context()
    page = context.new_page()
    page.route(SITE + "/**", answer)
    page.goto(SITE + "/")
    yield page
    context.close()


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_a_motion_frame_read_in_the_page_is_the_one_written_here(
    page: Any, precision: wire.Precision
) -> None:
    rng = np.random.default_rng(0)
    frame = MotionFrame(
        seq=70000,
        pts_ns=2**53 + 1,
        gloss=-1,
        pose=rng.normal(size=(60, 2)).astype(np.float32),
        hands=rng.normal(size=(2, 16, 3)).astype(np.float32),
        smplx=rng.normal(size=(55, 3)).astype(np.float32),
        expression=rng.random(52).astype(np.float32),
    )
    data = wire.encode(frame, precision)
    got = page.evaluate(
        """async (data) => {
          const { decodeMotion } = await import('/motion.js');
          const frame = decodeMotion(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
          const plain = (value) => ArrayBuffer.isView(value) ? [...value] : String(value);
          return Object.fromEntries(Object.entries(frame).map(([name, value]) => [name, plain(value)]));
        }""",
        base64.b64encode(data).decode(),
    )
    assert (got["seq"], got["pts_ns"], got["gloss"]) == ("70000", str(2**53 + 1), "-1")
    for name in ("pose", "hands", "smplx", "expression"):
        np.testing.assert_array_equal(np.float32(got[name]), getattr(wire.decode(data), name).ravel(), name)


@pytest.mark.parametrize("data", [b"", b"\x02\x98", b"\x01\x98", b"\x01\x98\xc0", b"\x01" + bytes(900)])
def test_bytes_that_are_no_motion_frame_are_refused(page: Any, data: bytes) -> None:
    message = page.evaluate(
        """async (bytes) => {
          const { decodeMotion } = await import('/motion.js');
          try { decodeMotion(new Uint8Array(bytes).buffer); } catch (error) { return error.name; }
        }""",
        list(data),
    )
    assert message == "RangeError"


def test_pauses_grow_and_never_undercut_what_the_server_asked(page: Any) -> None:
    got = page.evaluate("""async () => {
      const { pauseMs, LONGEST_PAUSE_MS } = await import('/reconnect.js');
      const { retryAfterMs } = await import('/whep.js');
      const date = new Date(Date.now() + 5000).toUTCString();
      return {
        asked: [0, 0.5, 1].map((random) => pauseMs(1, 3000, () => random)),
        backoff: [1, 2, 3, 50].map((attempt) => pauseMs(attempt, null, () => 1) / LONGEST_PAUSE_MS),
        headers: [retryAfterMs('3'), retryAfterMs(null), retryAfterMs('soon'), retryAfterMs(date) > 3000],
      };
    }""")
    assert all(3000 <= pause <= 3750 for pause in got["asked"])
    assert got["backoff"] == sorted(set(got["backoff"])) and got["backoff"][-1] == 1  # noqa: PT018
    assert got["headers"] == [3000, None, None, True]


def test_events_wait_for_their_picture_in_order(page: Any) -> None:
    got = page.evaluate("""async () => {
      const { PictureClock, reached } = await import('/picture_clock.js');
      const clock = new PictureClock();
      const order = [];
      const note = (name) => (picture) => order.push(name + (picture ? '' : ' late'));
      clock.at(undefined, note('at once'));
      clock.at(2 ** 32 - 10, note('first'));
      clock.at(undefined, note('after first'));
      clock.at(20, note('past the wrap'));
      clock.picture({rtpTimestamp: 2 ** 32 - 20});
      const before = [...order];
      clock.picture({rtpTimestamp: 2 ** 32 - 10});
      const between = [...order];
      await new Promise((resolve) => setTimeout(resolve, 700));
      return [before, between, order, reached(5, 2 ** 32 - 5), reached(2 ** 32 - 5, 5)];
    }""")
    assert got == [
        ["at once late"],
        ["at once late", "first", "after first"],
        ["at once late", "first", "after first", "past the wrap late"],
        True,
        False,
    ]


def test_the_spelled_letter_is_found_in_the_written_word(page: Any) -> None:
    cases: list[tuple[str, list[str], int, list[int] | None]] = [
        ("Zürich", ["Z", "U", "R", "I", "C", "H"], 1, [1, 2]),
        ("Schaf", ["SCH", "A", "F"], 1, [3, 4]),
        ("it's", ["I", "T", "S"], 2, [3, 4]),
        ("Otto", ["O", "T", "T", "O"], 2, [2, 3]),
        ("AB", ["X"], 0, None),
    ]
    for word, letters, at, expected in cases:
        got = page.evaluate(
            "async (args) => (await import('/captions.js')).letterRange(...args)", [word, letters, at]
        )
        assert got == expected, word


def test_a_long_caption_turns_its_pages_with_the_signing(page: Any) -> None:
    text = "🙂 " + " ".join(f"word{i}" for i in range(40000))
    start = text.index("word39999")  # Python counts code points, as the protocol does
    active, shown, joined = page.evaluate(
        """async ([text, start]) => {
          const { Transcript, pages, words } = await import('/transcript.js');
          const transcript = new Transcript();
          transcript.caption({seq: 0, text, glosses: []});
          transcript.gloss({index: 5, label: 'X', caption: 0, start, end: start + 9, spelled: false});
          const view = transcript.view();
          const joined = pages(words(Array.from(text))).flat().length;
          return [view.words[view.active].text, view.words.length, joined];
        }""",
        [text, start],
    )
    assert (active, joined) == ("word39999", 40001)
    assert shown < 40


def test_a_restarted_server_begins_a_new_transcript(page: Any) -> None:
    got = page.evaluate("""async () => {
      const { Transcript } = await import('/transcript.js');
      const words = (transcript) => transcript.view().words.map((word) => word.text + '/' + word.part);
      const lower = new Transcript(), same = new Transcript(), grown = new Transcript();
      lower.caption({seq: 9, text: 'before', glosses: []});
      lower.caption({seq: 0, text: 'after', glosses: []});
      const gloss = {index: 0, label: 'B', start: 0, end: 3, spelled: false};
      same.caption({seq: 0, text: 'before', glosses: [gloss]});
      same.caption({seq: 0, text: 'after', unspellable: ['after']});
      grown.caption({seq: 0, text: 'one ', glosses: [gloss]});
      const omitted = [{text: 'the', start: 4, end: 7}];
      grown.caption({seq: 0, text: 'one the two', omitted, unspellable: ['two']});
      return [words(lower), words(same), words(grown)];
    }""")
    assert got == [["after/signed"], ["after/unspellable"], ["one/signed", "the/omitted", "two/unspellable"]]


def test_words_left_out_to_keep_up_are_marked_with_the_reason(page: Any) -> None:
    got = page.evaluate("""async () => {
      const { Transcript } = await import('/transcript.js');
      const transcript = new Transcript();
      const letter = (index, start) => ({index, label: 'X', start, end: start + 1, spelled: true});
      const glosses = [letter(0, 0), letter(1, 1), letter(2, 3), letter(3, 4), letter(4, 6), letter(5, 7)];
      transcript.caption({seq: 1, text: 'ab cd ef', glosses});
      transcript.gloss({...glosses[0], caption: 1});
      const before = transcript.waiting;
      const place = {caption: 1, start: 3, end: 5};
      transcript.skipped({index: 2, last: 3, label: 'cd', reason: 'to keep up', kind: 'omitted', ...place});
      transcript.skipped({index: 5, last: 5, label: 'ef', reason: 'short', kind: 'abbreviated', caption: 1,
                          start: 7, end: 8});
      transcript.skipped({index: 99, label: 'Z', reason: 'a broken recording'});
      const words = transcript.view().words.map(({text, part, reason}) => [text, part, reason]);
      return [before, transcript.waiting, words];
    }""")
    words = [["ab", "signed", ""], ["cd", "omitted", "to keep up"], ["ef", "signed", ""]]
    assert got == [5, 2, words]


def test_a_late_viewer_sees_the_newest_caption_until_it_knows_the_one_being_signed(page: Any) -> None:
    got = page.evaluate("""async () => {
      const { Transcript } = await import('/transcript.js');
      const transcript = new Transcript();
      const gloss = {index: 3, label: 'X', start: 0, end: 3, spelled: false};
      const shown = () => {
        const {words, active} = transcript.view();
        return words.map(({text}, i) => text + (i === active));
      };
      const seen = [];
      transcript.gloss({...gloss, caption: 1});
      transcript.caption({seq: 2, text: 'new', glosses: [{...gloss, index: 4}]});
      seen.push(shown());
      transcript.gloss({...gloss, index: 4, caption: 2});
      seen.push(shown());
      transcript.caption({seq: 3, text: 'next', glosses: []});
      seen.push(shown());
      transcript.idle();
      transcript.caption({seq: 4, text: 'last', glosses: []});
      seen.push(shown());
      return seen;
    }""")
    assert got == [["newfalse"], ["newtrue"], ["newtrue"], ["lastfalse"]]


def test_what_is_not_signed_is_found_in_the_text(page: Any) -> None:
    cases: list[tuple[list[object], str, list[list[int]]]] = [
        (["a", "a"], "what a day, a day", [[5, 6], [12, 13]]),
        (["The"], "🙂 the end", [[2, 5]]),
        ([{"text": "ß", "reason": "no letter"}], "Straße", [[4, 5]]),
        (["(*"], "what (* is", [[5, 7]]),
        (["missing", ""], "text", [[0, 0], [0, 0]]),
        ([{"start": 1, "end": 3}], "🙂ab", [[1, 3]]),
    ]
    for items, text, expected in cases:
        got = page.evaluate("async (args) => (await import('/transcript.js')).gaps(...args)", [items, text])
        assert [[gap["start"], gap["end"]] for gap in got] == expected, items
