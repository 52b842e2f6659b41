"""What is written beside works and sales: who opened files, records of accounts, cases, claims, images, endpoints,
rates, rules, switches, coupons."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from licensing import switch
from licensing.deadlines import working_days_after
from licensing.money import Money
from licensing.rates import put_rate
from licensing.rulebooks import put_rules
from licensing.rules import Rules
from service.authorships import propose
from service.webhooks import add_endpoint
from tests.benchmarks.crowd.hand import DAYS, Hand
from tests.benchmarks.crowd.people import People, Person
from tests.benchmarks.crowd.portfolios import Sold
from tests.benchmarks.crowd.size import Size

_DAY = timedelta(days=1)


async def write_uses(hand: Hand, size: Size, people: People, sold: Sequence[Sold]) -> None:
    """The heaviest creator's files were opened most often; of the others a few lines each."""
    own = [style for style in sold if style.creator is people.creators[0]]
    others = [style for style in sold if style.creator is not people.creators[0]]
    places = [own[number % len(own)] for number in range(size.lines)] + others * 3
    rows = []
    for style in places:
        at = hand.time()
        works = f"works/{style.id}/"
        rows.append(
            {
                "id": hand.id("use", at),
                "at": at,
                "creator_id": style.creator.id,
                "style_id": style.id,
                "purpose": hand.dice.choice(("training", "drawing", "drawing", "review", "case")),
                "role": "place",
                "actor": "worker-1",
                "via": "",
                "job": style.version_id,
                "num_files": 8,
                "files": [{"key": works + hand.hex(6), "sha256": hand.hex()} for _ in range(8)],
                "refused": "What it was wanted for is no version of this style." if hand.dice.random() < 0.01 else None,
            }
        )
    await hand.put("service.data_use", rows)


async def write_record(hand: Hand, size: Size, people: People, sold: Sequence[Sold]) -> None:
    """Lines of the record that no other row tells."""
    own = [style for style in sold if style.creator is people.creators[0]]
    rows = []
    for number in range(size.lines // 4):
        style = own[number % len(own)]
        rows.append(_noted(hand, people.creators[0], "creator", "works_added", style.id, {"works": 3}))
        rows.append(_noted(hand, people.clients[0], "client", "signed_in", None, {}))
    for role, everybody in (("creator", people.creators), ("client", people.clients)):
        rows += [_noted(hand, one, role, "signed_in", None, {}) for one in everybody for _ in range(4)]
    await hand.put("service.audit", rows)


def _noted(hand: Hand, one: Person, role: str, kind: str, style_id: str | None, data: dict[str, Any]) -> dict[str, Any]:
    about = {"at": hand.time(), "account_id": one.id, "style_id": style_id, "kind": kind}
    return about | {"subject": "", "role": role, "via": "", "data": data}


async def open_cases(hand: Hand, size: Size, people: People) -> None:
    """Works that look like somebody else's; the last ones wait for the operator."""
    count = max(20, size.works // 20)
    works = await hand.conn.fetch("SELECT id, creator_id FROM service.works ORDER BY md5(id) LIMIT $1", count)
    rows = []
    for number, (work, at) in enumerate(zip(works, hand.times(len(works), 0.1), strict=True)):
        is_open = number >= len(works) - len(works) // 10
        said = {"at": (at + _DAY).isoformat(), "by": "operator", "sentence": "It is another picture."}
        rows.append(
            {
                "id": hand.id("cas", at),
                "kind": "near_duplicate",
                "subject": work["id"],
                "creator_id": work["creator_id"],
                "evidence": {
                    "other": works[number - 1]["id"],
                    "bits_apart": 3,
                    "colours_apart": 0.02,
                    "rights": "mine",
                },
                "said": json.dumps([] if is_open else [said]),
                "state": "open" if is_open else "decided",
                "outcome": None if is_open else "allowed",
                "opened_at": at,
                "decided_at": None if is_open else at + _DAY,
            }
        )
    await hand.put("service.cases", rows)


async def open_claims(hand: Hand, size: Size, people: People) -> None:
    """Claims that were rejected and closed, most of them to the heaviest creator's works; the last ones run."""
    works = await hand.conn.fetch(
        "SELECT id, style_id, creator_id, sha256 FROM service.works ORDER BY creator_id <> $1, md5(id) LIMIT $2",
        *(people.creators[0].id, max(20, size.works // 50)),
    )
    rows = []
    for number, (work, at) in enumerate(zip(works, hand.times(len(works), 0.1), strict=True)):
        runs = number >= len(works) - 5
        at = hand.now - timedelta(hours=number) if runs else min(at, hand.now - 40 * _DAY)
        due = at + 7 * _DAY
        rows.append(
            {"id": hand.id("clm", at), "work_id": work["id"], "style_id": work["style_id"]}
            | {"creator_id": work["creator_id"], "sha256": work["sha256"], "state": "open" if runs else "closed"}
            | {"outcome": None if runs else "rejected", "said": json.dumps(_said(at, runs))}
            | {"opened_at": at, "answer_due_at": due, "decide_due_at": working_days_after(due, 5)}
            | {"decided_at": None if runs else at + 5 * _DAY, "closed_at": None if runs else at + 9 * _DAY}
        )
    await hand.put("service.claims", rows)
    await hand.put("service.claim_contacts", [{"claim_id": row["id"], "contact": "Jo Painter"} for row in rows])


def _said(at: datetime, runs: bool) -> list[dict[str, Any]]:
    opened = {"at": at.isoformat(), "by": "operator", "act": "opened", "words": "It is mine.", "outcome": None}
    decided = opened | {"at": (at + 5 * _DAY).isoformat(), "act": "decided", "outcome": "rejected"}
    return [opened] if runs else [opened, decided]


async def bring_images(hand: Hand, size: Size, people: People) -> None:
    """Pictures that clients brought lately; older ones are forgotten."""
    rows = []
    for number in range(size.lines // 20):
        at = hand.time(1 - 25 / DAYS)
        client = people.clients[0 if number % 2 else number % len(people.clients)]
        image_id = hand.id("img", at)
        words = {"id": image_id, "client_id": client.id, "storage_key": hand.lay(f"images/{image_id}.png")}
        measures = {"width": 96, "height": 96, "num_bytes": hand.picture.stat().st_size}
        rows.append(words | {"sha256": hand.hex(), "mime": "image/png"} | measures | {"created_at": at, "used_at": at})
    await hand.put("service.images", rows)


async def listen(hand: Hand, people: People) -> str:
    """The heaviest client has endpoints, one of which hears everything; its id."""
    client = people.clients[0]
    ids = []
    for number in range(8):
        url = f"https://client.example/hooks/{number}"
        made, _ = await add_endpoint(hand.conn, hand.web, client_id=client.id, url=url, kinds=[], description="Shop")
        ids.append(made.id)
    await hand.conn.execute("UPDATE service.webhooks SET disabled_at = $2 WHERE id = ANY($1)", ids[1:], hand.now)
    return ids[0]


async def agree_rates(hand: Hand, people: People, sold: Sequence[Sold]) -> None:
    """The heaviest style has rates for many clients; some were changed."""
    style = sold[0]
    for number, client in enumerate(people.clients[:250]):
        for price in (50, 45)[: 1 + number % 2]:
            await put_rate(
                hand.conn,
                style_id=style.id,
                client_id=client.id,
                tier="personal",
                price=Money(price, "EUR"),
                by=style.creator.id,
                now=hand.now - _DAY,
            )


async def set_rules(hand: Hand, people: People, sold: Sequence[Sold]) -> None:
    """The heaviest creator's rules for all styles, changed often; one style in ten has its own."""
    creator = people.creators[0]
    for number in range(40):
        rules = Rules(refuse=("swords", f"word {number}"))
        await _put_rules(hand, creator, None, rules, hand.start + number * _DAY)
    for style in sold[::10]:
        await _put_rules(hand, style.creator, style.id, Rules(refuse=("guns", "logo*")), style.since)


async def _put_rules(hand: Hand, creator: Person, style_id: str | None, rules: Rules, at: datetime) -> None:
    await put_rules(
        hand.conn, hand.web.categories, creator_id=creator.id, style_id=style_id, rules=rules, by=creator.id, now=at
    )


async def turn_switches(hand: Hand, size: Size, people: People, sold: Sequence[Sold]) -> None:
    """The heaviest creator paused and went on many times; a few styles of others are off at the end."""
    own = [style for style in sold if style.creator is people.creators[0]]
    for number in range(max(4, size.styles // 5)):
        style = own[number % len(own)]
        at = hand.now - timedelta(hours=30) + timedelta(minutes=number)
        for level in ("closed", "live"):
            await _set(hand, style, level, at)
    for style in sold[len(own) :: 50]:
        await _set(hand, style, "off", hand.now - _DAY)


async def _set(hand: Hand, style: Sold, level: switch.Level, at: datetime) -> None:
    creator_id = style.creator.id
    await switch.set_level(
        hand.conn, creator_id=creator_id, style_id=style.id, level=level, reason="a pause", by=creator_id, now=at
    )


async def share(hand: Hand, people: People, sold: Sequence[Sold]) -> None:
    """Other creators have asked the heaviest one to share their styles, and it asked others; nobody has answered."""
    heaviest, at = people.creators[0], hand.now - _DAY
    asked = [style for style in sold if style.creator is not heaviest][:30]
    own = [style for style in sold if style.creator is heaviest][:10]
    for style, other in [*((one, heaviest) for one in asked), *((one, people.creators[1]) for one in own)]:
        await propose(
            hand.conn,
            authorship_id=hand.id("aut", at),
            style_id=style.id,
            creator_id=style.creator.id,
            parts={style.creator.id: 2, other.id: 1},
            now=at,
        )


async def know_clients(hand: Hand, people: People) -> None:
    """What the heaviest creator decided about clients, and coupons that the operator gave."""
    clients = people.clients[1:300]
    rows = [{"creator_id": people.creators[0].id, "client_id": one.id, "level": "trusted"} for one in clients]
    await hand.put("service.trust", [row | {"updated_at": hand.now - _DAY} for row in rows])
    coupons = [
        {"code": f"SPRING-{number}", "percent": 10, "periods": 1, "actor": people.operator.id}
        | {"created_at": hand.start + number * _DAY}
        for number in range(120)
    ]
    await hand.put("licensing.coupon", coupons)
