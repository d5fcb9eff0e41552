"""A node's service over HTTP: reads a request, lets the service answer, sends what it says.

Everything that comes in is small, counted, and decoded strictly; `service` says what is answered.
"""

from collections.abc import Awaitable, Callable, Collection

from fastapi import FastAPI, Request, Response

from fedledger.effects import Clock

from ....http.answers import Answer, Connection, Refusal, Slots
from ....http.guard import PENALTY, Guard, read_body
from ....http.limits import RateLimit
from ....http.places import CONNECTION
from .service import ROUTES, Call, NodeService, Route, refused

__all__ = ["make_app"]

_SLOTS = {"contents": (4, 12), "pages": (16, 48)}
"""Large answers at once, to one address and in total: a content is up to the store's cap, a page of
blocks or transactions up to twice `MAX_ANSWER`."""


def make_app(
    service: NodeService,
    *,
    limit: RateLimit,
    clock: Clock,
    body_seconds: float = 10.0,
    peers: Collection[str] = (),
) -> FastAPI:
    """Return the node's web application.

    Args:
        service: what answers.
        limit: tokens by address; a request takes one, a bad one costs more.
        clock: says how long ago something was logged.
        body_seconds: how long a request's body may take.
        peers: addresses whose large answers give way to nobody's.
    """
    app = FastAPI(title="fedledger node", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.body_seconds = body_seconds
    app.add_middleware(Guard, limit=limit, clock=clock)
    slots = {kind: Slots(*numbers, peers) for kind, numbers in _SLOTS.items()}
    for route in ROUTES:
        endpoint = _endpoint(service, route, slots.get(route.large or ""), limit)
        app.add_api_route(route.path, endpoint, methods=[route.method], response_model=None)
    return app


def _endpoint(
    service: NodeService, route: Route, slots: Slots | None, limit: RateLimit
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        address = request.client.host if request.client else ""
        call = Call(
            named=request.path_params,
            query=request.query_params,
            address=address,
            authorization=request.headers.get("authorization", ""),
        )
        if route.control and not service.is_operator(call):
            limit.charge(address, PENALTY)
            return _sent(403, b'{"detail":"control needs the token, on the node\'s machine"}')
        if route.most:
            call = Call(
                named=call.named,
                query=call.query,
                body=await read_body(request, route.most),
                address=address,
            )
        if slots is not None:
            return await _large(service, route, call, slots, request.scope["state"][CONNECTION])
        answer = await service.answer(route, call)
        return _sent(answer.status, answer.body)

    return endpoint


async def _large(
    service: NodeService, route: Route, call: Call, slots: Slots, connection: Connection
) -> Response:
    """Answer in pieces; a slot is held from before the reading on until all has been sent."""
    try:
        give_back = slots.take(call.address, connection)
    except Refusal as error:
        answer = refused(error)
        return _sent(answer.status, answer.body)
    try:
        answer = await service.answer(route, call)
        if answer.status == route.code:
            return Answer(answer.body, give_back)
    except BaseException:
        give_back()
        raise
    give_back()
    return _sent(answer.status, answer.body)


def _sent(status: int, body: bytes) -> Response:
    kind = None if status == 204 else "application/json"
    return Response(body, status, media_type=kind)
