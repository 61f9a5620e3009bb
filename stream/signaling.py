"""WHEP: a viewer posts an offer and gets an answer; a session is a resource that it deletes when it leaves.

Enters: HTTP requests on /whep/{signer}. Leaves: SDP answers, sessions on the stage. Does not know pictures.
Source: draft-ietf-wish-whep. Offer and answer hold all candidates: nothing is trickled, PATCH is declined.
"""

from __future__ import annotations

from aiohttp import web

from stream.access import BEARER
from stream.errors import Refusal
from stream.stage import STAGE

MAX_SDP_BYTES = 48 * 1024
SDP = "application/sdp"


async def offer(request: web.Request) -> web.Response:
    """POST /whep/{signer}: 201 with the answer, and Location of the session."""
    stage = request.app[STAGE]
    channel = stage.channel(request.match_info["signer"])
    if request.content_type not in (SDP, "text/plain", "application/octet-stream"):
        raise Refusal(415, f"got content type {request.content_type}", f"send the offer as {SDP}")
    body = b""
    async for chunk in request.content.iter_any():  # `read(n)` would stop at the first network packet
        body += chunk
        if len(body) > MAX_SDP_BYTES:
            break
    if len(body) > MAX_SDP_BYTES:
        raise Refusal(413, f"the offer is larger than {MAX_SDP_BYTES} bytes", "offer one video section")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(400, "the offer is not UTF-8 text", f"send an SDP offer as {SDP}") from error
    peer, answer = await stage.admit(channel, text, request.get(BEARER))
    return web.Response(
        status=201,
        text=answer,
        content_type=SDP,
        headers={
            "Location": f"/whep/{channel.settings.name}/{peer.session}",
            "ETag": f'"{peer.session}"',
            "Access-Control-Expose-Headers": "Location, ETag, Link",
        },
    )


async def leave(request: web.Request) -> web.Response:
    """DELETE /whep/{signer}/{session}: the viewer leaves."""
    stage = request.app[STAGE]
    await stage.dismiss(request.match_info["signer"], request.match_info["session"])
    return web.Response(status=200)


async def trickle(request: web.Request) -> web.Response:
    """PATCH on a session: politely declined (RFC 9725 4.3.2 allows 405 where nothing is trickled)."""
    raise Refusal(
        405,
        "candidates are not trickled here",
        "send an offer that holds them all; the answer holds all of ours",
    )


async def describe(request: web.Request) -> web.Response:
    """GET and OPTIONS on /whep/{signer}: what to post."""
    request.app[STAGE].channel(request.match_info["signer"])
    if request.method == "OPTIONS":
        return web.Response(status=204, headers={"Accept-Post": SDP, "Allow": "POST, OPTIONS, DELETE"})
    raise Refusal(405, "this is where viewers post their offers", f"POST an SDP offer as {SDP}")


ROUTES = [
    web.post("/whep/{signer}", offer),
    web.get("/whep/{signer}", describe),
    web.route("OPTIONS", "/whep/{signer}", describe),
    web.delete("/whep/{signer}/{session}", leave),
    web.patch("/whep/{signer}/{session}", trickle),
]
