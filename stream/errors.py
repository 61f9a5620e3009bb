"""What the server says no with: a status, what is wrong, and what to do about it.

Enters: nothing. Leaves: `Refusal`, the aiohttp middleware that turns it (and aiohttp's own errors) into JSON
`{"error", "remedy"}`, and `StartupError`. Does not know what was asked.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StartupError(RuntimeError):
    """The server cannot start; the message says why and what to do."""


class Refusal(Exception):
    """A request that is answered with an error. retry_after_s adds the header of that name."""

    def __init__(self, status: int, error: str, remedy: str, retry_after_s: int | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.remedy = remedy
        self.retry_after_s = retry_after_s

    def response(self) -> web.Response:
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s is not None else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="handstream"'
        return problem(self.status, self.error, self.remedy, headers)


def problem(status: int, error: str, remedy: str, headers: dict[str, str] | None = None) -> web.Response:
    """The JSON form of every error."""
    body = json.dumps({"error": error, "remedy": remedy}, ensure_ascii=False)
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)


@web.middleware
async def explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as JSON that says what and what to do."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except web.HTTPRequestEntityTooLarge:
        return problem(
            413,
            "the request body is too large",
            f"at most {request.client_max_size // 1024} kB; send text in pieces, in order",
        )
    except web.HTTPNotFound:
        return problem(
            404, f"there is nothing at {request.path}", "GET / is the page, GET /signers the signers"
        )
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(
            405, f"{request.method} is not possible on {request.path}", f"use {allowed}", {"Allow": allowed}
        )
    except web.HTTPException:
        raise
    except ConnectionError:
        raise
    except Exception:  # the request's boundary: one bad request must not be silent, nor end the server
        log.exception("%s %s failed", request.method, request.path)
        return problem(500, "the server made a mistake", "look into its log, and report what you find there")
