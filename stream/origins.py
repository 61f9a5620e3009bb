"""Which web pages may use the API: our own, and those the configuration names.

Enters: HTTP requests with an Origin. Leaves: CORS headers, or 403 for requests that change something.
Does not know what the requests do. Requests without an Origin (curl, GStreamer, servers) are not concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from stream.errors import Handler, Refusal

EXPOSED = "Location, ETag, Link, Retry-After"


def guard_origins(allowed: Sequence[str]) -> Middleware:
    """Middleware for `allowed` origins (scheme://host[:port]); `*` allows any."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is None:
            return await handler(request)
        own = urlsplit(origin).netloc == request.host
        welcome = own or "*" in allowed or origin in allowed
        # A WebSocket begins as a GET, and browsers let any page open one; but it may write.
        writes = request.method not in ("GET", "HEAD", "OPTIONS") or "Upgrade" in request.headers
        if not welcome and writes:
            raise Refusal(
                403, f"pages of {origin[:100]} may not use this server", "start it with --allow-origin"
            )
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204)
        else:
            response = await handler(request)
        if welcome and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PATCH, DELETE, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization, If-Match"
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            response.headers["Vary"] = "Origin"
        return response

    return guard
