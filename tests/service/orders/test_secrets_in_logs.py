"""Nothing that lets somebody in is ever written to a log, however much is logged."""

import asyncio
import gc
import json
import logging
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest

from service.sessions import make_link
from service.web import Server, server_config
from tests.service.market import Market, open_market
from tests.stories.processes import free_port

PROMPT = "a quixotic lighthouse"


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with open_market(database_url, tmp_path_factory.mktemp("market"), webhook_networks="127.0.0.0/8") as opened:
        yield opened
        opened.curtain.wait_at(None)


class Heard(logging.Handler):
    """All that any logger said, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {self.format(record)}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Every logger, at its loudest, until the end of the test."""
    handler, root = Heard(), logging.getLogger()
    loggers = [root, *(one for one in logging.Logger.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    before = [(one, one.level, one.propagate, one.disabled) for one in loggers]
    for one in loggers:
        one.setLevel(logging.DEBUG)
        one.propagate, one.disabled = True, False
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for one, level, propagate, disabled in before:
        one.setLevel(level)
        one.propagate, one.disabled = propagate, disabled


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(url: str, body: bytes | None = None, **headers: str) -> Answer:
    """A client that logs nothing itself, so that what is heard is the service's."""
    request = urllib.request.Request(
        url, data=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=60) as found:
            return Answer(found.status, dict(found.headers), found.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read())


async def test_keys_links_cookies_secrets_and_prompts_are_in_no_log(market: Market, heard: Heard):
    web, client = market.gateway, await market.client()
    async with web.pool.acquire() as conn:
        link = await make_link(conn, account_id=client.account.id, now=web.clock(), minutes=5)
    server = Server(server_config(market.app, replace(market.settings, log_level="DEBUG", port=free_port())))
    server.config.lifespan = "off"
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.05)
    origin = f"http://127.0.0.1:{server.config.port}"
    bearer = {"Authorization": f"Bearer {client.token}", "Content_Type": "application/json"}
    wrong = client.token[:-1] + ("a" if client.token[-1] != "a" else "b")
    order = {"style": market.style_id, "prompt": PROMPT}

    page = await asyncio.to_thread(ask, f"{origin}/sign-in?link={link}")
    entered = await asyncio.to_thread(ask, f"{origin}/sign-in", f"link={link}".encode())
    word = entered.headers["set-cookie"].partition("=")[2].partition(";")[0]
    desk = await asyncio.to_thread(ask, f"{origin}/desk", Cookie=f"ownhand={word}")
    hook = await asyncio.to_thread(
        ask, f"{origin}/v1/webhooks", json.dumps({"url": "https://127.0.0.1:8443/hook"}).encode(), **bearer
    )
    secret = json.loads(hook.body)["secret"]
    made = await asyncio.to_thread(
        ask, f"{origin}/v1/generations", json.dumps(order).encode(), **bearer, Idempotency_Key="one", Prefer="wait=30"
    )
    refused = await asyncio.to_thread(ask, f"{origin}/v1/usage", Authorization=f"Bearer {wrong}")
    broken = await asyncio.to_thread(ask, f"{origin}/v1/generations", b'{"style": ' + client.token.encode(), **bearer)
    server.should_exit = True
    await task
    gc.unfreeze()

    statuses = [one.status for one in (page, entered, desk, hook, made, refused, broken)]
    assert statuses == [200, 303, 200, 201, 201, 401, 422], made.body
    assert json.loads(made.body)["state"] == "settled"
    secrets = (client.token, wrong, link, word, secret, secret.removeprefix("whsec_"), web.pepper.decode(), PROMPT)
    said = "\n".join(heard.lines)
    assert len(heard.lines) > 5, "somebody must have said something"
    assert [one for one in secrets if one in said] == []
    with (market.settings.home / "keys" / "pepper").open() as file:
        assert file.read() == web.pepper.decode()
