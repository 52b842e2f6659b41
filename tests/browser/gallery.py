"""Every page with something on it: everybody's things from `tests.service.tenants`, and more of what is hard to show.

Names as long as they may be, addresses that do not fit, works with findings, a training that rests, a case, a plan. It
runs in a thread of its own, for the browser in front of it has the main one.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uvicorn
from fastapi import routing

from service.letter_kinds import TOPICS
from service.mailing import stop_path
from service.reports import list_months, publish_reports
from service.settings import ROOT
from tests.service.conftest import Person, draw, make_style, sign_in, upload
from tests.service.pages.conftest import SELLER
from tests.service.scripted_trainer import LONG
from tests.service.tenants import Tenants, open_tenants
from tests.stories.processes import free_port

LONG_NAME = "Hand-printed harbours, lighthouses and the weather over them"
SUMMARY = (
    "Three colours, thick lines, and paper that shows through. Drawn after twenty winters on the coast, for covers,"
    " postcards and the walls of people who miss the sea."
)
BUYER = {
    "name": "Verlagsgenossenschaft für Küstenliteratur und angewandte Meereskunde eG, Abt. Bild",
    "street": "Carl-Friedrich-von-Weizsäcker-Promenade 117 b, Hinterhaus, 3. Stock links, Tor 4",
    "postcode": "20457",
    "city": "Hamburg",
    "country": "DE",
}
PROMPT = (
    "a small red lighthouse behind a breakwater at the end of a long winter, with gulls, a ferry that has just left,"
    " and somebody who waves"
)
NOT_PAGES = {
    # Files, parts of pages, and pages that only lead on.
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/consent/{consent_word}/pictures/{number}",
    "/desk/history/pictures.zip",
    "/desk/price",
    "/desk/money/save",
    "/desk/money/saved/{setup_id}",
    "/office/cases/{case_id}/pictures/{side}",
    "/office/claims/{claim_id}/picture",
    "/office/money/papers/{invoice_number}",
    "/office/payouts/runs/{run_id}/file",
    "/office/refund-files/{file_id}/file",
    "/static/{digest}/{name}",
    "/studio/earnings/recompute_statement.py",
    "/studio/payouts/connect",
    "/studio/payouts/connected",
    "/studio/versions/{version_id}/sheet/{row}/{column}",
}


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The running service. `paths`: every page as its route is written. `words`: of sessions, by who it is; `names`:
    what a name in a path stands for."""

    origin: str
    paths: tuple[str, ...]
    words: dict[str, str]
    names: dict[str, str]


@contextmanager
def open_gallery(database_url: str, folder: Path) -> Iterator[Gallery]:
    opened: Future[tuple[Gallery, uvicorn.Server]] = Future()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(_run(database_url, folder, opened)))
        wait((opened, running), return_when=FIRST_COMPLETED)
        if running.done():
            running.result()
        gallery, server = opened.result()
        try:
            yield gallery
        finally:
            server.should_exit = True
            running.result()


async def _run(database_url: str, folder: Path, opened: Future[tuple[Gallery, uvicorn.Server]]) -> None:
    """Serve until somebody asks the server to stop."""
    words = {"seller.toml": SELLER}
    async with open_tenants(database_url, folder, words=words, max_works_per_style=200, sign_up="everyone") as tenants:
        names = tenants.owned | await _more(tenants)
        people = {role: person.account for role, person in tenants.owners.items()}
        people |= {f"new-{role}": (await tenants.market.person(role)).account for role in ("creator", "client")}
        sessions = {who: (await sign_in(tenants.market, account)).word for who, account in people.items()}
        app, port = tenants.market.app, free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        paths = tuple(
            route.path
            for route in routing.iter_route_contexts(app.routes)
            if not route.include_in_schema and route.path and "GET" in (route.methods or ())
        )
        gallery = Gallery(origin=f"http://127.0.0.1:{port}", paths=paths, words=sessions, names=names)
        opened.set_result((gallery, server))
        await serving
        tenants.market.curtain.wait_at(None)


async def _more(tenants: Tenants) -> dict[str, str]:
    creator, client = tenants.owners["creator"], tenants.owners["client"]
    style_id = tenants.owned["style_id"]
    topic = next(name for name, about in TOPICS.items() if about.may_be_off)
    await _done(creator, "PATCH", f"/v1/styles/{style_id}", {"name": LONG_NAME, "summary": SUMMARY})
    await _done(client, "PUT", "/v1/buyer", BUYER)
    await _done(client, "PUT", "/v1/subscription", {"plan": "studio"})
    await _done(client, "POST", "/v1/licences", {"style": style_id, "tier": "personal"})
    rate = {"tier": "personal", "price": {"amount": 55, "currency": "EUR"}}
    await _done(creator, "PUT", f"/v1/styles/{style_id}/rates/{client.account.id}", rate)
    await _done(creator, "PUT", "/v1/rules", {"refuse": ["swords", "election posters"]})
    await _done(creator, "PUT", f"/v1/styles/{style_id}/switch", {"level": "closed", "reason": "A holiday."})
    await _done(creator, "PUT", f"/v1/styles/{style_id}/switch", {"level": "live"})
    order = await tenants.market.order(client, wait=60, prompt=PROMPT, count=3)
    assert order.json()["state"] == "settled", order.text
    mixed = await _mixed_works(creator)
    return {
        "order_id": order.json()["id"],
        "mixed_style": mixed,
        "resting_style": await _resting_training(creator),
        "case_id": await _case(tenants, mixed),
        "consent_word": await _consent(creator, mixed),
        "month": await _report(tenants),
        "noun": "generations",
        "topic": topic,
        "word": stop_path(client.account.id, topic, pepper=tenants.market.gateway.pepper).rpartition("/")[2],
    }


async def _mixed_works(creator: Person) -> str:
    """A style whose works are of all kinds: drawings with findings, without rights, with names that are too long."""
    style_id = await make_style(creator, name="Sketches")
    drawings = sorted((ROOT / "configs" / "demo" / "works").glob("*.png"))[:8]
    names = ("blur.png", "text.png", "pair.png", "pair too.png", f"{'final_' * 12}really.png", "five.png", "six.png")
    files = [(name, path.read_bytes()) for name, path in zip(names, drawings, strict=False)]
    await upload(creator, style_id, *files[:4], rights="mine")
    await upload(creator, style_id, *files[4:])
    return style_id


async def _resting_training(creator: Person) -> str:
    """A style whose training is paused before its end."""
    style_id = await make_style(creator, name="Woodcuts")
    await upload(creator, style_id, *[(f"woodcut-{number}.png", draw(size=200)) for number in range(6)], rights="mine")
    training = await _done(creator, "POST", f"/v1/styles/{style_id}/trainings", {"seed": LONG})
    async with asyncio.timeout(120):
        while True:
            shown = (await creator.http.get(f"/v1/trainings/{training['id']}")).json()
            if len(shown["samples"]) > 2:
                break
            await asyncio.sleep(0.1)
    await _done(creator, "POST", f"/v1/trainings/{training['id']}/pause", None)
    return style_id


async def _consent(creator: Person, style_id: str) -> str:
    """Somebody is asked about some of its works, by a link with this word."""
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    asked = {"asked": "Kaffeerösterei Nord", "works": [work["id"] for work in works[:3]]}
    return (await _done(creator, "POST", f"/v1/styles/{style_id}/consents", asked))["url"].rpartition("/")[2]


async def _report(tenants: Tenants) -> str:
    """The newest month with a report: the one before this, but in the first hours of a month."""
    web = tenants.market.gateway
    # Long enough ago that a whole month lies between, whatever day it is.
    since = web.clock() - timedelta(days=63)
    async with web.house() as conn:
        await conn.execute(
            "UPDATE service.accounts SET created_at = $2 WHERE id = $1", tenants.owners["operator"].account.id, since
        )
    await publish_reports(web)
    async with web.pool.acquire() as conn:
        return (await list_months(conn, limit=1))[0]


async def _case(tenants: Tenants, style_id: str) -> str:
    """Somebody else uploads a work of this style, and the operator has a case."""
    works = (await tenants.owners["creator"].http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    content = (await tenants.owners["creator"].http.get(f"/v1/works/{works[-1]['id']}/file")).content
    copied = await upload(
        tenants.others["creator"], tenants.others_own["style_id"], ("mine.png", content), rights="mine"
    )
    async with tenants.market.gateway.house() as conn:
        subject = copied.json()["items"][0]["work"]["id"]
        return str(await conn.fetchval("SELECT id FROM service.cases WHERE subject = $1", subject))


async def _done(person: Person, method: str, path: str, body: object) -> dict[str, str]:
    answer = await person.http.request(method, path, json=body)
    assert answer.status_code < 300, f"{method} {path}: {answer.text}"
    said: dict[str, str] = answer.json()
    return said
