"""TTML and IMSC documents become cues: one for each paragraph, with its times.

Enters: an XML document. Leaves: cues on the document's time axis. Does not know how documents arrive, nor
that they may replace each other (EBU-TT Live does that). What TTML means is ttconv's knowledge; it refuses
`timeBase="clock"`, whose times are times of day but written like media times, so those are read as such.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from xml.etree import ElementTree

from ttconv import model
from ttconv.imsc import reader

from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.timed_text import NS_PER_S, CaptionError, Cue, plain_lines
from stream.captions.xml_guard import read_xml

TTML = "http://www.w3.org/ns/ttml"
PARAMETER = f"{{{TTML}#parameter}}"
_DAY_NS = 10 * 24 * 3600 * NS_PER_S

# ttconv reports every odd attribute of every document: a feed would flood the log.
logging.getLogger("ttconv").setLevel(logging.CRITICAL)


def ttml_cues(document: bytes, limits: Limits = DEFAULT_LIMITS, language: str = "") -> list[Cue]:
    """The document's paragraphs in the order of their times. Raises CaptionError when it is not TTML."""
    return cues_of(read_xml(document, limits), language)


def cues_of(root: ElementTree.Element, language: str = "") -> list[Cue]:
    """As `ttml_cues`, from a parsed document. Changes `root`."""
    if root.tag != f"{{{TTML}}}tt":
        raise CaptionError(
            f"not TTML: got a root element {root.tag[:80]!r}, expected tt of the namespace {TTML}"
        )
    if root.get(f"{PARAMETER}timeBase") == "clock":
        root.set(f"{PARAMETER}timeBase", "media")
    try:
        content = reader.to_model(ElementTree.ElementTree(root))
        body = content.get_body() if content is not None else None
        found = list(_paragraphs(body, Fraction(0), None)) if body is not None else []
    except Exception as error:  # ttconv's boundary: on bad documents it raises whatever went wrong inside
        raise CaptionError(
            f"this TTML cannot be understood ({error}); check it with an IMSC validator"
        ) from error
    found.sort(key=lambda cue: cue.start_ns or 0)
    return [
        cue if cue.language else Cue(cue.text, cue.key, cue.start_ns, cue.end_ns, language) for cue in found
    ]


def _paragraphs(element: model.ContentElement, begin: Fraction, end: Fraction | None) -> Iterator[Cue]:
    """Walk body, div and p; begin and end are those of the parent, absolute, in seconds."""
    begin, end = _times(element, begin, end)
    if not isinstance(element, model.P):
        for child in element:
            yield from _paragraphs(child, begin, end)
        return
    runs = list(_runs(element, begin, end))  # spans may have times of their own
    text = plain_lines("".join(run[1] for run in runs), markup=False).rstrip()
    if not text or (end is not None and end <= begin):
        return
    starts = [run[0] for run in runs if run[1].strip()]
    start_ns = _ns(min(starts))
    name = element.get_id() or ""
    language = str(element.get_lang() or "")
    yield Cue(text, f"{name}@{start_ns}", start_ns, None if end is None else _ns(end), language)


def _runs(
    element: model.ContentElement, begin: Fraction, end: Fraction | None
) -> Iterator[tuple[Fraction, str]]:
    """The text of a paragraph in pieces, each with the time it appears."""
    for child in element:
        if isinstance(child, model.Text):
            yield begin, child.get_text().replace("\n", " ")
        elif isinstance(child, model.Br):
            yield begin, "\n"
        elif not isinstance(child, (model.Rt, model.Rtc, model.Rp)):  # ruby annotations repeat the text
            yield from _runs(child, *_times(child, begin, end))


def _times(
    element: model.ContentElement, begin: Fraction, end: Fraction | None
) -> tuple[Fraction, Fraction | None]:
    """Absolute times of an element inside a parent with these times; TTML counts from the parent's begin."""
    own_begin = begin + (element.get_begin() or Fraction(0))
    own_end = element.get_end()
    if own_end is None:
        return own_begin, end
    absolute = begin + own_end
    return own_begin, absolute if end is None else min(absolute, end)


def _ns(seconds: Fraction) -> int:
    return min(max(0, round(seconds * NS_PER_S)), _DAY_NS)
