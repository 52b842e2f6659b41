"""Money as people move it, in browsers that run no scripts: added, spent, earned, disputed and given back."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import MADE_MS, Office, Seat, Shop, Sit
from tests.browser.test_pages import WIDTHS, faults_of
from tests.licensing.test_bank_statements import entry, statement

pytestmark = pytest.mark.browser


def test_a_transfer_becomes_a_picture_an_earning_and_a_dispute(sit: Sit, office: Office, shop: Shop):
    client = sit("client", name="Studio North", has_scripts=False)
    operator = sit("operator", has_scripts=False)
    shopkeeper = sit(has_scripts=False)
    shopkeeper.page.goto(office.invite("creator", "shopkeeper@example.org"))
    shopkeeper.press("Sign in")

    reference = add_money(client)
    operator.open("/office/payments")
    row = operator.page.get_by_role("row", name=reference)
    row.get_by_role("button", name="Has arrived").click()
    expect(operator.page.get_by_text("Booked.")).to_be_visible()
    client.open("/desk/money")
    expect(client.page.get_by_text("EUR\N{NO-BREAK SPACE}105.00", exact=True)).to_be_visible()
    client.press("Subscribe for")
    expect(client.page.get_by_text("The plan runs")).to_be_visible()

    buy(client, shop)
    dispute = complain(client)
    shopkeeper.open("/studio/earnings")
    expect(shopkeeper.page.get_by_role("link", name="Dispute about it").first).to_be_visible()
    answer(shopkeeper)
    faults = faults_on(operator, f"/office/disputes/{dispute}")
    operator.open(f"/office/disputes/{dispute}")
    operator.page.get_by_label("Stands.").check()
    operator.page.get_by_label("Reason").fill("It is a boat.")
    operator.press("Decide")
    expect(operator.page.get_by_text("Decided.")).to_be_visible()
    faults += faults_on(client, f"/desk/disputes/{dispute}")
    expect(client.page.get_by_role("button", name="Appeal")).to_be_visible()
    faults += faults_on(shopkeeper, f"/studio/disputes/{dispute}")
    say_where(shopkeeper)
    faults += faults_on(shopkeeper, "/studio/payouts") + faults_on(operator, "/office/payments")
    faults += faults_on(client, "/desk/money/payments")
    assert not faults


def test_a_bank_statement_is_looked_at_and_confirmed_without_scripts(sit: Sit, tmp_path: Path):
    client = sit("client", name="Studio South", has_scripts=False)
    operator = sit("operator", has_scripts=False)
    reference = add_money(client)
    file = tmp_path / "november.xml"
    file.write_bytes(statement(entry("100.00", f"pack {reference}", ref=reference), entry("7.00", "a cake")))

    operator.open("/office/payments")
    operator.page.get_by_label("The file").set_input_files(file)
    operator.press("Show what it says")
    expect(operator.page.get_by_text("1 line would book something")).to_be_visible()
    faults = faults_on(operator, operator.path)
    operator.press("Confirm")
    expect(operator.page.get_by_text("1 line booked.")).to_be_visible()
    client.open("/desk/money")
    expect(client.page.get_by_text("EUR\N{NO-BREAK SPACE}105.00", exact=True)).to_be_visible()
    assert not faults


def add_money(client: Seat) -> str:
    """A pack by transfer; the reference to transfer it with."""
    client.page.get_by_role("navigation", name="Desk").get_by_role("link", name="Money").click()
    client.page.get_by_role("link", name="Add money").click()
    client.press("100 euros, 5 on top")
    told = client.page.get_by_text("with the reference").inner_text()
    return told.split("with the reference ")[1].split(";")[0]


def buy(client: Seat, shop: Shop) -> None:
    client.open(f"/desk/make?style={shop.style_id}")
    client.page.get_by_label("What should the picture show?").fill("a boat")
    client.press("Order")
    certificate = client.page.get_by_role("link", name="Certificate").first
    for _ in range(MADE_MS // 1000):
        if certificate.is_visible():
            break
        client.page.wait_for_timeout(1000)
        client.page.reload()
    certificate.click()
    expect(client.page.get_by_role("heading", name="Certificate")).to_be_visible()


def complain(client: Seat) -> str:
    """A dispute about the picture whose page is open; its id."""
    page = client.page
    page.get_by_role("link", name="Something is wrong with this picture").click()
    page.get_by_label("It is not what was ordered.").check()
    page.get_by_label("In your words").fill("I see no boat.")
    client.press("Open a dispute")
    expect(page.get_by_text("the other side’s answer")).to_be_visible()
    return client.path.rsplit("/", 1)[-1]


def answer(creator: Seat) -> None:
    page = creator.page
    creator.open("/studio/disputes")
    row = page.get_by_role("row").filter(has_text="It is not what was ordered.").first
    row.get_by_role("link").click()
    expect(page.get_by_role("img", name="The disputed picture 1")).to_be_visible()
    page.get_by_label("Say something", exact=True).fill("Look to the left.")
    creator.press("Say it")
    expect(page.get_by_text("Look to the left.")).to_be_visible()


def say_where(creator: Seat) -> None:
    page = creator.page
    creator.open("/studio/payouts")
    page.get_by_label("Whose account it is").fill("Shop Keeper")
    page.get_by_label("IBAN").fill("DE89 3704 0044 0532 0130 00")
    page.get_by_label("From EUR").fill("5.00")
    creator.press("Save")
    expect(page.get_by_role("status")).to_contain_text("Nothing is paid out before")
    assert "DE89370400440532013000" not in page.content()


def faults_on(seat: Seat, path: str) -> list[str]:
    return [fault for width in WIDTHS for fault in faults_of(seat, path, width)]
