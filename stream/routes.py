"""The HTTP API beside WHEP: signers, text, captions, languages, avatars, health and figures.

Enters: HTTP requests. Leaves: JSON. Does not know how anything is done; asks the stage.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from stream import captions
from stream.access import BEARER
from stream.captions import Feed
from stream.config import SignerSettings
from stream.errors import Refusal
from stream.stage import STAGE

CHANGEABLE = ("language", "avatar", "rate", "left_handed", "background")


async def _body(request: web.Request, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The request's JSON object. Refusal 400 or 422. The body's size is limited by the application."""
    raw = await request.read()
    try:
        body = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON: {error}", 'send for example {"text": "Hello"}') from error
    if not isinstance(body, dict):
        raise Refusal(
            422, "the body is not a JSON object", f"send an object with some of: {', '.join(allowed)}"
        )
    unknown = sorted(set(body) - set(allowed))
    if unknown:
        names = ", ".join(str(u)[:40] for u in unknown[:5])
        raise Refusal(422, f"unknown fields: {names}", f"send some of: {', '.join(allowed)}")
    return body


async def health(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    trouble = stage.trouble()
    body = {"status": "degraded" if trouble else "ok", "signers": len(stage.channels), "trouble": trouble}
    return web.json_response(body)


async def ready(request: web.Request) -> web.Response:
    why = request.app[STAGE].unready()
    body = {"status": "unready" if why else "ready", "why": why}
    return web.json_response(body, status=503 if why else 200)


async def metrics(request: web.Request) -> web.Response:
    text, content_type = request.app[STAGE].metrics.page(request.headers.get("Accept", ""))
    return web.Response(body=text, headers={"Content-Type": content_type})


async def list_signers(request: web.Request) -> web.Response:
    return web.json_response([c.describe() for c in request.app[STAGE].channels.values()])


async def create_signer(request: web.Request) -> web.Response:
    body = await _body(request, ("name", *CHANGEABLE))
    try:
        settings = SignerSettings(**body)
    except (TypeError, ValueError) as error:
        raise Refusal(422, str(error), 'send for example {"name": "anna", "language": "ase"}') from error
    channel = await request.app[STAGE].create(settings, request.get(BEARER))
    location = {"Location": f"/signers/{settings.name}"}
    return web.json_response(channel.describe(), status=201, headers=location)


async def show_signer(request: web.Request) -> web.Response:
    return web.json_response(request.app[STAGE].channel(request.match_info["signer"]).describe())


async def change_signer(request: web.Request) -> web.Response:
    changes = await _body(request, CHANGEABLE)
    channel = await request.app[STAGE].update(request.match_info["signer"], changes)
    return web.json_response(channel.describe())


async def delete_signer(request: web.Request) -> web.Response:
    await request.app[STAGE].delete(request.match_info["signer"])
    return web.Response(status=204)


async def say(request: web.Request) -> web.Response:
    stage = request.app[STAGE]
    channel = stage.channel(request.match_info["signer"])
    body = await _body(request, ("text", "final", "language"))
    text, final, language = body.get("text"), body.get("final", True), body.get("language")
    if not isinstance(text, str):
        raise Refusal(422, "there is no text", 'send {"text": "Hello"}')
    if not isinstance(final, bool):
        raise Refusal(422, f"final: got {final!r}, expected true or false", "leave it out for a whole text")
    if language is not None and (not isinstance(language, str) or language not in stage.cast.languages):
        known = ", ".join(stage.cast.languages)
        raise Refusal(422, f"there is no language {str(language)[:40]!r}", f"choose one of: {known}")
    if (bearer := request.get(BEARER)) is not None:
        bearer.characters(len(text))
    return web.json_response(await channel.say(text, final, language), status=202)


async def interrupt(request: web.Request) -> web.Response:
    await request.app[STAGE].channel(request.match_info["signer"]).interrupt()
    return web.json_response({}, status=202)


async def changes(request: web.Request) -> web.Response:
    return web.json_response(list(request.app[STAGE].captions_of(request.match_info["signer"]).changes))


async def _charge(request: web.Request, characters: int, waits: bool) -> None:
    """Captions count like other text; those who send over a WebSocket are made to wait."""
    if (bearer := request.get(BEARER)) is None:
        return
    if waits:
        await bearer.wait_characters(characters)
    else:
        bearer.characters(characters)


def _posted(request: web.Request) -> Feed:
    return request.app[STAGE].captions_of(request.match_info["signer"]).posted()


async def languages(request: web.Request) -> web.Response:
    known = request.app[STAGE].cast.languages.values()
    return web.json_response([{"code": x.code, "name": x.name, "spoken": x.spoken} for x in known])


async def avatars(request: web.Request) -> web.Response:
    known = request.app[STAGE].cast.avatars.items()
    return web.json_response([{"name": name, "description": text} for name, text in known])


async def stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[STAGE].stats())


ROUTES = [
    web.get("/healthz", health),
    web.get("/readyz", ready),
    web.get("/metrics", metrics),
    web.get("/stats", stats),
    web.get("/languages", languages),
    web.get("/avatars", avatars),
    web.get("/signers", list_signers),
    web.post("/signers", create_signer),
    web.get("/signers/{signer}", show_signer),
    web.patch("/signers/{signer}", change_signer),
    web.delete("/signers/{signer}", delete_signer),
    web.post("/signers/{signer}/text", say),
    web.post("/signers/{signer}/interrupt", interrupt),
    web.get("/signers/{signer}/changes", changes),
    *captions.routes(_posted, "/signers/{signer}/captions", _charge),
]
