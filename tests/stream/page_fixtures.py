"""Fixtures of the page tests: a browser, the server, and demo pages that must end clean.

Enters: page_driver.py. Leaves: `chromium`, `site`, `open_page`. Loaded by `pytest_plugins`, never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stream.page_driver import ARGUMENTS, CHROMIUM, LIVE, Server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("page") / "server.log"
    running = Server(log, "--max-viewers", "2")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, site: Server) -> Iterator[Callable[..., Any]]:
    """Opens the demo page; afterwards every page was without errors, and every session is gone."""
    contexts: list[Any] = []
    problems: list[str] = []

    def note(message: Any) -> None:
        if message.type == "error":
            problems.append(f"{message.text} {message.location}")

    def opened(path: str = "/", *, live: bool = True, errors: bool = True, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": 1280, "height": 860}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(45_000)
        if errors:
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", note)
        page.goto(site.url + path)
        if live:
            page.wait_for_function(LIVE)
        return page

    site.request("POST", "/signers/main/interrupt", {})
    yield opened
    for context in contexts:
        context.close()
    site.request("POST", "/signers/main/interrupt", {})
    site.until(lambda: site.signer()["viewers"] == 0, "the viewers' sessions to be closed")
    assert problems == []
