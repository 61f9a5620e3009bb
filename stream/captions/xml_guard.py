"""XML from strangers: bounded, and without any declaration that could make it grow.

Enters: bytes. Leaves: an element tree. Does not know what the document means. A first pass with expat refuses
document type and entity declarations (no entity expands, nothing outside is fetched), too much and too deep.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.timed_text import CaptionError


def read_xml(document: bytes, limits: Limits = DEFAULT_LIMITS) -> ElementTree.Element:
    """The document's root. Raises CaptionError, saying what is wrong with it."""
    if len(document) > limits.document_bytes:
        raise CaptionError(
            f"the XML document has {len(document)} bytes, at most {limits.document_bytes} are taken; "
            "send captions in smaller documents"
        )
    try:
        _check(document, limits)
        return ElementTree.fromstring(document)
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, CaptionError):
            raise
        raise CaptionError(f"not well-formed XML: {error}; check what the sender writes") from error


def _check(document: bytes, limits: Limits) -> None:
    depth = elements = 0

    def start(name: str, attributes: object) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > limits.xml_depth:
            raise CaptionError(
                f"the XML is nested deeper than {limits.xml_depth} elements; captions never are"
            )
        if elements > limits.xml_elements:
            raise CaptionError(
                f"the XML has more than {limits.xml_elements} elements; send smaller documents"
            )

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def declaration(*_: object) -> None:
        raise CaptionError("the XML has a document type declaration; captions need none, so it is refused")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = declaration
    parser.EntityDeclHandler = declaration
    parser.Parse(document, True)
