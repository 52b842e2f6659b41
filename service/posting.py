"""One try to bring a message to an endpoint: signed, posted to an address that was checked, and what came of it."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
from standardwebhooks import Webhook

from service.addresses import Address, Network, Resolve, Route, find_route, resolve_host
from service.errors import AddressRefused

TIMEOUT_S = 10.0
"""For all of it: looking up, connecting, sending, waiting for the status."""
_CONNECT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`error` is a sentence for the client, None where the message arrived; `status` is None where nobody answered.

    retry_after_s: how long the endpoint asked to be left alone.
    """

    status: int | None
    error: str | None
    ms: int
    retry_after_s: float = 0.0


def open_http(context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """What posts messages. context: whose certificates are trusted; as usual where there is none.

    No proxy of the environment, which would look names up itself. No connection is used twice: one that was checked
    for a host would serve the next host at the same address. Redirects lead to unchecked addresses: none is followed.
    """
    return httpx.AsyncClient(
        verify=context or httpx.create_ssl_context(),
        trust_env=False,
        follow_redirects=False,
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=httpx.Timeout(TIMEOUT_S, connect=_CONNECT_S),
    )


def sign(secrets: Sequence[str], *, message_id: str, body: str, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks, with a signature by each of the secrets."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }


async def post(
    http: httpx.AsyncClient,
    url: str,
    *,
    body: str,
    headers: dict[str, str],
    networks: Sequence[Network],
    now: datetime,
    resolve: Resolve = resolve_host,
) -> Answer:
    """Post a message once. Whatever comes of it is an answer."""
    began = time.monotonic()

    def answer(status: int | None, error: str | None, retry_after_s: float = 0.0) -> Answer:
        ms = round((time.monotonic() - began) * 1000)
        return Answer(status=status, error=error, ms=ms, retry_after_s=retry_after_s)

    try:
        async with asyncio.timeout(TIMEOUT_S):
            route = await find_route(url, networks=networks, resolve=resolve)
            found = await _first_answer(http, route, body, headers)
    except AddressRefused as error:
        return answer(None, str(error))
    except (TimeoutError, httpx.TimeoutException):
        return answer(None, f"Nothing was answered within {TIMEOUT_S:.0f} s.")
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        return answer(None, f"It could not be reached: {str(error) or type(error).__name__}.")
    status = found.status_code
    if found.is_success:
        return answer(status, None)
    if found.has_redirect_location:
        return answer(status, f"It answered {status}, a redirect; none is followed. Register where it leads to.")
    name = found.reason_phrase or "an unknown status"
    return answer(status, f"It answered {status} {name[:40]}.", _retry_after_s(found, now))


async def _first_answer(http: httpx.AsyncClient, route: Route, body: str, headers: dict[str, str]) -> httpx.Response:
    """By the first of the host's addresses that can be connected to. Raises httpx.HTTPError."""
    *others, last = route.addresses
    for address in others:
        with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
            # The next address may be in reach where this one is not, as where a machine has no IPv6.
            return await _ask(http, route, address, body, headers)
    return await _ask(http, route, last, body, headers)


async def _ask(
    http: httpx.AsyncClient, route: Route, address: Address, body: str, headers: dict[str, str]
) -> httpx.Response:
    host = route.url.raw_host.decode("ascii")
    async with http.stream(
        "POST",
        route.url.copy_with(host=str(address)),
        content=body.encode(),
        headers={
            **headers,
            "Host": route.url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "Ownhand",
        },
        # TLS asks for this name and checks the certificate against it.
        extensions={"sni_hostname": host},
    ) as response:
        # Its body is not read: the status says all, and what lies in an allowed network must not be read through us.
        return response


def _retry_after_s(response: httpx.Response, now: datetime) -> float:
    """What a busy endpoint asks for, as seconds or as a date; 0 where it asks for nothing that can be understood."""
    if response.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return 0.0
    said = response.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())
