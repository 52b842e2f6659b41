"""Two of everybody who owns things here, and what the first of each owns: for tests that try what the second may do."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from licensing import keys, payouts
from licensing.billing import issuing
from licensing.billing.parties import Party
from licensing.billing.taxes import Seller
from licensing.billing.transfers_back import note_payer
from licensing.money import Money
from licensing.payees import CHANGE_DELAY
from service import teams
from service.accounts import Role
from service.ids import new_id
from service.letters import Letter, write_letter
from service.who import Who
from tests.licensing.test_bank_statements import entry, statement
from tests.service.conftest import (
    SCRIPTED_DESCRIBER,
    SCRIPTED_PROBER,
    SCRIPTED_REVIEWER,
    SCRIPTED_TRAINER,
    TINY_RECIPE,
    Person,
    connect,
    draw,
    make_style,
    sign_in,
    wait_for,
    with_works,
)
from tests.service.market import Market, open_market, publish_style
from tests.service.webhooks.receiver import NETWORKS


@dataclass(frozen=True, kw_only=True)
class Tenants:
    """Two creators and two clients, an operator, and what the first of each has, by the names of PARAMETERS."""

    market: Market
    owners: dict[Role, Person]
    others: dict[Role, Person]
    owned: dict[str, str]
    """Of `owners`."""
    own_of: dict[Role, dict[str, str]]
    """Of `owners`, where each role has one of its own."""
    others_own: dict[str, str]
    """Of `others`: what a path may name first, so that only its second name is somebody else's."""

    async def with_scopes(self, person: Person, *scopes: str) -> httpx.AsyncClient:
        """The same person with a token that may only do this."""
        web = self.market.gateway
        kind: dict[Role, keys.KeyKind] = {"creator": "creator", "client": "live", "operator": "operator"}
        async with web.pool.acquire() as conn:
            issued = await keys.issue(
                conn,
                account_id=person.account.id,
                kind=kind[person.account.role],
                scopes=scopes,
                new_id=new_id,
                now=web.clock(),
                pepper=web.pepper,
            )
        return connect(self.market.app, issued.token)


@asynccontextmanager
async def open_tenants(
    database_url: str, folder: Path, *, emails: Mapping[Role, str] = MappingProxyType({}), **settings: Any
) -> AsyncIterator[Tenants]:
    """A market with a trainer that follows a script, and everybody's things made through the API. emails: of owners who
    have an account already. settings: whatever else `open_market` takes."""
    recipes = folder / "configs" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    (recipes / "tiny-style.toml").write_text(TINY_RECIPE)
    async with open_market(
        database_url,
        folder,
        trainer=SCRIPTED_TRAINER,
        reviewer=SCRIPTED_REVIEWER,
        prober=SCRIPTED_PROBER,
        describer=SCRIPTED_DESCRIBER,
        device="cpu",
        webhook_networks=NETWORKS,
        requests_per_minute=1_000_000,
        checks_per_minute=1_000_000,
        forms_per_minute=1_000_000,
        sign_ins_per_minute=1_000_000,
        creator_email=emails.get("creator"),
        **settings,
    ) as market:
        owners: dict[Role, Person] = {
            "creator": market.creator,
            "client": await market.client(email=emails.get("client")),
            "operator": await market.person("operator", email=emails.get("operator")),
        }
        others: dict[Role, Person] = {
            "creator": await market.person("creator"),
            "client": await market.client(),
            "operator": await market.person("operator"),
        }
        owned = await _creators_things(owners["creator"]) | await _clients_things(market, owners["client"])
        owned["try_id"] = await _try(market, owners["creator"], owned)
        owned["approval_id"] = await _waiting_order(market, owners["creator"], owners["client"])
        owned["client_id"] = owners["client"].account.id
        owned["creator_id"] = owners["creator"].account.id
        owned["authorship_id"] = await _authorship(owners["creator"], owned["style_id"], market)
        owned["sold_id"] = owned["output_id"]
        owned |= await _payout(market, owners["creator"], owners["operator"])
        owned["any_payout_id"], owned["any_payment_id"] = owned["payout_id"], owned["payment_id"]
        disputed = {"ground": "other", "words": "It is not what I ordered."}
        dispute = await owners["client"].http.post(f"/v1/outputs/{owned['sold_id']}/disputes", json=disputed)
        owned["dispute_id"] = dispute.json()["id"]
        claimed = {"work": owned["work_id"], "words": "It is mine.", "contact": "Jo Painter"}
        claim = await owners["operator"].http.post("/v1/claims", json=claimed)
        owned["claim_id"] = claim.json()["id"]
        coupon = await owners["operator"].http.post("/v1/coupons", json={"code": "GIVEN-AWAY", "percent": 10})
        owned["code"] = coupon.json()["code"]
        owned["statement_id"] = await _bank_statement(owners["operator"])
        owned |= await _refund(market, owners["client"], owners["operator"])
        own_of = {
            role: {
                "letter_id": await _letter(market, owner),
                "session_id": (await sign_in(market, owner.account)).mark,
            }
            for role, owner in owners.items()
        }
        owned["letter_id"], owned["account_id"] = own_of["client"]["letter_id"], owners["client"].account.id
        owned["session_id"] = own_of["client"]["session_id"]
        owned |= await _team(market, owners["client"])
        webhook = await others["client"].http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
        others_own = {"style_id": await make_style(others["creator"]), "webhook_id": webhook.json()["id"]}
        yield Tenants(market=market, owners=owners, others=others, owned=owned, own_of=own_of, others_own=others_own)


async def _creators_things(creator: Person) -> dict[str, str]:
    """A style with works, a training that passed, its version, a line of the data-use ledger; a style and a version
    that nobody else may see."""
    style_id = await with_works(creator)
    training_id = (await creator.http.post(f"/v1/styles/{style_id}/trainings", json={})).json()["id"]
    training = await wait_for(creator, training_id, "passed")
    published = await creator.http.post(f"/v1/versions/{training['version']}/publish")
    assert published.status_code == 200, published.text
    works = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"]
    hidden_style = await with_works(creator)
    hidden = (await creator.http.post(f"/v1/styles/{hidden_style}/trainings", json={})).json()["id"]
    hidden_version = (await wait_for(creator, hidden, "passed"))["version"]
    offered = await creator.http.patch(f"/v1/works/{works[1]['id']}", json={"start": True})
    assert offered.json()["start"], offered.text
    uses = (await creator.http.get("/v1/data-use")).json()["items"]
    named = {"files": [{"filename": "a.png", "bytes": 9}]}
    about = {"asked": "Jo", "works": [works[0]["id"]]}
    question = (await creator.http.post(f"/v1/styles/{style_id}/consents", json=about)).json()
    begun = (await creator.http.post(f"/v1/styles/{style_id}/uploads", json=named)).json()
    return {
        "style_id": style_id,
        "hidden_style": hidden_style,
        "hidden_version": hidden_version,
        "work_id": works[0]["id"],
        "start_id": works[1]["id"],
        "training_id": training_id,
        "version_id": training["version"],
        "use_id": uses[0]["id"],
        "consent_id": question["id"],
        "upload_file_id": begun["items"][0]["id"],
        "name": training["samples"][0]["url"].rsplit("/", 1)[-1],
        "number": "1",
        "version": "1",
        "month": "2026-03",
        "row": "0",
        "step": "10",
        "column": "with",
    }


async def _authorship(creator: Person, style_id: str, market: Market) -> str:
    """A style that somebody is asked to share; that person is neither of the two."""
    colourist = await market.person("creator")
    asked = {"weight": 2, "authors": [{"email": colourist.account.email, "weight": 1}]}
    made = await creator.http.post(f"/v1/styles/{style_id}/authors", json=asked)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def _try(market: Market, creator: Person, owned: dict[str, str]) -> str:
    """A picture that a creator had drawn of an own version."""
    try_id, web = new_id("try"), market.gateway
    key = f"trainings/{owned['training_id']}/tries/{try_id}.png"
    web.storage.put(key, draw())
    async with web.house() as conn:
        await conn.execute(
            "INSERT INTO service.tries (id, creator_id, style_id, version_id, prompt, seed, state, storage_key,"
            " created_at) VALUES ($1, $2, $3, $4, 'an apple', 1, 'drawn', $5, $6)",
            *(try_id, creator.account.id, owned["style_id"], owned["version_id"], key, web.clock()),
        )
    return try_id


async def _payout(market: Market, creator: Person, operator: Person) -> dict[str, str]:
    """A payout that is on its way in a file for the bank."""
    payee = {"holder": "Mara", "iban": "DE89370400440532013000", "minimum": 100, "schedule": "never"}
    told = await creator.http.put("/v1/payee", json=payee)
    assert told.status_code == 200, told.text
    async with market.gateway.house() as conn, conn.transaction():
        opened = await payouts.open_payout(
            conn,
            payout_id=new_id("pyt"),
            creator_id=creator.account.id,
            at_least=Money(1, "EUR"),
            now=market.gateway.clock() + 2 * CHANGE_DELAY,
        )
    assert isinstance(opened, payouts.Payout), opened
    run = await operator.http.post("/v1/payout-runs")
    return {"payout_id": opened.id, "run_id": run.json()["id"]}


async def _bank_statement(operator: Person) -> str:
    """A file of the bank's that nobody has confirmed."""
    kept = await operator.http.post(
        "/v1/bank-statements", files={"file": ("bank.xml", statement(entry("1.00", "tea")))}
    )
    assert kept.status_code == 201, kept.text
    return str(kept.json()["id"])


async def _letter(market: Market, person: Person) -> str:
    """Something that somebody was told."""
    letter = Letter(
        kind="style.switched", account_id=person.account.id, about="matrix", subject="s", words="w", path="/account"
    )
    async with market.gateway.house() as conn:
        assert await write_letter(conn, letter, now=market.gateway.clock())
    found = (await person.http.get("/v1/letters")).json()["items"]
    return str(next(one["id"] for one in found if one["about"] == "matrix"))


async def _refund(market: Market, client: Person, operator: Person) -> dict[str, str]:
    """A refund that stands in a file for the bank."""
    payment_id = (await client.http.post("/v1/payments", json={"amount": 900})).json()["id"]
    await operator.http.post(f"/v1/payments/{payment_id}/received")
    async with market.gateway.house() as conn:
        await note_payer(conn, payment_id=payment_id, holder="Client", iban="DE89370400440532013000")
    back = await operator.http.post(f"/v1/payments/{payment_id}/refunds", json={"amount": 100, "why": "a matrix"})
    made = await operator.http.post("/v1/refund-files")
    assert made.status_code == 201, made.text
    return {"refund_id": back.json()["id"], "file_id": made.json()["id"]}


async def _team(market: Market, client: Person) -> dict[str, str]:
    """Somebody who is in the client's team, and somebody who is asked to."""
    web, ada = market.gateway, await market.person("client")
    asked = {"level": "makes", "by": Who(role="client", actor=client.account.id), "now": web.clock()}
    joins = await teams.invite(web, client_id=client.account.id, email=ada.account.email, **asked)
    word = joins.link.partition("word=")[2]
    await teams.accept(web, word, person=ada.account, via="", now=web.clock())
    waits = await teams.invite(web, client_id=client.account.id, email=f"{new_id('bert')}@example.org", **asked)
    async with web.house() as conn:
        (member,) = await teams.list_members(conn, client.account.id)
    word = waits.link.partition("word=")[2]
    return {"member_id": member.id, "invitation_id": waits.invitation.id, "join_word": word}


async def _waiting_order(market: Market, creator: Person, client: Person) -> str:
    """An order whose pictures wait for their creator."""
    style_id = await publish_style(market.gateway, creator, market.adapter)
    changed = await creator.http.patch(f"/v1/styles/{style_id}", json={"approval": "all"})
    assert changed.status_code == 200, changed.text
    order = (await market.order(client, wait=60, style=style_id)).json()
    assert order["state"] == "awaiting_approval", order
    return str(order["id"])


async def _invoice(market: Market, client: Person) -> str:
    """The newest paper of what this client was charged until now; in a place that is opened again, all may be on papers
    already."""
    seller = Party(name="Bildwerk", street="Kai 2", postcode="1", city="Hamburg", country="DE", tax_number="1")
    async with market.gateway.house() as conn, conn.transaction():
        await issuing.issue_papers(
            conn,
            client_id=client.account.id,
            currency="EUR",
            until=market.gateway.clock(),
            seller=Seller(party=seller, prefix="", pay_to=""),
            buyer=seller,
            style_names={},
            payment_days=14,
            now=market.gateway.clock(),
        )
        newest = await issuing.list_invoices(conn, client_id=client.account.id, limit=1)
    return newest[0].number


async def _clients_things(market: Market, client: Person) -> dict[str, str]:
    """A generation with an output, an endpoint with a message, and a key."""
    webhook = (await client.http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})).json()["id"]
    ping = (await client.http.post(f"/v1/webhooks/{webhook}/ping")).json()["id"]
    async with asyncio.timeout(60):
        generation = (await market.order(client, wait=60)).json()
    assert generation["state"] == "settled", generation
    image = await client.http.post("/v1/images", files={"file": ("a.png", draw(), "image/png")})
    async with market.gateway.pool.acquire() as conn:
        key = (await keys.listing(conn, account_id=client.account.id))[0].id
    return {
        "generation_id": generation["id"],
        "order_id": generation["id"],
        "output_id": generation["outputs"][0]["id"],
        "webhook_id": webhook,
        "message_id": ping,
        "key_id": key,
        "invoice_number": await _invoice(market, client),
        "payment_id": (await client.http.post("/v1/payments", json={"pack": "small"})).json()["id"],
        "provider_name": "manual",
        "image": image.json()["id"],
        "image_id": image.json()["id"],
    }
