"""Money as it goes on for two months: a plan, its limits, an invoice, a payday, and a style that winds down.

The service has a clock that this test moves; everything it expects to the cent it reckons by itself.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from pypdf import PdfReader

from service.clock import AHEAD
from service.settings import ROOT
from tests.browser.conftest import MADE_MS, Office, Seat, Shop, Sit, open_office, open_shop, seating
from tests.browser.served import Served, serve
from tests.browser.test_without_scripts import until

pytestmark = pytest.mark.browser

NOTICE_DAYS = 10
VAT = Decimal("0.19")
PLAN, PERSONAL, LICENCE = Decimal("3.00"), Decimal("0.60"), Decimal("12.00")
"""Before tax: a plan of three pictures, one picture, a licence of thirty."""
SHARE = Decimal("0.85")
SELLER = """\
[tax]
home = 1900
rates = { DE = 1900 }
[seller]
name = "Bildwerk Genossenschaft eG"
street = "Hafenstr. 4"
postcode = "20457"
city = "Hamburg"
country = "DE"
email = "office@example.org"
vat_id = "DE136695976"
pay_to = "Transfer to DE89 3704 0044 0532 0130 00 with the invoice's number."
iban = "DE89 3704 0044 0532 0130 00"
"""
CLIENT = "Studio Nordlicht"
# By the page itself, since whoever looks from outside looks every now and then. What a new page would have forgotten.
WATCH = """words => {
  const look = () => {
    const rows = [...document.querySelectorAll("#earned tr")].map(row => row.innerText);
    if (!window.seenAt && rows.some(row => row.startsWith("Earned") && row.includes(words))) window.seenAt = Date.now();
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


@dataclass(frozen=True, kw_only=True)
class Time:
    """The served clock, which goes forward alone."""

    ahead: Path

    @property
    def shift(self) -> timedelta:
        return timedelta(seconds=int(self.ahead.read_text()))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def move_to(self, moment: datetime) -> None:
        further = moment - self.now()
        assert further > timedelta(0), "time does not go back"
        aside = self.ahead.with_suffix(".new")
        aside.write_text(str(int(self.ahead.read_text()) + int(further.total_seconds()) + 1))
        aside.replace(self.ahead)


def month_after(moment: datetime) -> datetime:
    """The first instant of the month after that of a moment."""
    return (moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)


def cents(amount: Decimal, rounding: str) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding)


def charged(net: Decimal) -> Decimal:
    """What is taken for something: its tax is rounded up."""
    return net + cents(net * VAT, ROUND_CEILING)


def eur(amount: Decimal) -> str:
    return f"EUR\N{NO-BREAK SPACE}{amount:.2f}"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Time]]:
    """A service of its own at ten in the morning of the fifth of next month."""
    folder = tmp_path_factory.mktemp("moved")
    begin = month_after(datetime.now(UTC)) + timedelta(days=4, hours=10)
    (folder / "home").mkdir()
    (folder / "home" / AHEAD).write_text(str(int((begin - datetime.now(UTC)).total_seconds())))
    prices = (ROOT / "configs" / "prices.toml").read_text()
    for before, after in (
        ("price = 4900\nunits = 100", "price = 300\nunits = 3"),
        ("notice_days = 30", f"notice_days = {NOTICE_DAYS}"),
    ):
        assert before in prices
        prices = prices.replace(before, after)
    words = {"prices.toml": prices, "seller.toml": SELLER}
    with serve(folder, words=words, movable_clock="true", session_days="300") as running:
        yield running, Time(ahead=running.home / AHEAD)


@pytest.fixture(scope="module")
def moved_office(moved: tuple[Served, Time]) -> Iterator[Office]:
    with open_office(moved[0]) as opened:
        yield opened


@pytest.fixture(scope="module")
def moved_shop(moved: tuple[Served, Time], drawings: list[Path]) -> Iterator[Shop]:
    with open_shop(moved[0], drawings) as opened:
        yield opened


@pytest.fixture
def moved_sit(moved: tuple[Served, Time], moved_office: Office, chromium: Browser) -> Iterator[Sit]:
    with seating(moved[0], moved_office, chromium) as seat:
        yield seat


def test_money_goes_from_a_plan_to_a_payout_and_back_when_a_style_winds_down(
    moved: tuple[Served, Time], moved_office: Office, moved_shop: Shop, moved_sit: Sit
):
    _, clock = moved
    client, operator, creator = moved_sit("client", name=CLIENT), moved_sit("operator"), moved_sit()
    creator.page.goto(moved_office.invite("creator", "shopkeeper@example.org"))
    creator.press("Sign in")
    first_month = clock.now()
    say_who_buys(client)
    say_where_to_pay(creator)

    add_money(client, operator, amount=charged(PLAN))
    subscribe(client, limit="1.00")
    order(client, moved_shop, count=3)
    order(client, moved_shop)
    is_refused_with_what_to_do(client, moved_shop, first_month)
    buy_a_pack(client, operator)
    earned = 3 * PLAN / 3 * SHARE + PERSONAL * SHARE
    creator.open("/studio/earnings")
    expect(row(creator, "Earned")).to_contain_text(eur(earned))
    sees_the_sale_at_once(client, creator, moved_shop, clock, earned=earned + PERSONAL * SHARE)

    clock.move_to(first_month.replace(day=25))
    licence = buy_a_licence(client, moved_shop)
    order(client, moved_shop, count=2)
    earned += PERSONAL * SHARE + 2 * LICENCE / 30 * SHARE

    clock.move_to(month_after(first_month) + timedelta(minutes=5))
    net = PLAN + 2 * PERSONAL + LICENCE
    total = net + cents(net * VAT, ROUND_HALF_UP)
    invoice = reads_the_invoice(client, total=total, net=net)
    balance = charged(PLAN) + 20 - total
    until_shown(client, "/desk/money", eur(balance))
    is_paid(creator, operator, earned)

    ends_at = winds_down(creator, client, moved_shop, clock, licence)
    clock.move_to(ends_at + timedelta(seconds=10))
    back = pro_rata(licence, ends_at)
    given = back + cents(back * VAT, ROUND_FLOOR)
    until_shown(client, "/desk/money", eur(balance + given))
    client.open(f"/styles/{moved_shop.style_id}")
    expect(client.page.get_by_text("Its maker has switched it off.")).to_be_visible()

    clock.move_to(month_after(month_after(first_month)) + timedelta(minutes=5))
    reads_the_credit_note(client, invoice, total=back + cents(back * VAT, ROUND_HALF_UP))
    operator.open("/office")
    expect(operator.page.get_by_text("Adds up")).to_be_visible()


def say_who_buys(client: Seat) -> None:
    client.open("/desk/money/buyer")
    typed = {"Name or": CLIENT, "Street": "Kai 1", "Postcode": "20457", "Town": "Hamburg", "Country": "DE"}
    for label, text in typed.items():
        client.page.get_by_label(label).first.fill(text)
    client.press("Save")
    expect(client.page.get_by_text("They hold for what you buy from now on")).to_be_visible()


def say_where_to_pay(creator: Seat) -> None:
    creator.open("/studio/payouts")
    creator.page.get_by_label("Whose account it is").fill("Shop Keeper")
    creator.page.get_by_label("IBAN").fill("DE89 3704 0044 0532 0130 00")
    creator.page.get_by_label("From EUR").fill("1.00")
    creator.press("Save")
    expect(creator.page.get_by_role("status")).to_contain_text("Nothing is paid out before")


def add_money(client: Seat, operator: Seat, *, amount: Decimal) -> None:
    client.open("/desk/money/payments")
    client.page.get_by_label("Another amount in EUR").fill(f"{amount:.2f}")
    client.press("Add it")
    has_arrived(client, operator)


def buy_a_pack(client: Seat, operator: Seat) -> None:
    """By the link that the refusal has."""
    client.page.get_by_role("link", name="Add money").click()
    client.press("20 euros: pay")
    has_arrived(client, operator)


def has_arrived(client: Seat, operator: Seat) -> None:
    told = client.page.get_by_text("with the reference").first.inner_text()
    reference = told.split("with the reference ")[1].split(";")[0]
    operator.open("/office/payments")
    operator.page.get_by_role("row", name=reference).get_by_role("button", name="Has arrived").click()
    expect(operator.page.get_by_text("Booked.")).to_be_visible()


def subscribe(client: Seat, *, limit: str) -> None:
    client.open("/desk/money")
    client.page.get_by_label("Renew it by itself").uncheck()
    client.press(f"Subscribe for EUR {charged(PLAN):.2f}")
    expect(client.page.get_by_text("0 of 3 used")).to_be_visible()
    client.page.get_by_text("Pictures beyond the quota").click()
    client.page.get_by_label("EUR at most in a period").fill(limit)
    client.press("Set the limit")
    expect(client.page.get_by_text("The limit is set.")).to_be_visible()


def order(client: Seat, shop: Shop, *, count: int = 1) -> str:
    """Pictures that are there at the end; the order's id."""
    place(client, shop, count=count)
    expect(client.page.get_by_role("link", name="Download")).to_have_count(count, timeout=MADE_MS)
    return client.path.rsplit("/", 1)[-1]


def place(client: Seat, shop: Shop, *, count: int = 1) -> None:
    client.open(f"/desk/make?style={shop.style_id}&count={count}")
    client.page.get_by_label("What should the picture show?").fill("a boat")
    client.press("Order")
    expect(client.page.locator("#order")).to_be_visible()


def is_refused_with_what_to_do(client: Seat, shop: Shop, began: datetime) -> None:
    """The quota is used up and so is the limit on account: the page says so, until when, and what helps."""
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}")
    said = page.locator("#price").inner_text()
    assert "The quota of your plan does not cover this: it takes 1 unit, and 0 are left until 5 " in said, said
    assert f"you have used {eur(charged(PERSONAL))} of your limit of {eur(Decimal(1))}" in said, said
    assert f"You have {eur(Decimal(0))} free to spend" in said
    expect(page.get_by_role("button", name="Order")).to_be_disabled()
    answer = page.request.get(f"{client.origin}/v1/usage").json()
    assert answer["prepaid"]["amount"] == 0


def sees_the_sale_at_once(client: Seat, creator: Seat, shop: Shop, clock: Time, *, earned: Decimal) -> None:
    """On the page that is open, within a second of the sale, and without touching it."""
    creator.page.evaluate(WATCH, eur(earned))
    place(client, shop)
    order_id = client.path.rsplit("/", 1)[-1]
    expect(row(creator, "Earned")).to_contain_text(eur(earned), timeout=MADE_MS)
    seen_at = datetime.fromtimestamp(creator.page.evaluate("() => window.seenAt") / 1000, UTC) + clock.shift
    sold = client.page.request.get(f"{client.origin}/v1/generations/{order_id}").json()
    assert sold["state"] == "settled"
    late = (seen_at - datetime.fromisoformat(sold["ended_at"])).total_seconds()
    assert late < 1.0, f"seen {late:.2f} s after the sale"
    expect(creator.page.get_by_role("row", name="Sold, personal")).to_have_count(5)
    expect(client.page.get_by_role("link", name="Download")).to_be_visible(timeout=MADE_MS)


def buy_a_licence(client: Seat, shop: Shop) -> dict[str, Any]:
    """The licence as the API has it."""
    client.open(f"/styles/{shop.style_id}")
    client.press(f"Buy the licence for EUR {charged(LICENCE):.2f}")
    expect(client.page.get_by_text("The licence runs.")).to_be_visible()
    found: dict[str, Any] = client.page.request.get(f"{client.origin}/v1/licences").json()["items"][0]
    return found


def reads_the_invoice(client: Seat, *, total: Decimal, net: Decimal) -> str:
    """The invoice's number, once its PDF was downloaded and read."""
    until_shown(client, "/desk/money", eur(total))
    listed = client.page.get_by_role("table").get_by_role("row", name=re.compile("Invoice,"))
    expect(listed).to_have_count(1)
    number = listed.locator(".unbroken").first.inner_text()
    text = pdf_of(client, listed)
    for wanted in (number, CLIENT, f"{total:.2f}", f"{net:.2f}", f"{total - net:.2f}", "Bildwerk Genossenschaft"):
        assert wanted in text, (wanted, text)
    return number


def reads_the_credit_note(client: Seat, invoice: str, *, total: Decimal) -> None:
    until_shown(client, "/desk/money", f"Credit note to {invoice}")
    listed = client.page.get_by_role("table").get_by_role("row", name=re.compile("Credit note to"))
    expect(listed).to_have_count(1)
    assert f"{total:.2f}" in listed.inner_text(), (total, listed.inner_text())
    text = pdf_of(client, listed)
    for wanted in (listed.locator(".unbroken").first.inner_text(), invoice, CLIENT, f"{total:.2f}"):
        assert wanted in text, (wanted, text)


def pdf_of(client: Seat, listed: Any) -> str:
    with client.page.expect_download() as begun:
        listed.get_by_role("link", name="PDF").click()
    pages = PdfReader(io.BytesIO(Path(begun.value.path()).read_bytes())).pages
    return " ".join(" ".join(page.extract_text().split()) for page in pages)


def is_paid(creator: Seat, operator: Seat, earned: Decimal) -> None:
    """The payday has come: the operator has the bank pay, and the creator reads that it was."""
    until_shown(operator, "/office/payouts", eur(earned))
    operator.press("Make a file for the bank")
    with operator.page.expect_download() as begun:
        operator.page.get_by_role("link", name="For the bank").click()
    assert f">{earned:.2f}<" in Path(begun.value.path()).read_text()
    creator.open("/studio/payouts")
    expect(creator.page.get_by_text("On its way").first).to_be_visible()
    operator.page.get_by_label("What the bank knows it by").fill("Sammler 17")
    operator.press("Confirm")
    expect(operator.page.get_by_text("Confirmed.")).to_be_visible()
    creator.page.reload()
    paid = creator.page.get_by_role("row", name="as Sammler 17")
    expect(paid).to_contain_text("Paid")
    expect(paid).to_contain_text(eur(earned))


def winds_down(creator: Seat, client: Seat, shop: Shop, clock: Time, licence: dict[str, Any]) -> datetime:
    """The style ends after its notice; when. The moment is one at which some minutes change no cent of the refund."""
    ends_at, a_cent = datetime.fromisoformat(licence["ends_at"]), period_of(licence) / (LICENCE * 100)
    left = ends_at - (clock.now() + timedelta(days=NOTICE_DAYS))
    clock.move_to(clock.now() + timedelta(seconds=float(Decimal(left.total_seconds()) % a_cent)))
    creator.open(f"/studio/styles/{shop.style_id}/switch")
    creator.page.get_by_label("Winding down").check()
    creator.press("Set this level")
    expect(creator.page.get_by_text("It switches off on")).to_be_visible()
    client.open(f"/styles/{shop.style_id}")
    assert "It ends on" in client.text(), client.text()
    told = client.page.request.get(f"{client.origin}/v1/styles/{shop.style_id}").json()["switch"]
    assert told["level"] == "wind_down"
    return datetime.fromisoformat(told["ends_at"])


def period_of(licence: dict[str, Any]) -> Decimal:
    """Seconds."""
    lasts = datetime.fromisoformat(licence["ends_at"]) - datetime.fromisoformat(licence["starts_at"])
    return Decimal(lasts.total_seconds())


def pro_rata(licence: dict[str, Any], moment: datetime) -> Decimal:
    """What is left of the licence's price by the time that is left of it, before tax."""
    left = Decimal((datetime.fromisoformat(licence["ends_at"]) - moment).total_seconds())
    return cents(LICENCE * left / period_of(licence), ROUND_HALF_UP)


def row(seat: Seat, name: str) -> Any:
    return seat.page.get_by_role("row", name=re.compile(f"^{name} ")).first


def until_shown(seat: Seat, path: str, words: str) -> None:
    seat.open(path)
    until(seat, words)
