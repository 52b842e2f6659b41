"""A month of many pictures: its page, its files and the API say the same to the cent, and the script finds it again."""

import hashlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest

from licensing import gateway
from licensing.orders import Hold, Made, Reserve, Settle, Settled
from service.ids import new_id
from tests.service.market import Market, publish_style
from tests.service.pages.conftest import Sit, words_of

AT_ONCE = 50
SCRIPT = Path(__file__).parents[3] / "configs" / "recompute_statement.py"


async def sell(market: Market, style_id: str, creator_id: str, client_id: str, pictures: int) -> None:
    """So many pictures in orders of ten, by the gateway's own verbs."""
    web = market.gateway
    for _ in range(pictures // (10 * AT_ONCE) or 1):
        orders = [
            Reserve(
                order_id=new_id("gen"),
                client_id=client_id,
                key_id=None,
                idempotency_key=None,
                request_hash="many",
                style_id=style_id,
                creator_id=creator_id,
                tier="draft",
                count=10,
                hold_s=900,
            )
            for _ in range(min(AT_ONCE, pictures // 10))
        ]
        async with web.house() as conn:
            async with conn.transaction():
                held = await gateway.reserve_all(conn, orders, now=web.clock())
            assert all(isinstance(hold, Hold) for hold in held), held
            for order in orders:
                await gateway.begin(conn, order_id=order.order_id, now=web.clock())
            async with conn.transaction():
                sold = await gateway.settle_all(conn, [_made(order) for order in orders], now=web.clock())
            assert all(isinstance(sale, Settled) for sale in sold), sold


def _made(order: Reserve) -> Settle:
    pictures = []
    for _ in range(order.count):
        output_id = new_id("out")
        digest = hashlib.sha256(output_id.encode()).hexdigest()
        pictures.append(Made(output_id=output_id, sha256=digest, phash=digest, certificate="a certificate"))
    return Settle(order_id=order.order_id, fence=1, made=tuple(pictures))


@pytest.mark.parametrize("pictures", [300, pytest.param(10_000, marks=pytest.mark.long)])
async def test_a_months_pictures_come_to_the_same_everywhere(market: Market, sit: Sit, tmp_path: Path, pictures: int):
    creator, client = await market.person("creator"), await market.client(cents=200_000)
    style_id = await publish_style(market.gateway, creator, market.adapter)
    await sell(market, style_id, creator.account.id, client.account.id, pictures)
    seat, month = await sit(creator), f"{market.gateway.clock():%Y-%m}"

    told = (await creator.http.get(f"/v1/statements/{month}")).json()
    table = await creator.http.get(f"/v1/statements/{month}?format=csv")
    paper = await creator.http.get(f"/v1/statements/{month}?format=pdf")
    page = words_of((await seat.http.get(f"/studio/earnings/{month}")).text)

    assert len(told["lines"]) == pictures
    total = told["total"]["amount"]
    assert total == sum(line["share"]["amount"] for line in told["lines"]) == pictures * 4
    file = tmp_path / re.search(r'filename="([^"]+)"', table.headers["content-disposition"])[1]
    file.write_bytes(table.content)
    done = subprocess.run([sys.executable, "-I", SCRIPT, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = f"{total / 100:,.2f}"
    assert f"net{total / 100:>21.2f} EUR".split() == done.stdout.splitlines()[4].split()
    first = pypdf.PdfReader(io.BytesIO(paper.content)).pages[0].extract_text()
    assert f"{written} EUR" in first
    assert f"Earned EUR {written}" in page
    earned = (await creator.http.get("/v1/earnings")).json()
    assert earned["month"]["amount"] == total
