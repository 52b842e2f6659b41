"""Pages of money are tested in a market that charges tax, issues invoices and has more plans; its time moves."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest

from service.settings import ROOT
from tests.service.conftest import Person, browser, sign_in
from tests.service.market import Market, MovableClock, clock, open_market

__all__ = ["clock"]

SELLER = """\
[tax]
home = 1900
rates = { DE = 1900, FR = 2000 }

[seller]
name = "Bildwerk eG"
street = "Hafenstr. 4"
postcode = "20457"
city = "Hamburg"
country = "DE"
email = "office@example.org"
vat_id = "DE136695976"
pay_to = "Transfer to DE89 3704 0044 0532 0130 00."
"""
LARGE = """
[plans.large]
name = "Large"
price = 9000
units = 200
months = 1
covers = { draft = 1, personal = 1, commercial = 2 }
"""
# So few units that a test can use them up.
SMALL = """
[plans.small]
name = "Small"
price = 120
units = 2
months = 1
covers = { draft = 1, personal = 1 }
overage = 60
overage_most = 20000
"""


@pytest.fixture(scope="module")
async def market(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, clock: MovableClock
) -> AsyncIterator[Market]:
    shipped = (ROOT / "configs" / "prices.toml").read_text()
    prices = shipped.replace("[tiers.personal]\n", "[tiers.personal]\nfloor = 20\n") + LARGE + SMALL
    words = {"prices.toml": prices, "seller.toml": SELLER}
    folder = tmp_path_factory.mktemp("market")
    async with open_market(database_url, folder, clock=clock, words=words, forms_per_minute=10_000) as opened:
        yield opened
        opened.curtain.wait_at(None)


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Somebody's browser: its forms carry the word they need."""

    person: Person
    http: httpx.AsyncClient
    csrf: str

    async def read(self, path: str) -> str:
        """A page's words, without its tags and with single blanks."""
        answer = await self.http.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200, answer.text
        return words_of(answer.text)

    async def send(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={"csrf": self.csrf, **fields}, headers={"Accept": "text/html"})


def words_of(html: str) -> str:
    """What somebody reads of a page."""
    text = re.sub(r"<[^>]+>", " ", html).replace("\N{NO-BREAK SPACE}", " ").replace("&#39;", "'")
    return re.sub(r"\s+", " ", text)


Sit = Callable[[Person], Awaitable[Seat]]


@pytest.fixture
def sit(market: Market) -> Sit:
    async def seat(person: Person) -> Seat:
        session = await sign_in(market, person.account)
        return Seat(person=person, http=browser(market, session), csrf=session.csrf)

    return seat
