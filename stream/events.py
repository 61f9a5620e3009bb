"""The JSON messages of the `events` channel, as PROTOCOL.md has them.

Enters: signals of the engine. Leaves: dictionaries ready for JSON; and the viewer's messages, checked.
Does not know channels or peers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.pacing_unit import Fate
from engine.signals import Gloss

PROTOCOL = 1
MAX_LISTED = 600
"""Entries of each list of a caption event: a long text must still fit one message (viewers take 256 kB)."""
MAX_MESSAGE_BYTES = 32 * 1024
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Latency:
    """From text to the first picture of its first sign, in milliseconds, as far as the server sees it.

    The parts touch and make up total_ms, which ends when the frame leaves for the first peer. choreography_ms
    holds the wait for the next frame and the movement into the sign; the waits are for a busy thread.
    arrived_ns: when the text came, on this machine's monotonic clock.
    """

    glossing_ms: float
    choreography_ms: float
    render_wait_ms: float
    render_ms: float
    encode_wait_ms: float
    encode_ms: float
    send_ms: float
    total_ms: float
    arrived_ns: int


def gloss_entry(index: int, gloss: Gloss) -> Message:
    return {
        "index": index,
        "label": gloss.label,
        "start": gloss.start,
        "end": gloss.end,
        "spelled": gloss.spelled,
    }


def hello(signer: Message, session: str) -> Message:
    return {"type": "hello", "protocol": PROTOCOL, "session": session, "signer": signer, "generated": True}


def settings(signer: Message) -> Message:
    return {"type": "settings", "signer": signer}


def remark(item: object) -> Message:
    """What could not be signed, or was left out on purpose."""
    told = {"text": getattr(item, "text", str(item)), "reason": getattr(item, "reason", "")}
    start, end = getattr(item, "start", None), getattr(item, "end", None)
    return told if start is None or end is None else told | {"start": start, "end": end}


def caption(
    seq: int,
    text: str,
    glosses: Sequence[tuple[int, Gloss]],
    unspellable: Sequence[object],
    omitted: Sequence[object],
) -> Message:
    """The caption so far. Of very long lists only the newest entries are told; `unlisted` counts the rest."""
    told = {
        "type": "caption",
        "seq": seq,
        "text": text,
        "glosses": [gloss_entry(index, gloss) for index, gloss in glosses[-MAX_LISTED:]],
        "unspellable": [remark(item) for item in unspellable[-MAX_LISTED:]],
        "omitted": [remark(item) for item in omitted[-MAX_LISTED:]],
    }
    unlisted = sum(max(0, len(items) - MAX_LISTED) for items in (glosses, unspellable, omitted))
    return told | {"unlisted": unlisted} if unlisted else told


def gloss(
    index: int, item: Gloss, pts_ns: int, rtp: int, lag_ms: float = 0.0, recorded: bool = False
) -> Message:
    """Signing moved on to `item`; `rtp` is the RTP timestamp of the first picture that shows it.

    lag_ms: how long ago it was said. recorded: motion is generated, but not this sign's.
    """
    told = {
        "type": "gloss",
        "index": index,
        "label": item.label,
        "caption": item.caption_seq,
        "start": item.start,
        "end": item.end,
        "spelled": item.spelled,
        "pts_ns": pts_ns,
        "rtp": rtp,
        "lag_ms": lag_ms,
    }
    return told | {"recorded": True} if recorded else told


def skipped(index: int, item: Gloss | None, reason: str) -> Message:
    """A sign that was promised could not be performed."""
    label = item.label if item else ""
    return {"type": "skipped", "index": index, "last": index, "label": label, "reason": reason}


def left_out(fate: Fate) -> Message:
    """Signs `index` to `last`, those of a word or of its end, will not be performed, and why."""
    return {
        "type": "skipped",
        "index": fate.first,
        "last": fate.last,
        "label": fate.text,
        "reason": fate.reason,
        "kind": fate.kind,
        "caption": fate.caption_seq,
        "start": fate.start,
        "end": fate.end,
    }


def changed(feed: str, cue: int, signed: str, now: str, reason: str) -> Message:
    """What a caption feed says differs from what was signed; either may be empty."""
    return {"type": "changed", "feed": feed, "cue": cue, "signed": signed, "now": now, "reason": reason}


def ending(within_ms: float) -> Message:
    """The server goes down: what is being signed is finished within that time, then the session ends."""
    return {"type": "ending", "within_ms": round(within_ms)}


def idle(pts_ns: int, rtp: int) -> Message:
    return {"type": "idle", "pts_ns": pts_ns, "rtp": rtp}


def latency(figures: Latency, caption_seq: int, caption_id: str = "") -> Message:
    rounded = {name: round(value, 2) for name, value in asdict(figures).items()}
    return {"type": "latency", "caption": caption_seq, "id": caption_id, **rounded}


def error(what: str, remedy: str) -> Message:
    return {"type": "error", "error": what, "remedy": remedy}


def parse(data: object) -> Message:
    """A viewer's message. Raises ValueError, saying what was expected."""
    if not isinstance(data, str) or len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"expected JSON text of at most {MAX_MESSAGE_BYTES} characters")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"not JSON: {problem}") from problem
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError('expected an object with a "type", e.g. {"type": "ping", "t": 1}')
    return message
