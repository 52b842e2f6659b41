"""The whole year, one part after the other, into a home of its own."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
from PIL import Image

from licensing.analytics.over import close_days
from licensing.billing import issuing
from service.db.prepare import prepare_database
from service.resources import Gateway, open_gateway
from service.settings import Settings
from tests.benchmarks.crowd import money, orders, people, portfolios, records
from tests.benchmarks.crowd.hand import PICTURE, Hand, owner
from tests.benchmarks.crowd.size import Size
from tests.service.market import write_configs

NAMES = "crowd.json"
HOME, CONFIGS = "home", "configs"
BASE, EDGE = "tiny", 32
_RECIPE = f"""\
base = "{BASE}"
rank = 2
learning_rate = 0.001
steps = 20
batch = 2
min_works = {portfolios.MIN_WORKS}
"""


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The heaviest of everything, by id, and an order of half a year ago; and addresses by which people are invited."""

    creator_email: str
    client_email: str
    operator_email: str
    style_id: str
    training_id: str
    version_id: str
    work_id: str
    start_id: str
    webhook_id: str
    case_id: str
    order_of_before: str
    invoice_number: str
    month: str


async def fill(database_url: str, folder: Path, size: Size, *, seed: int, say: Callable[[str], None]) -> Crowd:
    """A year in a database that has nothing yet, with its files in `folder`; what is heaviest there."""
    prepare_database(database_url)
    settings = settings_of(folder)
    if not settings.configs.exists():
        write_configs(settings.configs)
        (settings.configs / "recipes").mkdir()
        (settings.configs / "recipes" / f"{BASE}-style.toml").write_text(_RECIPE)
    async with open_gateway(settings, database_url) as web:
        conn = await owner(database_url)
        try:
            hand = _hand(conn, web, folder, seed)
            crowd = await _fill(hand, size, say)
        finally:
            await conn.close()
    (folder / NAMES).write_text(json.dumps(asdict(crowd)))
    return crowd


def settings_of(folder: Path) -> Settings:
    """Of the service whose home is in the folder."""
    return Settings(home=folder / HOME, configs=folder / CONFIGS, default_base=BASE)


def read_crowd(folder: Path) -> Crowd | None:
    """What `fill` said of a folder that it filled before; None for one that it did not."""
    path = folder / NAMES
    return Crowd(**json.loads(path.read_text())) if path.exists() else None


def _hand(conn: asyncpg.Connection, web: Gateway, folder: Path, seed: int) -> Hand:
    shared = folder / "shared"
    shared.mkdir(parents=True, exist_ok=True)
    picture = shared / PICTURE
    Image.effect_mandelbrot((96, 96), (-2.0, -1.5, 1.0, 1.5), 40).convert("RGB").save(picture)
    now = web.clock() - timedelta(minutes=5)
    return Hand(
        conn=conn, web=web, dice=random.Random(seed), now=now, objects=folder / HOME / "objects", picture=picture
    )


async def _fill(hand: Hand, size: Size, say: Callable[[str], None]) -> Crowd:
    say("people and portfolios ...")
    known = await people.invite(hand, size)
    sold = await portfolios.make_styles(hand, size, known, base=BASE, edge=EDGE)
    await money.name_payees(hand, known)
    await records.set_rules(hand, known, sold)
    shop = await orders.open_shop(hand, known, sold)
    webhook_id = await records.listen(hand, known)
    placed = await _year(hand, size, known, shop, say)
    say("what is written beside ...")
    await money.subscribe(hand, known, shop)
    await orders.leave_waiting(hand, shop, known)
    await records.turn_switches(hand, size, known, sold)
    await records.agree_rates(hand, known, sold)
    await records.write_uses(hand, size, known, sold)
    await records.write_record(hand, size, known, sold)
    await records.open_cases(hand, size, known)
    await records.open_claims(hand, size, known)
    await records.bring_images(hand, size, known)
    await records.share(hand, known, sold)
    await records.know_clients(hand, known)
    await money.read_statements(hand, size, known)
    await orders.tidy(hand, known)
    # As its nights have done in a place that is open.
    await close_days(hand.conn, now=hand.now)
    await hand.conn.execute("VACUUM ANALYZE")
    return await _names(hand, known, sold[0].id, webhook_id, placed)


async def _year(
    hand: Hand, size: Size, known: people.People, shop: orders.Shop, say: Callable[[str], None]
) -> list[orders.Ordered]:
    """Month by month: money comes in, orders are paid, and at the month's end there are papers and payouts."""
    batches = list(orders.batches(orders.order_all(hand, size, shop)))
    placed = [order for batch in batches for order in batch]
    funds = money.plan_funds(shop, placed)
    month, sold = 0, list[orders.Ordered]()
    for number, batch in enumerate(batches):
        here = money.month_of(batch[-1].at)
        if here != month:
            first = issuing.month_start(batch[-1].at)
            if month:
                await money.end_month(hand, known, first, sold)
            await money.pay_in(hand, funds, here, max(first, hand.start))
            # Postgres plans for as many rows as it last counted.
            await hand.conn.execute("ANALYZE")
            month, sold = here, []
            say(f"{first:%B %Y}: {number * orders.AT_ONCE} of {len(placed)} orders ...")
        await orders.serve(hand, shop, batch, first_turn=number * orders.AT_ONCE * orders.WORK)
        sold += [order for order in batch if order.ends is None and not order.is_test]
    # Those that wait for the creator are paid for as well.
    await money.pay_in(hand, money.Funds(needed={0: {one.id: 1_000 for one in known.clients}}), 0, hand.now)
    return placed


async def _names(
    hand: Hand, known: people.People, style_id: str, webhook_id: str, placed: Sequence[orders.Ordered]
) -> Crowd:
    version = await hand.conn.fetchrow(
        "SELECT id, training_id FROM service.versions WHERE style_id = $1 ORDER BY id DESC LIMIT 1", style_id
    )
    return Crowd(
        creator_email=known.creators[0].email,
        client_email=known.clients[0].email,
        operator_email=known.operator.email,
        style_id=style_id,
        training_id=version["training_id"],
        version_id=version["id"],
        work_id=await hand.conn.fetchval("SELECT id FROM service.works WHERE style_id = $1 LIMIT 1", style_id),
        start_id=await hand.conn.fetchval(
            "SELECT id FROM service.works WHERE style_id = $1 AND offered_at IS NOT NULL LIMIT 1", style_id
        ),
        webhook_id=webhook_id,
        case_id=await hand.conn.fetchval("SELECT max(id) FROM service.cases"),
        order_of_before=next(one.id for one in placed[len(placed) // 2 :] if one.client is known.clients[0]),
        invoice_number=await hand.conn.fetchval(
            "SELECT number FROM licensing.invoice WHERE client_id = $1 ORDER BY issued_at DESC LIMIT 1",
            known.clients[0].id,
        ),
        month=f"{hand.now - timedelta(days=31):%Y-%m}",
    )
