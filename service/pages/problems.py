"""What goes wrong, for people: the API's problem documents as pages, in the same sentences."""

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from licensing.tenancy import NOBODY
from service.auth import known_session
from service.db.patience import Patience, waiting_for
from service.db.tenancy import acting_for
from service.edge import UNANSWERED, language_of
from service.languages import ENGLISH, speaking
from service.pages.render import page
from service.pages.visits import SignInFirst, Visit

_PROBLEM_TYPE = "application/problem+json"
_PART = "_problem.html"
# For whose page it is. The answer is there already.
_PATIENCE = Patience(connect_s=1.0, statement_s=1.0)


def install_problem_pages(app: FastAPI) -> None:
    """Browsers that ask for a page get problems as pages; everybody else gets them as they were."""
    app.add_exception_handler(SignInFirst, _send_to_sign_in)
    broken = app.exception_handlers[Exception]

    async def say_broken(request: Request, error: Exception) -> Response:
        with speaking(language_of(request.scope) if _wants_page(request.scope) else ENGLISH):
            response: Response = await broken(request, error)  # type: ignore[misc]
        return await _as_page(request, response) if _wants_page(request.scope) else response

    # The framework calls this one outside of all layers.
    app.add_exception_handler(Exception, say_broken)
    app.add_middleware(ProblemPages)


class ProblemPages:
    """Turns a problem document that is on its way to somebody's browser into a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _wants_page(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def hold_problem(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, hold_problem)
        if start is not None:
            headers = dict(Headers(raw=start["headers"]))
            response = Response(body, status_code=start["status"], headers=headers)
            await (await _as_page(Request(scope), response))(scope, receive, send)


async def _as_page(request: Request, response: Response) -> HTMLResponse:
    """The page for a response that holds a problem document, with its status and its headers."""
    document: dict[str, Any] = json.loads(bytes(response.body))
    gateway = request.app.state.gateway
    is_part = "hx-request" in request.headers
    # Outside of the layer that says for whom and in which language a request is answered (`service.edge.Common`).
    with acting_for(NOBODY), waiting_for(_PATIENCE), speaking(language_of(request.scope)):
        try:
            session = await known_session(request, gateway)
        except UNANSWERED:
            # What is to be said is perhaps just that; it is said as to a stranger.
            session = None
        visit = Visit(request=request, web=gateway, session=session, now=gateway.clock())
        said = page(visit, _PART if is_part else "problem.html", status=response.status_code, said=document)
    if is_part:
        # What was asked for stays as it is; the sentence goes to the top of the page.
        said.headers["HX-Retarget"], said.headers["HX-Reswap"] = "#problems", "innerHTML show:window:top"
    for name, value in response.headers.items():
        if name not in ("content-type", "content-length", "www-authenticate"):
            said.headers.setdefault(name, value)
    return said


async def _send_to_sign_in(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInFirst)
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": error.url})
    return RedirectResponse(error.url, status_code=303)


def _wants_page(scope: Scope) -> bool:
    """Browsers say that they take HTML; the API's paths answer programs whatever they say."""
    if scope["path"].startswith("/v1/"):
        return False
    headers = Headers(scope=scope)
    return "text/html" in headers.get("accept", "") or "hx-request" in headers


def _is_problem(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith(_PROBLEM_TYPE)
