"""The web page in real Chromium against the real server: what a viewer sees, is told and can do."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.stream.page_driver import AVATAR, CONTRAST, LIVE, ROOT, WATCH, Server, needs_chromium

pytest_plugins = ["tests.stream.page_fixtures"]
pytestmark = needs_chromium


def frames_decoded(page: Any) -> int:
    return int(
        page.evaluate("""async () => {
          const stats = await document.querySelector('sign-avatar').peerConnection.getStats();
          return [...stats.values()].find((r) => r.type === 'inbound-rtp').framesDecoded;
        }""")
    )


def sign(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def seen_until_idle(page: Any, last_letter: str) -> list[list[str]]:
    page.wait_for_function(
        f"window.seen.some(([, tile]) => tile === '{last_letter}') && window.seen.at(-1)[0] === ''"
    )
    seen: list[list[str]] = page.evaluate("window.seen")
    return [now for now in seen if now[0]]


def collapsed(values: list[str]) -> list[str]:
    return [value for i, value in enumerate(values) if i == 0 or value != values[i - 1]]


def test_the_picture_plays(open_page: Callable[..., Any]) -> None:
    page = open_page()
    before = frames_decoded(page)
    deadline = time.monotonic() + 30
    while frames_decoded(page) <= before + 10 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert frames_decoded(page) > before + 10
    video = page.evaluate(
        "(({videoWidth: w, videoHeight: h, paused, muted}) => [w, h, paused, muted])"
        "(document.querySelector('sign-avatar').shadowRoot.querySelector('video'))"
    )
    assert video == [512, 512, False, True]
    assert page.text_content("#state-words") == "Live"


def test_the_caption_follows_the_signing(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate(WATCH)
    sign(page, "Oak 🙂 fig")
    seen = seen_until_idle(page, "G")
    assert collapsed([word for word, _, _ in seen]) == ["Oak", "fig"]
    assert collapsed([tile for _, tile, _ in seen if tile]) == list("OAKFIG")
    assert all(letter.upper() == tile for _, tile, letter in seen if tile and letter)
    notices = page.inner_text("#notices")
    assert re.search("Not signed.*🙂", notices)
    assert (
        page.evaluate("document.querySelector('sign-avatar').shadowRoot.querySelector('.read').textContent")
        == "Oak 🙂 fig"
    )


def test_the_delay_is_measured_in_the_browser(open_page: Callable[..., Any]) -> None:
    page = open_page()
    sign(page, "A")
    page.wait_for_function("document.querySelector('sign-avatar').latency.glass_ms !== null")
    reading = page.evaluate("document.querySelector('sign-avatar').latency")
    assert 0 < reading["glass_ms"] < 5000
    assert 0 < reading["rtt_ms"] < 2000
    assert reading["picture_ms"] is not None
    assert reading["server"]["total_ms"] > 0
    page.wait_for_function("document.querySelector('#glass').textContent.endsWith(' ms')")


def test_words_are_signed_while_they_are_typed(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate(WATCH)
    page.check("#live")
    page.click("#text")
    page.keyboard.type("elm ")
    page.wait_for_function("window.seen.some(([word]) => word === 'elm')")
    assert page.input_value("#text") == ""
    page.keyboard.type("ivy")
    page.wait_for_timeout(300)
    assert page.input_value("#text") == "ivy"  # the last word may still grow
    page.keyboard.press("Enter")
    seen = seen_until_idle(page, "Y")
    assert collapsed([word for word, _, _ in seen]) == ["elm", "ivy"]
    caption = "document.querySelector('sign-avatar').shadowRoot.querySelector('.text').textContent"
    assert page.evaluate(caption) == "elm ivy"


def test_it_works_by_keyboard_alone(open_page: Callable[..., Any], site: Server) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab") if page.evaluate("document.activeElement.id") != "text" else None
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("abcdefghijklm")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('sign-avatar').transcript.current !== null")

    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate("""() => {
          let element = document.activeElement;
          while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
          const style = getComputedStyle(element);
          return [element.id || element.name || element.textContent,
                  style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)];
        }""")
        if name == "copy":
            break
        reached.append(name)
        assert outline >= 2, f"focus is invisible on {name}"
        if name == "stop":
            page.keyboard.press("Space")
            page.wait_for_function("document.querySelector('sign-avatar').transcript.current === null")
        if name == "rate":
            page.keyboard.press("ArrowRight")
            site.until(lambda: site.signer()["rate"] == pytest.approx(1.05), "the speed to arrive")
            page.keyboard.press("ArrowLeft")
            site.until(lambda: site.signer()["rate"] == 1, "the speed to arrive")
        if name == "hand":
            page.keyboard.press("ArrowRight")
            site.until(lambda: site.signer()["left_handed"], "the leading hand to arrive")
            page.keyboard.press("ArrowLeft")
            site.until(lambda: not site.signer()["left_handed"], "the leading hand to arrive")
    assert {"stop", "live", "language", "look", "rate", "hand", "background"} <= set(reached)


def test_an_echo_of_an_earlier_choice_flips_nothing(open_page: Callable[..., Any], site: Server) -> None:
    page = open_page()
    shown = page.evaluate("""async () => {
      const pick = (value) => document.querySelector(`input[name="hand"][value="${value}"]`);
      const shown = new Set();
      for (let n = 0; n < 6; n++) for (const value of ['left', 'right']) {
        pick(value).click();
        await new Promise((done) => setTimeout(done, 5));
      }
      for (const end = performance.now() + 1500; performance.now() < end;) {
        shown.add(document.querySelector('input[name="hand"]:checked').value);
        await new Promise((done) => setTimeout(done, 5));
      }
      return [...shown];
    }""")
    assert shown == ["right"]
    site.until(lambda: not site.signer()["left_handed"], "the last choice to be what the signer does")
    site.request("PATCH", "/signers/main", {"left_handed": True})  # somebody else's choice is still shown
    page.wait_for_function("document.querySelector('input[name=hand]:checked').value === 'left'")
    site.request("PATCH", "/signers/main", {"left_handed": False})


def test_settings_reach_the_server_and_every_page(open_page: Callable[..., Any], site: Server) -> None:
    page, other = open_page(), open_page()
    avatars = [row["name"] for row in site.get("/avatars")]
    before = site.signer()
    wanted = next(name for name in avatars if name != before["avatar"])
    try:
        page.select_option("#look", wanted)
        page.select_option("#language", "gsg")
        site.until(
            lambda: (site.signer()["avatar"], site.signer()["language"]) == (wanted, "gsg"), "settings"
        )
        other.wait_for_function(f"document.querySelector('#look').value === '{wanted}'")
        other.wait_for_function("document.querySelector('#language').value === 'gsg'")
        assert "Guten Tag" in page.inner_text("#try")
        assert page.inner_text("#look-help") == next(
            r["description"] for r in site.get("/avatars") if r["name"] == wanted
        )
    finally:
        site.request("PATCH", "/signers/main", {key: before[key] for key in ("avatar", "language")})


def test_several_signers_can_be_chosen_from(open_page: Callable[..., Any], site: Server) -> None:
    site.request("POST", "/signers", {"name": "second", "language": "gsg"})
    try:
        page = open_page(
            errors=False
        )  # the last attempt at a signer off air is a console error of Chromium's own
        assert page.evaluate(f"{AVATAR}.getAttribute('src')") == "/whep/main"
        page.select_option("#signer", "second")
        page.wait_for_function(f"{LIVE} && {AVATAR}.getAttribute('src') === '/whep/second'")
        page.wait_for_function("document.querySelector('#language').value === 'gsg'")
        assert "/whep/second" in page.inner_text("#snippet")
        assert site.signer()["viewers"] == 0
    finally:
        site.request("DELETE", "/signers/second")
    page.wait_for_function(f"{LIVE} && {AVATAR}.getAttribute('src') === '/whep/main'")


def test_an_element_that_is_moved_stays_and_one_that_is_removed_ends(
    open_page: Callable[..., Any], site: Server
) -> None:
    page = open_page()
    page.evaluate(
        f"window.avatar = {AVATAR}; window.before = avatar.peerConnection; document.body.prepend(avatar)"
    )
    page.wait_for_timeout(300)
    assert page.evaluate("avatar.peerConnection === before && before.connectionState") == "connected"
    page.evaluate("avatar.remove()")
    site.until(lambda: site.signer()["viewers"] == 0, "the session to be deleted")
    page.evaluate("document.body.append(avatar)")
    page.wait_for_function(LIVE)


def test_what_the_server_refuses_is_said_and_not_lost(open_page: Callable[..., Any]) -> None:
    page = open_page(errors=False)  # Chromium reports the refusal itself as a console error
    text = "much " * 2000
    sign(page, text)
    page.wait_for_function("document.querySelector('#notices').textContent.includes('pieces')")
    assert page.input_value("#text") == text
    assert page.evaluate(f"{AVATAR}.state") == "live"


@pytest.mark.parametrize("path", ["webgl", "2d"])
def test_a_signer_without_background_shows_the_page_behind(
    open_page: Callable[..., Any], site: Server, path: str
) -> None:
    page = open_page()
    page.evaluate("path => document.querySelector('sign-avatar').setAttribute('compositor', path)", path)
    try:
        page.check("input[name=background][value=transparent]")
        page.wait_for_function("document.querySelector('sign-avatar').compositing !== null")
        page.wait_for_timeout(500)
        assert page.evaluate("document.querySelector('sign-avatar').compositing") == path
        pixels = page.evaluate("""() => {
          const canvas = document.querySelector('sign-avatar').shadowRoot.querySelector('canvas');
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
          copy.drawImage(canvas, 0, 0);
          const at = (x, y) => [...copy.getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
          return {size: [canvas.width, canvas.height],
                  left: at(.01, .01), right: at(.99, .01), chest: at(.5, .8)};
        }""")
        assert pixels["size"] == [512, 512]
        assert pixels["left"][3] == pixels["right"][3] == 0
        assert pixels["chest"][3] == 255
        page.check("input[name=background][value=plain]")
        page.wait_for_function("document.querySelector('sign-avatar').compositing === null")
    finally:
        site.request("PATCH", "/signers/main", {"background": "plain"})


def test_the_label_cannot_be_styled_away(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate("""() => {
      document.head.append(Object.assign(document.createElement('style'), {textContent:
        `sign-avatar::part(label) { display: none; visibility: hidden; opacity: 0; font-size: 1px;
                                    clip-path: inset(50%) }`}));
      document.querySelector('sign-avatar').setAttribute('label', '  ');
    }""")
    label = page.get_by_text("Machine-generated signing")
    assert label.is_visible()
    box = label.bounding_box()
    assert min(box["width"] / 10, box["height"]) > 10
    page.evaluate("document.querySelector('sign-avatar').setAttribute('label', 'Vom Computer gebärdet')")
    assert page.get_by_text("Vom Computer gebärdet").is_visible()
    page.evaluate("document.querySelector('sign-avatar').removeAttribute('label')")
    page.evaluate("document.querySelector('sign-avatar').setAttribute('lang', 'de')")
    assert page.get_by_text("Maschinell erzeugte Gebärden").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_named(open_page: Callable[..., Any], scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    sign(page, "maple 🙂 tree")
    page.wait_for_function("document.querySelector('sign-avatar').transcript.current !== null")
    contrast = page.evaluate(CONTRAST)
    assert contrast["looked"] > 30
    assert contrast["poor"] == []

    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    interactive = {"button", "textbox", "combobox", "slider", "radio", "checkbox", "link"}
    controls = [
        node for node in tree if node.get("role", {}).get("value") in interactive and not node["ignored"]
    ]
    assert len(controls) >= 15
    assert [node for node in controls if not node.get("name", {}).get("value", "").strip()] == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == page.locator("main").count() == 1


def test_a_phone_needs_no_sideways_scrolling(open_page: Callable[..., Any]) -> None:
    page = open_page()
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate("""() => {
          const tiny = ({width, height}) => width < 24 || height < 24;
          const roots = [document, document.querySelector('sign-avatar').shadowRoot];
          return roots.flatMap((root) => [...root.querySelectorAll('button, select, textarea')])
            .filter((e) => e.checkVisibility() && tiny(e.getBoundingClientRect())).map((e) => e.outerHTML);
        }""")
        assert small == []


def test_a_full_server_is_waited_for_as_it_asks(open_page: Callable[..., Any], site: Server) -> None:
    first, _second = open_page(), open_page()
    third = open_page(live=False, errors=False)  # Chromium reports the 503 itself as a console error
    third.wait_for_function("document.querySelector('sign-avatar').state === 'full'")
    reason, wait_ms = third.evaluate(
        f"[{AVATAR}.standing.reason, {AVATAR}.standing.retryAt - performance.now()]"
    )
    assert reason
    assert wait_ms > 500
    assert re.search(r"places are taken.*\d+ s", third.inner_text("#state-words"))
    first.close()
    third.wait_for_function(LIVE, timeout=30_000)


@pytest.mark.parametrize("sign_", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_it_comes_back_by_itself(open_page: Callable[..., Any], site: Server, sign_: signal.Signals) -> None:
    page = open_page(errors=False)  # refused connections are console errors of Chromium's own
    page.evaluate("""() => { window.states = [];
      document.querySelector('sign-avatar')
        .addEventListener('statechange', (e) => window.states.push(e.detail.state)); }""")
    site.stop(sign_)
    page.wait_for_function("document.querySelector('sign-avatar').state === 'reconnecting'")
    page.wait_for_function("document.querySelector('#state-words').textContent.includes('Reconnecting')")
    site.start()
    page.wait_for_function(LIVE, timeout=30_000)
    before = frames_decoded(page)
    page.evaluate(WATCH)
    sign(page, "ash")
    assert collapsed([tile for _, tile, _ in seen_until_idle(page, "H") if tile]) == list("ASH")
    assert frames_decoded(page) > before
    assert "reconnecting" in page.evaluate("window.states")


@contextmanager
def serving(body: str, port: int) -> Iterator[None]:
    """A web site of one page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Page) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield
        finally:
            httpd.shutdown()
            thread.join()


def snippets() -> list[str]:
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    return re.findall(r"```html\n(.*?)```", text, re.DOTALL)


def test_the_documented_snippet_works_in_a_page_of_another_origin(chromium: Any, site: Server) -> None:
    minimal = next(s for s in snippets() if "http://localhost:8080" in s)
    scripted = next(s for s in snippets() if ".say(" in s)
    body = (minimal + scripted).replace("http://localhost:8080", site.url)
    context = chromium.new_context()
    page = context.new_page()
    labels: list[str] = []
    errors: list[str] = []
    page.on("console", lambda m: labels.append(m.text) if m.type == "info" else errors.append(m.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    with serving(f"<!doctype html><link rel=icon href=data:,><main>{body}</main>", site.guest_port):
        page.goto(site.guest)
        page.wait_for_function(LIVE, timeout=45_000)
        deadline = time.monotonic() + 45
        while not labels and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        before = list(errors)  # the refusal below is a console error of Chromium's own
        refusal = page.evaluate(
            """async (url) => {
          const response = await fetch(url + '/signers/nobody/text', {method: 'POST', body: '{"text": "x"}',
            headers: {'Content-Type': 'application/json'}});
          return [response.status, Object.keys(await response.json())];
        }""",
            site.url,
        )
    context.close()
    site.request("POST", "/signers/main/interrupt", {})
    site.until(lambda: site.signer()["viewers"] == 0, "the session to be deleted")
    assert labels[0].startswith("now signing H")  # HELLO, or H where it is spelled
    assert before == []
    assert refusal == [404, ["error", "remedy"]]


def test_the_page_offers_the_same_snippet(open_page: Callable[..., Any], site: Server) -> None:
    shown = " ".join(open_page().inner_text("#snippet").split())
    documented = " ".join(snippets()[0].replace("http://localhost:8080", site.url).split())
    assert shown == documented


def test_motion_frames_reach_a_page_that_asks(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate("""() => { const avatar = document.querySelector('sign-avatar');
      avatar.addEventListener('motion', (e) => { window.motion = e.detail; });
      avatar.setAttribute('motion', ''); }""")
    page.wait_for_function("window.motion?.smplx.length === 165 && window.motion.pose.some((v) => v !== 0)")
