"""The contract of kiosks: one document for what is written and checked; payloads of every kind."""

from __future__ import annotations

import json
import os
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from stream.kiosk import asyncapi, schema
from stream.kiosk.commands import parse
from stream.kiosk.config import KioskConfig, KioskLimits, open_broker
from stream.kiosk.ledger import FORGET_EVERY, Ledger, Waiting
from stream.kiosk.topics import Topics
from tests.stream.kiosk_fuzz import check, fuzz
from tests.stream.page_driver import ROOT

LIMITS = KioskLimits()


def test_the_published_document_is_what_the_code_says():
    written = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert written == asyncapi.document(), "run python -m stream.kiosk.asyncapi > docs/asyncapi.yaml"


def messages(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{channel}/{name}", message)
        for channel, body in document["channels"].items()
        for name, message in body["messages"].items()
    ]


def test_every_example_of_the_document_holds_and_every_command_is_understood():
    document = asyncapi.document()
    for name, message in messages(document):
        Draft7Validator.check_schema(message["payload"])
        checker = Draft7Validator(message["payload"])
        for example in message.get("examples", ()):
            assert list(checker.iter_errors(example["payload"])) == [], name
    for name in schema.COMMANDS:
        for example in asyncapi.EXAMPLES[name]:
            assert parse(json.dumps(example).encode(), LIMITS).name == name
    for operation in document["operations"].values():
        references = [operation["channel"], *operation.get("messages", ())]
        for reference in references:
            at: Any = document
            for step in reference["$ref"].removeprefix("#/").split("/"):
                at = at[step]


# -- anything may come ----------------------------------------------------------------------------

LONGEST = LIMITS.payload_bytes + 10
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(["command", "id", "text", "language", "rate", "avatar", "background", "left_handed"])
odd_commands = st.fixed_dictionaries(
    {"command": st.sampled_from([*schema.COMMANDS, "sing", ""]) | json_values}
).flatmap(
    lambda base: st.dictionaries(fields, json_values | st.sampled_from(["ase", 1, 1.5, True])).map(
        lambda m: base | m
    )
)
payloads = (
    st.binary(max_size=200)
    | json_values.map(lambda v: json.dumps(v).encode("utf-8", "surrogatepass"))
    | odd_commands.map(lambda v: json.dumps(v, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | odd_commands.map(lambda v: json.dumps(v).encode()[:-1])
    | st.sampled_from(["[", "{", '{"a":', "[[", '"', "\\", "9", "-", "{}", "[],"]).flatmap(
        lambda piece: st.integers(0, LONGEST).map(lambda n: (piece * n)[:LONGEST].encode())
    )
)  # fmt: skip


@settings(
    max_examples=100 * int(os.environ.get("HANDSTREAM_FUZZ", "1")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(payloads)
def test_whatever_comes_is_a_command_or_a_refusal(payload: bytes):
    check(payload)


def test_seeds_cut_spliced_and_mutated():
    report = fuzz(1500 * int(os.environ.get("HANDSTREAM_FUZZ", "1")), seed=7)
    assert report["crashes"] == report["hangs"] == 0, report
    assert min(report["commands"], report["refusals"]) > report["inputs"] / 50, "both halves were exercised"


def test_a_text_with_half_a_character_is_mended():
    assert parse(b'{"command": "say", "text": "a\\ud800b"}', LIMITS).fields["text"] == "a?b"


# -- the memory -----------------------------------------------------------------------------------


async def test_the_memory_is_bounded_and_keeps_the_latest():
    ledger = Ledger(None, remembered=50)
    for number in range(4 * FORGET_EVERY):
        assert await ledger.take("lobby", f"id:{number}", "d", {"ok": True}).noted is None
    assert await ledger.known("lobby", "id:0") is None
    assert await ledger.known("gate", f"id:{4 * FORGET_EVERY - 1}") is None
    for number in range(4 * FORGET_EVERY - 50, 4 * FORGET_EVERY):
        assert await ledger.known("lobby", f"id:{number}") == ("d", {"ok": True})
    await ledger.take("lobby", f"id:{number}", "other", {}).noted  # a packet's number, used again
    assert await ledger.known("lobby", f"id:{number}") == ("other", {})
    await ledger.close()


async def test_texts_that_wait_survive_and_stale_ones_do_not(tmp_path: Path):
    path = tmp_path / "folder" / "memory.sqlite3"
    ledger = Ledger(path, 50)
    numbers = []
    for id, deadline in (("a", None), ("stale", 1.0), ("b", 1e12)):
        text = Waiting(0, id, id, "ase", deadline)
        numbers.append(ledger.take("lobby", f"id:{id}", "d", {"ok": True}, text).number)
    await ledger.take("gate", "id:x", "d", {}, Waiting(0, "x", "x", "ase", None)).noted
    await ledger.begun(numbers[0])
    await ledger.close()
    assert path.stat().st_mode & 0o077 == 0, "what people say is not for everybody on this machine"
    ledger = Ledger(path, 50)
    assert [text.id for text in await ledger.waiting("lobby", 10)] == ["b"]
    assert await ledger.known("lobby", "id:a") == ("d", {"ok": True}), "known again, also by a new process"
    taken = ledger.take("lobby", "id:c", "d", {}, text)
    assert taken.number > max(numbers)
    assert await taken.noted is None
    await ledger.close()


def test_a_memory_that_cannot_be_used_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("no database" * 100)
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="--memory"):
            Ledger(path, 50)


# -- names and settings ---------------------------------------------------------------------------


@given(st.text(alphabet=string.ascii_letters + string.digits + "/+#$- _é", max_size=30))
@settings(max_examples=200, deadline=None)
def test_answers_never_go_to_topics_that_mean_something(topic: str):
    topics = Topics("signs", "lobby", "homeassistant")
    if topics.answerable(topic):
        assert not set(topic) & set("+#")
        assert not topic.startswith(("$", "homeassistant/"))
    for other in ("signs/lobby/cmd", "signs/gate/state", "signs/lobby/status", f"homeassistant/{topic}"):
        assert not topics.answerable(other)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base": "a/+/b"}, "base"),
        ({"base": "signs/"}, "base"),
        ({"base": ""}, "base"),
        ({"names": ()}, "kiosks"),
        ({"names": ("a", "a")}, "each once"),
        ({"names": ("Lobby!",)}, "kiosk"),
        ({"session_s": -1}, "session"),
        ({"discovery": "#"}, "discovery"),
        ({"longest_pause_s": 0.1}, "pauses"),
    ],
)
def test_settings_that_cannot_be_are_told(wrong: dict[str, Any], told: str):
    broker = open_broker("mqtt://localhost", environment={})
    with pytest.raises(ValueError, match=told):
        KioskConfig(**({"broker": broker, "names": ("lobby",)} | wrong))
