"""TTML, IMSC and EBU-TT Live documents: their text, their times, and what later documents replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.captions import CaptionError, Limits, Reviser, open_captions
from stream.captions.ebutt_live import EbuttLive
from stream.captions.timed_text import NS_PER_S, Cue, Numbering
from stream.captions.ttml import ttml_cues
from tests.stream.captions.conftest import everything, texts

HEAD = (
    '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" '
    'xmlns:ebuttp="urn:ebu:tt:parameters" xml:lang="de" ttp:timeBase="{base}"{more}>'
)
BODY = """<head><layout><region xml:id="r"/></layout></head>
<body begin="00:00:10.5" dur="00:00:05"><div>
 <p xml:id="p1" region="r" begin="00:00:01"><span begin="1s">Hallo</span><br/>Welt
    <span>heute</span></p>
 <p xml:lang="en" end="2s">One &amp; all</p>
 <p begin="9s">never shown</p>
</div></body></tt>"""


def timed_document(base: str = "media") -> bytes:
    return (HEAD.format(base=base, more="") + BODY).encode()


def live(number: int, *paragraphs: tuple[str, str], body: str = "", sequence: str = "news") -> bytes:
    """An EBU-TT Live document; each paragraph is (attributes, text)."""
    names = f' ebuttp:sequenceIdentifier="{sequence}" ebuttp:sequenceNumber="{number}"'
    content = "".join(f"<p {attributes}>{text}</p>" for attributes, text in paragraphs)
    return f"{HEAD.format(base='clock', more=names)}<body {body}><div>{content}</div></body></tt>".encode()


@pytest.mark.parametrize("base", ["media", "clock", "smpte"])
def test_paragraphs_with_their_absolute_times(base: str) -> None:
    first, second = ttml_cues(timed_document(base))
    assert (first.text, first.language, first.start_ns, first.end_ns) == (
        "One & all",
        "en",
        10_500_000_000,
        12_500_000_000,
    )
    assert (second.text, second.start_ns, second.end_ns) == (
        "Hallo\nWelt heute",
        11_500_000_000,
        15_500_000_000,
    )


async def test_a_ttml_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ttml"
    path.write_bytes(timed_document())
    assert texts(await everything(open_captions(f"file:{path}"))) == ["One & all", "Hallo\nWelt heute"]


BOMB = "<!DOCTYPE t [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(97 + n)}{n} '{'&a;' * 10}'>" for n in range(10)
)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "not well-formed"),
        (b"<tt/>", "not TTML"),
        (f"{BOMB}]><t>&a;</t>".encode(), "document type"),
        (b"<!DOCTYPE t SYSTEM 'file:///etc/passwd'><t/>", "document type"),
        ("<?xml version='1.0' encoding='utf-16'?><!DOCTYPE t><t/>".encode("utf-16"), "document type"),
        (b"<t>" * 100, "nested deeper"),
        (b"<t>" + b"<a/>" * 30_000 + b"</t>", "elements"),
        (b" " * 2_000_000, "bytes"),
        (b"<?xml version='1.0' encoding='x-unknown'?><t/>", "not well-formed"),
    ],
)
def test_bad_xml_is_refused_with_a_reason(document: bytes, says: str) -> None:
    with pytest.raises(CaptionError, match=says):
        ttml_cues(document)


def signed(documents: list[bytes], reviser: Reviser | None = None) -> str:
    feed, numbering, reviser = EbuttLive(), Numbering(), reviser or Reviser()
    commits = []
    for arrival, document in enumerate(documents):
        for cue in feed.take(document, arrival * NS_PER_S):
            piece = numbering.number(cue, arrival * NS_PER_S)
            commits += reviser.feed(piece) if piece else []
    return " ".join("".join(c.text for c in [*commits, *reviser.finish()]).split())


def test_documents_follow_each_other_and_resent_ones_change_nothing() -> None:
    documents = [
        live(1, ("begin='10:00:01' end='10:00:03'", "Guten Abend ")),
        live(2, ("begin='10:00:03' end='10:00:05'", "meine Damen ")),
        live(1, ("begin='10:00:01' end='10:00:03'", "Guten Abend ")),
        live(3, ("begin='10:00:05' end='10:00:07'", "und Herren")),
        live(3, ("begin='10:00:05' end='10:00:07'", "und Herren")),
    ]
    reviser = Reviser()
    assert signed(documents, reviser).replace("Abendm", "Abend m").replace("Damenu", "Damen u") == (
        "Guten Abend meine Damen und Herren"
    )
    assert reviser.take_changes() == []


def test_a_higher_number_over_the_same_time_revises() -> None:
    feed = EbuttLive()
    first = feed.take(live(1, ("begin='10:00:01'", "Guten Morgen")), 0)
    second = feed.take(live(2, ("begin='10:00:01'", "Guten Abend")), 0)
    third = feed.take(live(3, ("begin='10:00:04'", "Willkommen")), 0)
    fourth = feed.take(live(4, body="begin='10:00:09' end='10:00:10'"), 0)
    assert [cue.key for cue in second] == [cue.key for cue in first]
    assert third[0].key != first[0].key
    assert third[0].start_ns == (10 * 3600 + 4) * NS_PER_S
    assert fourth == []


def test_a_document_overtaken_on_its_way_shows_only_what_is_left_uncovered() -> None:
    feed = EbuttLive()
    feed.take(live(1, ("begin='1s'", "one")), 0)
    feed.take(live(5, ("begin='10s'", "five")), 0)
    late = feed.take(live(4, ("begin='8s' end='10s'", "four"), ("begin='10s'", "covered")), 0)
    assert [cue.text for cue in late] == ["four"]


def test_a_replacement_with_fewer_captions_withdraws_the_rest() -> None:
    feed = EbuttLive()
    feed.take(live(1, ("begin='1s' end='2s'", "one"), ("begin='2s' end='3s'", "two")), 0)
    replaced = feed.take(live(2, ("begin='1s' end='3s'", "both")), 0)
    assert [(cue.text, cue.key) for cue in replaced] == [("both", "news#1/0"), ("", "news#1/1")]


def test_sequences_do_not_touch_each_other_and_untimed_documents_count_from_arrival() -> None:
    feed = EbuttLive()
    first = feed.take(live(1, ("", "here")), 5 * NS_PER_S)
    second = feed.take(live(1, ("", "there"), sequence="sport"), 6 * NS_PER_S)
    assert [(c.text, c.start_ns, c.end_ns) for c in first + second] == [
        ("here", 5 * NS_PER_S, None),
        ("there", 6 * NS_PER_S, None),
    ]


def test_snake_mode_signs_each_word_once() -> None:
    lines = ["es wird", "es wird kalt", "es wird kalt\nim Norden", "im Norden\nund im Süden"]
    documents = [live(n + 1, ("", text.replace("\n", "<br/>"))) for n, text in enumerate(lines)]
    assert signed(documents).replace("wirdkalt", "wird kalt").split()[:2] == ["es", "wird"]
    assert "".join(signed(documents).split()) == "eswirdkaltimNordenundimSüden"


@pytest.mark.parametrize("number", ["", "-1", "x", "9" * 30])
def test_what_is_not_live_is_refused(number: str) -> None:
    with pytest.raises(CaptionError, match="sequenceNumber"):
        EbuttLive().take(live(0).replace(b'Number="0"', f'Number="{number}"'.encode()), 0)


def test_memory_of_sequences_is_bounded() -> None:
    feed = EbuttLive(Limits())
    for n in range(600):
        feed.take(live(n, (f"begin='{n}s' end='{n + 1}s'", "x"), sequence=f"s{n % 40}"), 0)
    assert len(feed._sequences) <= 16
    assert all(len(s._numbers) <= 256 and len(s._shown) <= 32 for s in feed._sequences.values())
    assert feed.take(live(1, ("", "back"), sequence="s1"), 7)[0] == Cue("back", "s1#1/0", 7, None, "de")
