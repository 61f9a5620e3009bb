"""Kiosks and their memory of commands: what waits for it, what does not, and what happens when it fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stream.kiosk.ledger import Ledger
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


def memory_of(kiosks: object) -> Ledger:
    ledger = kiosks._ledger  # type: ignore[attr-defined]
    assert isinstance(ledger, Ledger)
    return ledger


async def test_answers_do_not_wait_for_the_memory_but_the_text_and_the_broker_do(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kiosks = await house.open(memory=tmp_path / "memory.sqlite3")
    kiosk, released = kiosks.kiosks["lobby"], []
    done = kiosk.link.done
    monkeypatch.setattr(kiosk.link, "done", lambda message: (released.append(message.payload), done(message)))
    writes = threading.Event()
    memory_of(kiosks)._thread.submit(writes.wait)  # as a disk that is busy
    try:
        async with Ear(house.port) as ear:
            assert (await ear.ask({"command": "say", "text": "first", "id": "a"}))["ahead"] == 0
            assert (await ear.ask({"command": "say", "text": "second", "id": "b"}))["ahead"] == 1
            assert (await ear.ask({"command": "ping"}))["state"]["backlog"]["texts"] == 2
            again = asyncio.create_task(ear.ask({"command": "say", "text": "first", "id": "a"}))
            await asyncio.sleep(0.3)  # time in which it could go wrong; less would only see less
            assert house.played == [], "a text that may be forgotten could be signed twice"
            assert released == [], "the broker is the only one that knows of it for certain"
            assert not again.done()
            writes.set()
            assert (await again)["duplicate"] is True
            await until(lambda: len(ear.ids("finished")) == 2, "both texts")
            assert house.played == ["first", "second"]
            await until(lambda: len(released) == 4, "the broker to be told")
            assert [b'"a"' in payload for payload in released] == [True, False, False, True]
    finally:
        writes.set()


async def test_a_text_that_was_interrupted_before_it_was_noted_does_not_come_back(
    house: House, tmp_path: Path
):
    memory = tmp_path / "memory.sqlite3"
    kiosks = await house.open(memory=memory)
    writes = threading.Event()
    memory_of(kiosks)._thread.submit(writes.wait)
    try:
        async with Ear(house.port) as ear:
            assert (await ear.ask({"command": "say", "text": "never", "id": "n"}))["ok"]
            assert (await ear.ask({"command": "interrupt"}))["ok"]
            await until(lambda: ear.ids("dropped") == ["n"], "it to be dropped")
            writes.set()
            await house.close()
            await house.open(memory=memory)
            assert (await ear.ask({"command": "say", "text": "after", "id": "after"}))["ahead"] == 0
            await until(lambda: "after" in ear.ids("finished"), "the text after the restart")
            assert house.played == ["after"]
    finally:
        writes.set()


async def test_a_memory_that_cannot_be_written_is_told(house: House, tmp_path: Path):
    kiosks = await house.open(memory=tmp_path / "memory.sqlite3")
    ledger = memory_of(kiosks)

    async def writable(yes: bool) -> None:
        await ledger._run(lambda: ledger._base.execute(f"PRAGMA query_only={'OFF' if yes else 'ON'}"))

    async with Ear(house.port) as ear:
        await writable(False)
        assert (await ear.ask({"command": "say", "text": "one", "id": "1"}))["ok"]
        error = (await until(lambda: ear.events("error"), "to be told"))[0]
        assert "remembered" in error["error"]
        assert error["remedy"]
        await until(lambda: "1" in ear.ids("finished"), "it to be signed all the same")
        refused = await ear.ask({"command": "say", "text": "two", "id": "2"})
        assert (refused["ok"], refused["reason"]) == (False, "failed"), "now it is known beforehand"
        await writable(True)
        assert (await ear.ask({"command": "say", "text": "two", "id": "2"}))["ok"]
        await until(lambda: "2" in ear.ids("finished"), "the next, once it can be written again")
        assert house.played == ["one", "two"]
