"""Kiosks against a real mosquitto: commands, acknowledgements, expiry, state, discovery, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.kiosk.config import KioskLimits
from tests.stream.kiosk_broker import Broker, Ear, House, until


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    running = Broker(tmp_path_factory.mktemp("broker"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def house(broker: Broker) -> AsyncIterator[House]:
    opened = House(broker.port)
    yield opened
    await opened.close()


async def test_a_text_is_acknowledged_signed_and_told(house: House):
    await house.open()
    async with Ear(house.port) as ear:
        answer = await ear.ask({"command": "say", "text": "good morning all", "id": "one"})
        assert answer == {"ok": True, "ack": "say", "id": "one", "ahead": 0}
        await until(lambda: "one" in ear.ids("finished"), "the end of the text")
        assert house.played == ["good morning all"]
        assert ear.ids("began") == ["one"]
        assert ear.events("finished")[0]["signs"] == 3
        numbers = [event["seq"] for event in ear.of("signs/lobby/event")]
        assert numbers == sorted(set(numbers))


async def test_mosquitto_s_own_programs_ask_and_hear(house: House):
    """As README says it."""
    await house.open()

    async def run(*command: str) -> str:
        where = ("-V", "mqttv5", "-p", str(house.port), "-W", "120")
        done = await asyncio.create_subprocess_exec(*command, *where, stdout=asyncio.subprocess.PIPE)
        out, _ = await done.communicate()
        assert done.returncode == 0, f"{command} ended with {done.returncode}"
        return out.decode().strip()

    say = json.dumps({"command": "say", "text": "Platform 4 has changed", "id": "rr"})
    answer = await run("mosquitto_rr", "-q", "1", "-t", "signs/lobby/cmd", "-e", "me/answers", "-m", say)
    assert json.loads(answer) == {"ok": True, "ack": "say", "id": "rr", "ahead": 0}
    assert await run("mosquitto_sub", "-C", "1", "-t", "signs/lobby/status") == "online"
    await until(lambda: house.played == ["Platform 4 has changed"], "it to be signed")


async def test_without_response_topic_the_acknowledgement_is_an_event(house: House):
    await house.open()
    async with Ear(house.port) as ear:
        await ear.publish("signs/lobby/cmd", {"command": "ping", "id": "p"}, qos=0)
        answer = (await until(lambda: ear.events("ack"), "the acknowledgement"))[0]["answer"]
        assert (answer["ok"], answer["ack"], answer["id"]) == (True, "ping", "p")
        assert answer["state"]["kiosk"] == "lobby"


async def test_settings_are_applied_and_the_state_is_retained(house: House):
    await house.open()
    async with Ear(house.port) as ear:
        for command in (
            {"command": "rate", "rate": 1.5},
            {"command": "language", "language": "gsg"},
            {"command": "signer", "avatar": "more", "background": "green", "left_handed": True},
        ):
            assert (await ear.ask(command))["ok"], command
        wanted = ("gsg", 1.5, {"avatar": "more", "background": "green", "left_handed": True})

        def told(ear: Ear) -> bool:
            states = ear.of("signs/lobby/state")
            return bool(states) and (states[-1]["language"], states[-1]["rate"], states[-1]["look"]) == wanted

        await until(lambda: told(ear), "the state")
    async with Ear(house.port) as latecomer:
        await until(lambda: told(latecomer), "the retained state")
        assert latecomer.of("signs/lobby/status") == ["online"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (b"", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b'{"command": NaN}', "malformed"),
        (b"[1, 2]", "malformed"),
        ({"command": "sing", "id": "x"}, "malformed"),
        ({"command": "say", "text": " ", "id": "x"}, "malformed"),
        ({"command": "say", "text": "a", "final": False}, "malformed"),
        ({"command": "rate", "rate": 9}, "malformed"),
        ({"command": "signer"}, "malformed"),
        ({"command": "say", "text": "a", "id": "no blanks"}, "malformed"),
        ({"command": "say", "text": "a" * 20_000}, "too_large"),
        (b"[" * 16_000, "too_deep"),
        ({"command": "language", "language": "xxx"}, "unknown"),
        ({"command": "say", "text": "a", "language": "xxx"}, "unknown"),
        ({"command": "signer", "avatar": "nobody"}, "unknown"),
    ],
)
async def test_what_is_wrong_is_told_with_a_remedy(house: House, command: Any, reason: str):
    await house.open()
    async with Ear(house.port) as ear:
        answer = await ear.ask(command)
        assert (answer["ok"], answer["reason"]) == (False, reason)
        assert answer["error"]
        assert answer["remedy"]
        assert house.played == []


async def test_the_same_command_is_carried_out_once_and_answered_each_time(house: House, tmp_path: Path):
    memory = tmp_path / "memory.sqlite3"
    await house.open(memory=memory)
    async with Ear(house.port) as ear:
        first = await ear.ask({"command": "say", "text": "once", "id": "a"})
        again = await ear.ask({"command": "say", "text": "once", "id": "a"})
        assert again == first | {"duplicate": True}
        other = await ear.ask({"command": "say", "text": "something else", "id": "a"})
        assert other["reason"] == "conflict"
        for _ in range(2):  # without an id the correlation data is what it is known by
            mark = b"the same mark"
            await ear.publish("signs/lobby/cmd", {"command": "say", "text": "twice"}, answer=mark)
        answers = await until(lambda: len(a := ear.answers.get(mark, [])) == 2 and a, "both answers")
        assert [a.get("duplicate", False) for a in answers] == [False, True]
        await until(lambda: len(ear.ids("finished")) == 2, "both texts")
        await house.close()  # what was taken is known after a restart
        await house.open(memory=memory)
        assert (await ear.ask({"command": "say", "text": "once", "id": "a"}))["duplicate"]
        assert house.played == ["once", "twice"]


async def test_a_command_whose_time_has_passed_is_never_signed(house: House):
    await house.open()
    async with Ear(house.port) as ear:
        await ear.ask({"command": "say", "text": "word " * 25, "id": "long"})
        await until(lambda: "long" in ear.ids("began"), "the long text to begin")
        answer = await ear.ask({"command": "say", "text": "stale", "id": "stale"}, expiry_s=2)
        await ear.ask({"command": "say", "text": "patient", "id": "patient"}, expiry_s=600)
        if answer["ok"]:  # a slow machine may find it stale when it comes, which is as well
            dropped = (await until(lambda: ear.events("dropped"), "it to be dropped"))[0]
            assert (dropped["id"], dropped["reason"]) == ("stale", "expired")
        await ear.ask({"command": "say", "text": "meanwhile", "id": "meanwhile"})
        await until(lambda: len(house.played) == 3, "the texts after it")
        assert [t.strip()[:9] for t in house.played] == ["word word", "patient", "meanwhile"]


async def test_a_command_that_expired_at_the_broker_is_never_signed(house: House):
    await house.open()  # the broker knows the session
    async with Ear(house.port) as ear:
        await house.close()
        await until(lambda: ear.of("signs/lobby/status")[-1:] == ["offline"], "the kiosk to leave")
        await ear.publish("signs/lobby/cmd", {"command": "say", "text": "stale", "id": "s"}, expiry_s=1)
        await ear.publish("signs/lobby/cmd", {"command": "say", "text": "kept", "id": "k"}, expiry_s=600)
        await asyncio.sleep(2.5)  # its time passes; longer does no harm
        await house.open()
        await until(lambda: "k" in ear.ids("finished"), "what was sent meanwhile")
        assert house.played == ["kept"]


async def test_interrupt_ends_what_is_signed_and_drops_what_waits(house: House):
    await house.open()
    async with Ear(house.port) as ear:
        for id in ("one", "two", "three"):
            await ear.ask({"command": "say", "text": f"{id} " * 50, "id": id})
        await until(lambda: "one" in ear.ids("began"), "the first to begin")
        assert (await ear.ask({"command": "interrupt"}))["ok"]
        await ear.ask({"command": "say", "text": "after", "id": "after"})
        await until(lambda: "after" in ear.ids("finished"), "what was said after")
        assert sorted(ear.ids("dropped")) == ["one", "three", "two"]
        assert {e["reason"] for e in ear.events("dropped")} == {"interrupted"}
        assert house.played[-1] == "after"
        await until(lambda: ear.of("signs/lobby/state")[-1]["backlog"]["texts"] == 0, "an empty backlog")


async def test_retained_commands_are_refused_and_never_replayed(house: House):
    await house.open()
    async with Ear(house.port) as ear:
        command = {"command": "say", "text": "again and again", "id": "r"}
        await ear.publish("signs/lobby/cmd", command, retain=True)  # to those connected it comes as any other
        await until(lambda: "r" in ear.ids("finished"), "it to be signed once")
        await house.close()
        await house.open()
        assert (await ear.ask({"command": "ping"}))["ok"]
        await ear.publish("signs/lobby/cmd", b"", retain=True)
        assert house.played == ["again and again"]


async def test_answers_go_nowhere_they_could_do_harm(house: House):
    await house.open("lobby", "gate")
    async with Ear(house.port) as ear:
        for topic in ("signs/gate/cmd", "signs/lobby/status", "homeassistant/device/x/config", "$SYS/x"):
            ping = {"command": "ping", "id": topic.replace("/", "-").replace("$", "")}
            await ear.publish("signs/lobby/cmd", ping, answer=b"1", response_topic=topic)
            told = await until(
                lambda id=ping["id"]: [e for e in ear.events("ack") if e["answer"]["id"] == id], "the refusal"
            )
            assert told[0]["answer"]["reason"] == "unanswerable"
        await ear.publish("signs/lobby/cmd", {"command": "ping", "id": "long"}, answer=b"x" * 300)
        await until(lambda: any(e["answer"]["id"] == "long" for e in ear.events("ack")), "the refusal")
        assert ear.events("ack", "gate") == []


async def test_limits_refuse_with_a_time_to_come_back(house: House):
    limits = KioskLimits(playlist=2, commands_a_s=5.0, burst=6)
    await house.open(limits=limits)
    async with Ear(house.port) as ear:
        answers = [await ear.ask({"command": "say", "text": "w " * 50, "id": f"t{i}"}) for i in range(5)]
        full = [a for a in answers if not a["ok"]]
        assert full
        assert {a["reason"] for a in full} == {"full"}
        await asyncio.gather(*(ear.publish("signs/lobby/cmd", {"command": "ping"}) for _ in range(9)))
        refused = await until(
            lambda: [e["answer"] for e in ear.events("ack") if e["answer"].get("reason") == "rate"],
            "a refusal",
        )
        assert all(a["retry_after_s"] >= 0 for a in refused + full)
        assert (await ear.ask({"command": "interrupt"}))["ok"], "a flood can be interrupted"


async def test_home_assistant_finds_the_kiosk_at_connection_and_at_its_birth(house: House):
    await house.open()
    topic = "homeassistant/device/handstream_signs_lobby/config"
    async with Ear(house.port) as ear:
        for times in (1, 2):
            await ear.publish("homeassistant/status", b"online")
            await until(lambda times=times: len(ear.of(topic)) >= times, "an announcement")
        device = ear.of(topic)[-1]
        assert device["availability"] == [{"topic": "signs/lobby/status"}]
        parts = device["components"]
        assert len({part["unique_id"] for part in parts.values()}) == len(parts)
        # What its buttons and templates send is understood.
        pressed = json.loads(parts["interrupt"]["payload_press"])
        typed = parts["say"]["command_template"].replace("{{ value | tojson }}", json.dumps('say "hi"'))
        slid = parts["rate"]["command_template"].replace("{{ value }}", "1.25")
        chosen = parts["language"]["command_template"].replace("{{ value | tojson }}", '"gsg"')
        for command in (pressed, json.loads(typed), json.loads(slid), json.loads(chosen)):
            assert (await ear.ask(command))["ok"], command


async def test_fifty_kiosks_on_one_server(house: House):
    names = [f"k{i}" for i in range(50)]
    kiosks = await house.open(*names)
    async with Ear(house.port) as ear:
        answers = await asyncio.gather(
            *(ear.ask({"command": "say", "text": f"hello {n}", "id": n}, kiosk=n) for n in names)
        )
        assert all(a["ok"] for a in answers)
        await until(lambda: all(ear.ids("finished", n) == [n] for n in names), "every kiosk to sign")
        assert sorted(house.played) == sorted(f"hello {n}" for n in names)
        assert {k.link.connections for k in kiosks.kiosks.values()} == {1}
        await house.close()
        await until(
            lambda: all(ear.of(f"signs/{n}/status")[-1:] == ["offline"] for n in names), "their goodbyes"
        )


async def test_nothing_is_left_after_the_end(broker: Broker):
    before = asyncio.all_tasks()
    house = House(broker.port)
    await house.open("one", "two")
    await house.close()
    await until(lambda: asyncio.all_tasks() <= before, "every task to end")
