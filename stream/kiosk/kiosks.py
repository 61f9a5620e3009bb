"""Every kiosk of one server, started beside its signers and ended with them.

Enters: a `KioskConfig`, the stage. Leaves: running kiosks, the page of each at `/kiosk/<name>`, figures at
`/kiosks`. Does not know commands.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from aiohttp import web

from stream.errors import Refusal
from stream.kiosk.admission import Admission
from stream.kiosk.config import KioskConfig
from stream.kiosk.kiosk import Kiosk
from stream.kiosk.ledger import Ledger
from stream.stage import Stage

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent.parent / "web" / "kiosk.html"
CONNECTING = 2
"""Links that connect at the same time: connecting takes a helper thread, of which a server has few."""


class Kiosks:
    """See the module. `start` when the signers are on air, `close` before they are taken off."""

    def __init__(self, config: KioskConfig) -> None:
        self.config = config
        self.kiosks: dict[str, Kiosk] = {}
        self._ledger: Ledger | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def routes(self) -> list[web.RouteDef]:
        return [web.get("/kiosks", self._list), web.get("/kiosk/{kiosk}", self._page)]

    async def start(self, stage: Stage) -> None:
        """Raises ValueError when the memory of commands cannot be used. An absent broker is waited for."""
        self._ledger = Ledger(self.config.memory, self.config.limits.remembered)
        admission, gate = Admission(self.config.limits), asyncio.Semaphore(CONNECTING)
        for name in self.config.names:
            kiosk = self.kiosks[name] = Kiosk(stage, name, self.config, self._ledger, admission, gate)
            self._tasks.append(asyncio.create_task(self._run(kiosk), name=f"kiosk {name}"))

    async def close(self) -> None:
        """Every kiosk says `offline` and leaves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._ledger is not None:
            await self._ledger.close()
            self._ledger = None

    def trouble(self) -> list[str]:
        """What is wrong just now, in words; empty when all is well."""
        return [f"kiosk {name}: {k.link.trouble}" for name, k in self.kiosks.items() if not k.link.connected]

    async def _run(self, kiosk: Kiosk) -> None:
        try:
            await kiosk.run()
        except Exception:  # one kiosk must not end the others, nor die in silence
            log.exception("kiosk %s has ended", kiosk.name)

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response([kiosk.stats() for kiosk in self.kiosks.values()])

    async def _page(self, request: web.Request) -> web.FileResponse:
        name = request.match_info["kiosk"]
        if name not in self.kiosks:
            raise Refusal(404, f"there is no kiosk {name[:40]!r}", f"there are: {', '.join(self.kiosks)}")
        return web.FileResponse(PAGE, headers={"Cache-Control": "no-cache"})
