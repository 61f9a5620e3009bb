"""A fast fuzzer for every caption parser: seeds, cut, spliced and mutated; run it for as long as you like.

Enters: a number of inputs and a seed. Leaves: one JSON line: inputs, crashes, hangs (over one second), growth
of memory. Run as `python -m tests.stream.captions.fuzz --inputs 1000000`; the suite runs a short form.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from stream.captions import CaptionError, Cue, Limits, Reviser, ReviserConfig
from stream.captions.cue_files import CueReader
from stream.captions.ebutt_live import EbuttLive
from stream.captions.files import LineReader
from stream.captions.hls import read_playlist
from stream.captions.hls_time import MediaAxis
from stream.captions.messages import MessageReader
from stream.captions.numbered_posts import NumberedPosts
from stream.captions.timed_text import Numbering, pieces
from stream.captions.ttml import ttml_cues
from tests.stream.captions.test_files import SRT, VTT
from tests.stream.captions.test_ttml import live, timed_document

LIMITS = Limits(text_chars=300, block_chars=800, document_bytes=8_000, xml_depth=20, xml_elements=200)
HANG_S = 1.0
NASTY = [
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "٣²".encode(),
    b"9" * 400,
    b"-->",
    b"\n\n",
    b"<",
    b"&",
    b"&#x110000;",
    b"\xf0\x9f\x91\xa9",
    b"{",
    b'"',
    b"[[[[",
    b"<!DOCTYPE x>",
    b"#EXT",
    b"=",
    b":",
    b",",
    b"T00:00",
    b" " * 90,
    b"\r",
    b"begin='",
    b"null",
    b"1e999",
]
PLAYLIST = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY\n#EXTINF:4.0,\na.vtt\n"
    b'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",LANGUAGE="de",URI="b.m3u8"\n#EXT-X-ENDLIST\n'
)
POST = b"2026-01-31T12:00:00.000 region:a\nHELLO<br>WORLD\n\n2026-01-31T12:00:02.5\nmore\n"
MESSAGE = b'{"text": "good evening", "final": false, "id": 3, "start_ms": 1500, "language": "en"}'


def _files(form: str) -> Callable[[bytes], list[Cue]]:
    def read(data: bytes) -> list[Cue]:
        reader, text = CueReader(form, LIMITS), data.decode("utf-8", "replace")  # type: ignore[arg-type]
        cues = reader.push(text[: len(text) // 2]) + reader.push(text[len(text) // 2 :]) + reader.finish()
        return MediaAxis().place(cues, reader.metadata)

    return read


def _lines(data: bytes) -> list[Cue]:
    reader = LineReader(LIMITS)
    return reader.push(data.decode("utf-8", "replace")) + reader.finish()


def _playlist(data: bytes) -> list[Cue]:
    playlist = read_playlist("#EXTM3U\n" + data.decode("utf-8", "replace"), "http://127.0.0.1/a.m3u8")
    return [Cue(str(segment.uri)) for segment in playlist.segments]


PARSERS: dict[str, tuple[Callable[[bytes], list[Cue]], Sequence[bytes]]] = {
    "vtt": (_files("vtt"), [VTT.encode()]),
    "srt": (_files("srt"), [SRT.encode()]),
    "lines": (_lines, [SRT.encode(), b"one\ntwo"]),
    "messages": (lambda data: MessageReader().take(data.decode("utf-8", "replace")), [MESSAGE, b"one\ntwo"]),
    "numbered": (lambda data: NumberedPosts().take(3, data.decode("utf-8", "replace")), [POST]),
    "hls": (_playlist, [PLAYLIST]),
    "ttml": (lambda data: ttml_cues(data, LIMITS), [timed_document(), timed_document("smpte")]),
    "ebutt-live": (
        lambda data: EbuttLive(LIMITS).take(data, 0),
        [live(3, ("begin='1s' end='2s'", "one"), ("", "two"))],
    ),
}
SHARES = {"ttml": 1, "ebutt-live": 1, "hls": 2, "vtt": 4, "srt": 4, "lines": 4, "messages": 4, "numbered": 4}


@dataclass
class Report:
    """inputs per parser; crashes and hangs with the input that did it; how many cues came out in all."""

    inputs: dict[str, int] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    cues: int = 0
    slowest_ms: float = 0.0


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Up to six changes: cut, repeat, move, overwrite, insert."""
    for _ in range(chance.randint(1, 6)):
        a, b = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        kind = chance.randrange(5)
        if kind == 0:
            data = data[:a] + data[b:]
        elif kind == 1:
            data = data[:b] + data[a:b] + data[b:]
        elif kind == 2:
            data = data[b:] + data[a:b]
        elif kind == 3:
            data = data[:a] + chance.randbytes(min(3, b - a)) + data[a + min(3, b - a) :]
        else:
            data = data[:a] + chance.choice(NASTY) * chance.randint(1, 3) + data[a:]
        data = data[:6000]
    return data


def fuzz(inputs: int, seed: int = 0) -> Report:
    """Run that many inputs, each through a parser and what it yields through the reviser."""
    chance, report = random.Random(seed), Report()
    names = [name for name, share in SHARES.items() for _ in range(share)]
    reviser = Reviser(ReviserConfig(remembered_cues=16, open_cues=4))
    numbering = Numbering(64)
    for n in range(inputs):
        name = chance.choice(names)
        parse, seeds = PARSERS[name]
        data = mutated(chance.choice(seeds), chance)
        report.inputs[name] = report.inputs.get(name, 0) + 1
        began = time.thread_time()
        try:
            with suppress(CaptionError):
                for cue in parse(data):
                    for piece in pieces(cue, LIMITS.text_chars):
                        report.cues += 1
                        item = numbering.number(piece, n * 1_000_000)
                        if item is not None:
                            reviser.feed(item)
        except Exception:
            report.crashes.append(f"{name}: {data!r}\n{traceback.format_exc()}")
        took_s = time.thread_time() - began
        report.slowest_ms = max(report.slowest_ms, took_s * 1e3)
        if took_s > HANG_S:
            report.hangs.append(f"{name}: {took_s:.1f} s: {data!r}")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    fuzz(min(2000, args.inputs), args.seed + 1)  # caches fill
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = fuzz(args.inputs, args.seed)
    growth_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    for trouble in report.crashes[:5] + report.hangs[:5]:
        print(trouble)
    figures = {"inputs": sum(report.inputs.values()), "per_parser": report.inputs, "cues": report.cues}
    found = {"crashes": len(report.crashes), "hangs": len(report.hangs)}
    more = {"slowest_ms": round(report.slowest_ms, 1), "memory_growth_mb": round(growth_mb, 1)}
    print(json.dumps({"benchmark": "captions_fuzz", "seed": args.seed, **figures, **found, **more}))


if __name__ == "__main__":
    main()
