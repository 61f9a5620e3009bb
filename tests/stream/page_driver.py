"""What the page tests share: Chromium, the real server in its own process, and probes that run in the page.

Enters: nothing. Leaves: `Server` and JavaScript (page_fixtures.py has the fixtures). Does not know the tests.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]

AVATAR = "document.querySelector('sign-avatar')"
LIVE = f"{AVATAR}.state === 'live'"

WATCH = """() => {
  window.seen = [];
  const root = document.querySelector('sign-avatar').shadowRoot;
  const note = () => {
    const word = root.querySelector('.word.now')?.textContent ?? '';
    const tile = root.querySelector('.tile');
    const letter = root.querySelector('.word.now .letter')?.textContent ?? '';
    const now = [word, tile.hidden ? '' : tile.textContent, letter];
    if (JSON.stringify(now) !== JSON.stringify(window.seen.at(-1))) window.seen.push(now);
  };
  new MutationObserver(note).observe(root.querySelector('.caption'),
    {subtree: true, childList: true, characterData: true, attributes: true});
}"""
"""Keep in `window.seen` what the caption marked: [word, letter on the tile, letter within the word]."""

CONTRAST = r"""() => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const parse = (colour) => {
    const [r, g, b, a = 1] = numbers(colour.replace('srgb', ''));
    return colour.startsWith('color') ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
  };
  const mix = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const parent = (element) => element.parentElement ?? element.getRootNode().host ?? null;
  const canvas = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
  const ground = (element) =>
    element ? mix(parse(getComputedStyle(element).backgroundColor), ground(parent(element))) : canvas;
  const visible = (element) =>
    element.checkVisibility({opacityProperty: true, visibilityProperty: true}) &&
    !element.closest('.spoken, .skip, option');
  const poor = [];
  let looked = 0;
  for (const root of [document.body, document.querySelector('sign-avatar').shadowRoot]) {
    for (const element of root.querySelectorAll('*')) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      if (!hasText || !visible(element)) continue;
      const under = ground(element);
      const over = mix(parse(getComputedStyle(element).color), under);
      const [light, dark] = [luminance(over), luminance(under)].sort((a, b) => b - a);
      const ratio = (light + 0.05) / (dark + 0.05);
      looked += 1;
      if (ratio < 4.5) poor.push([element.outerHTML.slice(0, 90), ratio]);
    }
  }
  return {looked, poor};
}"""
"""WCAG 2 contrast of every visible text of page and element."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`handstream serve` in its own process, on one port for its whole life, restarts included."""

    def __init__(self, log: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.guest_port = free_port()
        self.guest = f"http://127.0.0.1:{self.guest_port}"
        """Another origin whose pages may embed ours; of this machine, for browsers keep public pages out."""
        self.log = log
        self.options = ("--allow-origin", self.guest, *options)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream.cli", "serve", "--port", str(self.port), *self.options],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self.until(lambda: self.get("/healthz") is not None, "the server to answer", 90)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(sign)
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self.process = None

    def request(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse().read()
            return json.loads(answer) if answer else {}
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        try:
            return self.request("GET", path)
        except (OSError, http.client.HTTPException):
            return None

    def signer(self) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.request("GET", "/signers")
        return next(row for row in rows if row["name"] == "main")

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 45) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.process is None or self.process.poll() is not None
            assert not ended, f"the server ended while {what} was awaited: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"waited for {what}: {self.log.read_text()[-3000:]}"
            time.sleep(0.1)
