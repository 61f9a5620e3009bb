"""The full-screen page of a kiosk in real Chromium: driven over MQTT, read from afar, nothing to touch."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.stream.kiosk_broker import Broker, Ear, House
from tests.stream.page_driver import ARGUMENTS, CHROMIUM, LIVE, needs_chromium

pytestmark = needs_chromium

LAYOUT = """() => {
  const root = document.querySelector('sign-avatar').shadowRoot;
  const page = document.documentElement;
  const box = (selector) => {
    const element = root.querySelector(selector);
    const {left, top, right, bottom, width, height} = element.getBoundingClientRect();
    const size = parseFloat(getComputedStyle(element).fontSize);
    return {left, top, right, bottom, width, height, size, shown: element.checkVisibility()};
  };
  return {
    wide: innerWidth, high: innerHeight,
    scrolls: page.scrollHeight > innerHeight || page.scrollWidth > innerWidth,
    cursor: getComputedStyle(document.querySelector('sign-avatar')).cursor,
    controls: box('.controls').shown,
    video: box('video'), caption: box('.caption .text'), label: box('.label'),
    labelText: root.querySelector('.label-text').textContent,
  };
}"""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    broker.start()
    opened = House(broker.port)
    yield opened
    await opened.close()
    broker.stop()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


async def test_the_page_shows_signer_caption_and_label_on_every_screen(house: House, chromium: Browser):
    await house.open("lobby", "gate", high=128)
    address = house.running[0][0].address
    context = await chromium.new_context(viewport={"width": 1080, "height": 1920})
    page = await context.new_page()
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(f"{address}kiosk/lobby")
    await page.wait_for_function(LIVE)
    text = "The train to Berlin leaves from platform four today " * 2
    async with Ear(house.port) as ear:
        for width, height in ((1080, 1920), (1920, 1080), (1280, 1024), (360, 640)):
            await page.set_viewport_size({"width": width, "height": height})
            await ear.ask({"command": "interrupt"})
            await ear.ask({"command": "say", "text": text})
            now = "document.querySelector('sign-avatar').shadowRoot.querySelector('.word.now')"
            await page.wait_for_function(now)
            seen = await page.evaluate(LAYOUT)
            assert not seen["scrolls"], seen
            assert not seen["controls"]
            assert seen["cursor"] == "none"
            assert seen["labelText"] == "Machine-generated signing"
            for part in ("caption", "label"):
                box = seen[part]
                assert box["shown"], (part, seen)
                assert 0 <= box["left"] < box["right"] <= width + 1, (part, seen)
                assert 0 <= box["top"] < box["bottom"] <= height + 1, (part, seen)
            assert seen["caption"]["size"] > 2 * seen["label"]["size"] * 0.9 >= 20, "to be read from afar"
            assert min(seen["video"]["width"], seen["video"]["height"]) > 0.55 * min(width, height), seen
        assert await page.evaluate("document.documentElement.dataset.awake") in ("yes", "no")
        state = ear.of("signs/lobby/state")[-1]
        assert state["page"] == "/kiosk/lobby"
    assert problems == []
    await context.close()


async def test_there_is_no_page_for_a_kiosk_that_is_not(house: House):
    await house.open("lobby")
    address = house.running[0][0].address
    with pytest.raises(urllib.error.HTTPError, match="404"):
        await asyncio.to_thread(urllib.request.urlopen, f"{address}kiosk/nobody", timeout=30)
