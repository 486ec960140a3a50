"""HTTP functions that show what reaches them and what they answer."""

import asyncio
import json
import logging
import os
import threading
from pathlib import Path

import azure.functions as func

log = logging.getLogger("app")
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def _seen(name: str, req: func.HttpRequest, **more: str) -> func.HttpResponse:
    seen = {
        "function": name,
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "values": dict(req.route_params),
        **more,
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


# Declared from the least to the most specific: the host goes by their names, and neither by this order nor by that.
@app.route(route="things/{*rest}", methods=["GET"])
async def zz_rest_of_things(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("zz_rest_of_things", req)


@app.route(route="things/{name}", methods=["GET"])
async def thing_by_name(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    trace = context.trace_context
    return _seen("thing_by_name", req, traceparent=trace.trace_parent, tracestate=trace.trace_state)


@app.route(route="things/{id:guid}", methods=["GET"])
async def thing_by_id(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("thing_by_id", req)


@app.route(route="things/special", methods=["GET"])
async def special_thing(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("special_thing", req)


@app.route(route="things/special", methods=["POST", "DELETE"])
async def change_special_thing(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("change_special_thing", req)


@app.route(route="ordered/literal", methods=["GET"])
async def ordered_literal(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("ordered_literal", req)


@app.route(route="ordered/{any}", methods=["GET"])
async def ordered_any(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("ordered_any", req)


@app.route(route="pages/{number:int}/{part?}", methods=["GET"])
async def page(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("page", req)


@app.route(route="mirror", methods=["PUT"])
async def mirror(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route()
async def unrouted(req: func.HttpRequest) -> str:
    return f"{req.method} ä"


@app.route(route="cookies")
async def cookies(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    response = func.HttpResponse("ok", status_code=201, headers={"X-Thing": "1", "Location": "/api/cookies/1"})
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax")
    response.headers.add("Set-Cookie", "b=2; Max-Age=60; Secure; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response


@app.route(route="")
async def empty_route(req: func.HttpRequest) -> func.HttpResponse:
    return _seen("empty_route", req)


@app.route(route="short")
async def short(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    return func.HttpResponse("longer than one", headers={"Content-Length": "1"})


@app.route(route="length")
async def length(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    return func.HttpResponse("three", headers={"Content-Length": "5"})


@app.route(route="header")
async def header(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    return func.HttpResponse("x", headers={"X-Bad": "ä"})


@app.route(route="crash")
async def crash(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    os._exit(3)


@app.route(route="nothing")
async def nothing(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    return func.HttpResponse("what a 204 must not carry", status_code=204)


@app.route(route="fails")
async def fails(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    raise LookupError("no such secret thing")


@app.route(route="wrong")
async def wrong(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the trigger needs the parameter
    return 42  # type: ignore[return-value]  # the mistake under test


@app.route(route="hold")
async def hold(req: func.HttpRequest) -> func.HttpResponse:
    """Say that it has begun, and wait to be let go."""
    folder = Path(req.params["folder"])
    log.info("holding %s", req.params["id"])
    while not (folder / "go").exists():  # noqa: ASYNC110 -- the test is another process: it sets no event
        await asyncio.sleep(0.005)
    (folder / f"done-{req.params['id']}").touch()
    return func.HttpResponse("held")


@app.route(route="block")
def block(req: func.HttpRequest) -> func.HttpResponse:
    """Block its thread until the file appears."""
    folder = Path(req.params["folder"])
    log.info("blocking on %s", threading.current_thread().name)
    while not (folder / "go").exists():
        threading.Event().wait(0.005)
    return func.HttpResponse("blocked")
