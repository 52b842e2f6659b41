"""The one call that programs make all day, without the framework's way round.

The framework finds out at every request which parameters a function has, where each comes from and what it depends on.
Of a request as programs send it that is known beforehand, and was a sixth of what an order costs the web process. All
others go the usual way, which also words whatever is wrong with them.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from service.auth import Identity, anyone, limited, may_order
from service.intake import OrderBody
from service.resources import Gateway

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
_DOCUMENT = TypeAdapter(dict[str, Any])


class Shortcut(APIRoute):
    """A route whose function takes an order: `(web, asker, body, response, idempotency_key, prefer)`."""

    def get_route_handler(self) -> Handler:
        """The framework asks for it once, at the start."""
        usual = super().get_route_handler()
        place: Callable[..., Awaitable[dict[str, Any]]] = self.endpoint

        async def answer(request: Request) -> Response:
            body = await _plain_body(request)
            if body is None:
                return await usual(request)
            web: Gateway = request.app.state.gateway
            asker = await _asker(request, web)
            said = Response()
            del said.headers["content-length"]
            headers = request.headers
            document = await place(web, asker, body, said, headers.get("idempotency-key"), headers.get("prefer"))
            response = Response(
                _DOCUMENT.dump_json(document), status_code=HTTPStatus.CREATED, media_type="application/json"
            )
            response.headers.raw.extend(said.headers.raw)
            return response

        return answer


async def _asker(request: Request, web: Gateway) -> Identity:
    """Who asks, counted and let in, as the dependencies of the route say. Raises Problem."""
    asker = await anyone(request, web)
    await limited(request, asker)
    return await may_order(asker)


async def _plain_body(request: Request) -> OrderBody | None:
    """What a program with a token asks for in JSON; None for what is anything else, or not valid."""
    headers = request.headers
    if headers.get("content-type") != "application/json" or "authorization" not in headers:
        return None
    try:
        return OrderBody.model_validate(json.loads(await request.body()))
    except (ValueError, RecursionError):
        return None
