"""What every answer has in common: problems as documents, limits on bodies, headers, and counting."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from licensing.bank_statements import STATEMENT_BYTES_MAX
from licensing.sentence import say
from licensing.tenancy import NOBODY
from service.arriving import PIECE_BYTES
from service.db.patience import Patience, waiting_for
from service.db.tenancy import acting_for
from service.errors import Problem, StorageAway, from_status
from service.languages import ENGLISH, LANGUAGE_COOKIE, choose, speaking
from service.settings import Settings
from service.tracing.spans import answered, request_span

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
API = "/v1"
"""Under which paths of the API lie."""
REQUESTS = Counter("ownhand_http_requests_total", "Answers given", ["method", "route", "status"])
SECONDS = Histogram("ownhand_http_request_seconds", "Time to the first byte of an answer", ["method", "route"])


UNANSWERED: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    # It stops, starts, or gave a statement up that took too long.
    asyncpg.OperatorInterventionError,
    # It has no connection, no memory or no room left.
    asyncpg.InsufficientResourcesError,
    ConnectionError,
    # It said nothing in the time that a request waits (`service.db.patience`).
    TimeoutError,
)
"""What is raised where the database does not answer."""


def install_edge(app: FastAPI, settings: Settings) -> None:
    """Problem documents for everything that goes wrong, and the layers around the application."""
    app.add_exception_handler(Problem, _say_problem)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_exception_handler(HTTPException, _say_status)
    for error in (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError):
        app.add_exception_handler(error, _say_unkept)
    for gone in UNANSWERED:
        app.add_exception_handler(gone, _say_unanswered)
    app.add_exception_handler(StorageAway, _say_storage_away)
    app.add_exception_handler(Exception, _say_broken)
    app.add_middleware(BodyLimit, limit_bytes=_limit_of(settings))
    patience = Patience(connect_s=settings.database_wait_s, statement_s=settings.statement_s)
    app.add_middleware(Common, is_secure=settings.is_secure, patience=patience)


def problem_response(problem: Problem) -> JSONResponse:
    """The problem as `application/problem+json`."""
    headers = dict(problem.headers)
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    if problem.slug == "unauthenticated":
        headers["WWW-Authenticate"] = 'Bearer realm="ownhand"'
    return JSONResponse(
        problem.document, status_code=problem.status, headers=headers, media_type="application/problem+json"
    )


async def _say_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def _say_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]} for one in error.errors()]
    sentences = "; ".join(f"{one['where']}: {one['what']}" for one in found)
    return problem_response(
        Problem(
            "invalid_request",
            say("The request is not valid: {sentences}.", sentences=sentences),
            extra={"errors": found},
        )
    )


async def _say_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    sentences = {
        404: say("There is nothing at {path}. For programs, /openapi.json lists what there is.", path=path)
        if path.startswith(f"{API}/")
        else say("There is no page at {path}. It may have been moved, or mistyped.", path=path),
        405: say("{path} does not take {method}; /openapi.json lists what it takes.", path=path, method=request.method),
    }
    response = problem_response(from_status(error.status_code, sentences.get(error.status_code, str(error.detail))))
    if error.headers:
        response.headers.update(error.headers)
    return response


async def _say_unkept(request: Request, error: Exception) -> Response:
    # PostgreSQL keeps every character but this one, and any text of a request may have it: said here, once for all.
    sentence = "A text of the request has the character NUL (U+0000), which cannot be kept; leave it out."
    return problem_response(Problem("invalid_request", sentence))


async def _say_unanswered(request: Request, error: Exception) -> Response:
    sentence = say(
        "The database does not answer, so it is not known whether this was done. Ask again in a"
        " moment; an order under the same Idempotency-Key is placed once."
    )
    return problem_response(Problem("overloaded", sentence, retry_after_s=2))


async def _say_storage_away(request: Request, error: Exception) -> Response:
    sentence = say("The files of this place cannot be reached at the moment. Nothing is lost; ask again in a moment.")
    return problem_response(Problem("overloaded", sentence, retry_after_s=5))


async def _say_broken(request: Request, error: Exception) -> Response:
    # The server's own layer logs the traceback; the asker gets no insides.
    return problem_response(
        Problem(
            "internal_error", say("Something broke on our side and was logged; nothing was charged for this request.")
        )
    )


def _limit_of(settings: Settings) -> Callable[[str], int]:
    statements = ("/v1/bank-statements", "/office/statements")
    pictures = (
        *("/v1/images", "/v1/verify", "/verify", "/v1/generations", "/v1/quotes", "/desk/make"),
        *("/v1/claims/matches", "/office/claims/matches", "/styles/like"),
    )

    def limit(path: str) -> int:
        if path.endswith("/works"):
            return settings.max_upload_body_bytes
        if path.startswith("/v1/uploads/"):
            return PIECE_BYTES
        if path in statements:
            # What is somewhat too large is read, so that it can be said on the page.
            return 2 * STATEMENT_BYTES_MAX
        return settings.max_image_body_bytes if path.startswith(pictures) else settings.max_body_bytes

    return limit


class BodyLimit:
    """Refuses a body that says it is too long, and stops reading one that turns out to be."""

    def __init__(self, app: ASGIApp, *, limit_bytes: Callable[[str], int]) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, num_bytes = self._limit_bytes(scope["path"]), 0
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > limit:
            await problem_response(_too_large(limit))(scope, receive, send)
            return

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > limit:
                raise _too_large(limit)
            return message

        async def unless_too_long(message: Message) -> None:
            # The framework makes a 400 of whatever is raised while it reads a body: ours is said instead.
            if num_bytes <= limit:
                await send(message)
            elif message["type"] == "http.response.start":
                await problem_response(_too_large(limit))(scope, receive, send)

        await self._app(scope, counted, unless_too_long)


class Common:
    """Headers on every answer, the language it is in, and the counting of answers by route."""

    def __init__(self, app: ASGIApp, *, is_secure: bool, patience: Patience) -> None:
        self._app = app
        self._patience = patience
        self._headers = _encoded(HEADERS)
        if is_secure:
            self._headers |= _encoded({"Strict-Transport-Security": "max-age=63072000"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                said = self._headers | _encoded(scope.get("state", {}).get("limit_headers", {}))
                message["headers"] = [*message["headers"], *(pair for pair in said.items() if pair[0] not in present)]
                route = _route_of(scope)
                REQUESTS.labels(scope["method"], route, message["status"]).inc()
                SECONDS.labels(scope["method"], route).observe(time.perf_counter() - started)
                answered(made, route=route, status=message["status"])
            await send(message)

        # Until somebody has said who they are.
        with (
            acting_for(NOBODY),
            waiting_for(self._patience),
            speaking(language_of(scope)),
            request_span(scope["method"]) as made,
        ):
            await self._app(scope, receive, with_headers)


def _route_of(scope: Scope) -> str:
    """The whole path of the route that answers, `none` where no route does. The framework's own leaves out what a
    router was included under, so that pages and answers of the same name would be counted as one."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return "none"
    is_cut = scope["path"].startswith(f"{API}/") and not path.startswith(f"{API}/")
    return API + path if is_cut else path


def language_of(scope: Scope) -> str:
    """What somebody in front of a browser reads; programs, which bring a token, are answered in English."""
    if any(name == b"authorization" for name, _ in scope["headers"]):
        return ENGLISH
    request = HTTPConnection(scope)
    return choose(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))


def _encoded(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.lower().encode(): value.encode() for name, value in headers.items()}


def _too_large(limit: int) -> Problem:
    return Problem(
        "payload_too_large",
        say("The body is over {limit} MiB, the limit here; send less at once.", limit=_mebibytes(limit)),
    )


def _mebibytes(num_bytes: int) -> Any:
    return num_bytes // 1024**2 if num_bytes % 1024**2 == 0 else round(num_bytes / 1024**2, 2)
