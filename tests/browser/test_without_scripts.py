"""The forms that matter work in a browser that runs no scripts."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import MADE_MS, Office, Seat, Shop, Sit

pytestmark = pytest.mark.browser


def test_a_creator_uploads_sets_rights_prices_and_the_switch(sit: Sit, portfolio: list[Path]):
    creator = sit("creator", has_scripts=False)
    page = creator.page
    creator.open("/studio/new")
    page.get_by_label("Name").fill("Plain ink")
    creator.press("Make the style")
    style_path = creator.path.removesuffix("/works")

    page.locator("input[type=file]").set_input_files(portfolio[:9])
    creator.press("Upload")
    expect(page.get_by_text("9 pictures arrived.")).to_be_visible()

    page.get_by_label("Whose pictures are these?").select_option("mine")
    creator.press("Set for all")
    expect(page.get_by_text("9 pictures, 9 ready to train")).to_be_visible()

    card = page.locator(".work").first
    card.get_by_label("Use it").uncheck()
    card.get_by_role("button", name="Save").click()
    expect(page.get_by_text("9 pictures, 8 ready to train")).to_be_visible()

    creator.open(f"{style_path}/offer")
    page.locator("#price-personal").fill("0,75")
    creator.press("Save prices and terms")
    expect(page.locator("#price-personal")).to_have_value("0.75")

    creator.open(f"{style_path}/switch")
    page.get_by_text("Switch off now").click()
    creator.press("Yes, switch")
    expect(page.get_by_text("Off, since")).to_be_visible()
    creator.press("Switch on again")
    expect(page.get_by_text("Live, since")).to_be_visible()


def test_a_creator_starts_pauses_and_cancels_a_training(sit: Sit, portfolio: list[Path]):
    creator = sit("creator", has_scripts=False)
    page = creator.page
    creator.open("/studio/new")
    page.get_by_label("Name").fill("Never finished")
    creator.press("Make the style")
    page.get_by_label("Whose are the pictures you add?").select_option("mine")
    page.locator("input[type=file]").set_input_files(portfolio[:8])
    creator.press("Upload")

    page.get_by_role("link", name="Go on to training").click()
    creator.press("Start training")
    creator.press("Pause")
    seen_once = re.compile("Paused|saves its progress")
    expect(page.locator("#training")).to_contain_text(seen_once)
    creator.press("Cancel this training")
    until(creator, "Train the first version")

    creator.open(creator.path)
    assert "Publish" not in creator.text("#training")


def test_a_client_sees_the_price_before_the_order_and_pays_it_once(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client(has_scripts=False)
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}")
    expect(page.get_by_role("button", name="Order for EUR 0.60")).to_be_visible()

    page.get_by_label("What should the picture show?").fill("a boat")
    page.get_by_label("How many").fill("2")
    client.press("Order for EUR 0.60")
    expect(page.get_by_text("You changed the order.")).to_be_visible()
    client.press("Order for EUR 1.20")
    assert client.path.startswith("/desk/orders/")
    ordered = client.path

    until(client, "Download", timeout_ms=MADE_MS)
    # The same filled-in form once more is the same order.
    page.go_back()
    client.press("Order for EUR 1.20")
    assert client.path == ordered
    client.open("/desk")
    assert "EUR\N{NO-BREAK SPACE}18.80" in client.text()


def test_a_creator_tries_rules_and_looks_at_pictures_first(
    shop: Shop, sit: Sit, office: Office, rich_client: Callable[..., Seat]
):
    maker, client = sit(has_scripts=False), rich_client(has_scripts=False)
    maker.page.goto(office.invite("creator", "shopkeeper@example.org"))
    maker.press("Sign in")
    maker.open(f"/studio/styles/{shop.style_id}/rules")
    maker.page.get_by_label("And not these words").fill("dragon*")
    maker.page.get_by_label("Prompts to try").fill("two dragons\na boat")
    maker.press("Try what stands here")
    expect(maker.page.get_by_text("Because of words that begin with 'dragon'.")).to_be_visible()

    shop.creator.patch(f"/v1/styles/{shop.style_id}", json={"approval": "all"}).raise_for_status()
    try:
        client.open(f"/desk/make?style={shop.style_id}")
        expect(client.page.get_by_text("Shopkeeper looks first.")).to_be_visible()
        client.page.get_by_label("What should the picture show?").fill("a boat")
        client.press("Order for EUR 0.60")
        until(client, "With the creator", timeout_ms=MADE_MS)

        maker.open("/studio/approvals")
        expect(maker.page.get_by_alt_text("Picture 1 of")).to_be_visible()
        maker.press("Release 1 picture")
        expect(maker.page.get_by_text("Nothing waits for you.")).to_be_visible()
        until(client, "Download", timeout_ms=MADE_MS)
    finally:
        shop.creator.patch(f"/v1/styles/{shop.style_id}", json={"approval": "off"}).raise_for_status()


def test_a_client_makes_and_revokes_a_key_that_works(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client(has_scripts=False)
    page = client.page
    client.open("/desk/keys")
    page.get_by_label("Spending limit in EUR").fill("5")
    client.press("Make a key")
    token = client.text("#token").strip()
    answer = page.request.get(f"{client.origin}/v1/usage", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["prepaid"] == {"amount": 2000, "currency": "EUR"}

    client.open("/desk/keys")
    assert token not in page.content()
    client.press("Replace")
    successor = client.text("#token").strip()
    for one in (token, successor):
        answer = page.request.get(f"{client.origin}/v1/usage", headers={"Authorization": f"Bearer {one}"})
        assert answer.ok, "the old one works on for a day"
    client.open("/desk/keys")
    page.get_by_role("row", name=re.compile(token[:10])).get_by_role("button", name="Revoke").last.click()

    expect(page.get_by_text("The key is revoked.")).to_be_visible()
    answer = page.request.get(f"{client.origin}/v1/usage", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401


def test_the_operator_invites_and_books_money(sit: Sit):
    operator = sit("operator", has_scripts=False)
    page = operator.page
    page.get_by_label("E-mail").fill("new-client@example.org")
    page.get_by_label("Name").fill("Newcomer")
    page.get_by_label("Who they are").select_option("client")
    operator.press("Make a sign-in link")
    link = operator.text("#link").strip()
    for _ in range(2):
        page.get_by_label("Client", exact=True).fill("new-client@example.org")
        page.get_by_label("Amount in EUR").fill("12.50")
        page.get_by_label("Reference").fill("transfer 77")
        operator.press("Book")

    expect(page.get_by_text("This reference was booked before; nothing changed.")).to_be_visible()
    expect(page.get_by_text("Adds up")).to_be_visible()
    newcomer = sit(has_scripts=False)
    newcomer.page.goto(link)
    newcomer.press("Sign in")
    assert newcomer.path == "/desk"
    assert "EUR\N{NO-BREAK SPACE}12.50" in newcomer.text()


def test_a_client_takes_a_plan_with_a_coupon_pauses_and_ends_it(sit: Sit, rich_client: Callable[..., Seat]):
    operator, client = sit("operator", has_scripts=False), rich_client(has_scripts=False)
    page = client.page
    operator.open("/office/money")
    operator.page.get_by_label("Code").fill("first-month")
    operator.page.get_by_label("Percent off").fill("75")
    operator.press("Make it")
    expect(operator.page.get_by_role("row", name="FIRST-MONTH")).to_be_visible()

    client.open("/desk/money")
    client.press("Subscribe for EUR 49.00")
    expect(page.get_by_role("alert")).to_contain_text("20.00 EUR of prepaid money is free")
    page.get_by_text("I have a coupon").click()
    page.get_by_label("Coupon for Studio").fill("firstmonth")
    client.press("See the price of Studio")
    expect(page.get_by_role("alert")).to_contain_text("There is no coupon firstmonth")
    page.get_by_label("Coupon for Studio").fill("first-month")
    client.press("See the price of Studio")
    expect(page.get_by_text("Each month after that")).to_be_visible()
    client.press("Subscribe for EUR 12.25")
    expect(page.get_by_text("0 of 100 used")).to_be_visible()
    assert "EUR\N{NO-BREAK SPACE}7.75" in client.text(), "EUR 20.00 less a quarter of EUR 49.00"
    page.get_by_text("Pause it").click()
    client.press("Pause the plan")
    client.press("Let it run on")
    client.press("Do not renew it")
    expect(page.get_by_text("It ends.")).to_be_visible()

    operator.press("End")
    expect(operator.page.get_by_text("The coupon is over.")).to_be_visible()


def test_a_client_says_who_invoices_are_for(sit: Sit):
    client = sit("client", has_scripts=False)
    page = client.page
    client.open("/desk/money/buyer")
    for label, typed in (("Name or", "Kai Verlag"), ("Street", "Kai 1"), ("Town", "Hamburg"), ("Country", "D1")):
        page.get_by_label(label).fill(typed)
    page.get_by_label("VAT id").fill("DE1")
    client.press("Save")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Town")).to_have_value("Hamburg")
    page.get_by_label("Country").fill("de")
    page.get_by_label("VAT id").fill("")
    client.press("Save")

    expect(page.get_by_text("They hold for what you buy from now on")).to_be_visible()
    client.open("/desk/money")
    expect(page.get_by_text("Kai Verlag")).to_be_visible()


def test_two_creators_share_what_a_style_earns(sit: Sit):
    maker, colourist = sit("creator", has_scripts=False), sit("creator", name="Colourist", has_scripts=False)
    page = maker.page
    maker.open("/studio/new")
    page.get_by_label("Name").fill("Four hands")
    maker.press("Make the style")
    maker.open(f"{maker.path.removesuffix('/works')}/authors")
    page.get_by_label("Your part").fill("60")
    page.get_by_label("E-mail of author 1").fill(colourist.email)
    page.get_by_label("Percent of author 1").fill("30")
    maker.press("Ask them")
    expect(page.get_by_role("alert")).to_contain_text("10 % is missing")
    page.get_by_label("Percent of author 1").fill("40")
    maker.press("Ask them")
    expect(page.get_by_role("status")).to_contain_text("The others are asked.")

    colourist.open("/studio")
    colourist.page.get_by_role("link", name="See the offer").click()
    colourist.press("Yes, share it")
    expect(colourist.page.get_by_text("You get 40 % of what this style")).to_be_visible()
    page.reload()
    expect(page.get_by_text("All said yes")).to_be_visible()
    colourist.page.get_by_text("Leave", exact=True).click()
    colourist.press("Yes, leave it")
    expect(colourist.page.get_by_role("status")).to_contain_text("You left.")


def test_a_creator_agrees_a_price_with_one_client_and_ends_it(
    shop: Shop, sit: Sit, office: Office, rich_client: Callable[..., Seat]
):
    maker, client = sit(has_scripts=False), rich_client(has_scripts=False)
    maker.page.goto(office.invite("creator", "shopkeeper@example.org"))
    maker.press("Sign in")
    maker.open(f"/studio/styles/{shop.style_id}/rates")
    maker.page.get_by_label("Client").fill(client.email)
    maker.page.get_by_label("EUR for a picture").fill("0.45")
    maker.press("Save the price")
    expect(maker.page.get_by_role("row", name="Studio North")).to_contain_text("EUR\N{NO-BREAK SPACE}0.45")

    client.open(f"/desk/make?style={shop.style_id}")
    expect(client.page.get_by_role("button", name="Order for EUR 0.45")).to_be_visible()
    maker.press("End it: the price of Studio North")
    expect(maker.page.get_by_text("every client pays the same")).to_be_visible()
    client.page.reload()
    expect(client.page.get_by_role("button", name="Order for EUR 0.60")).to_be_visible()


def test_a_client_looks_at_what_was_spent_on_some_days(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client(has_scripts=False)
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}")
    page.get_by_label("What should the picture show?").fill("a boat")
    client.press("Order for EUR 0.60")
    until(client, "Download", timeout_ms=MADE_MS)

    client.open("/desk/money")
    page.get_by_role("link", name="What you spend").click()
    expect(page.get_by_role("img", name="What you spent on each day")).to_be_visible()
    page.get_by_text("The same as a table").click()
    expect(page.locator("details tbody tr")).to_have_count(1)
    page.get_by_label("From").fill("2025-01-01")
    page.get_by_label("to", exact=True).fill("2025-01-31")
    client.press("Show")
    expect(page.get_by_role("heading", name="January 2025")).to_be_visible()
    expect(page.get_by_text("Nothing was charged in these days.").first).to_be_visible()


def test_anybody_checks_a_picture(sit: Sit):
    stranger = sit(has_scripts=False)
    stranger.open("/verify")
    stranger.page.locator("input[type=file]").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": io.BytesIO(b"not even a picture").getvalue()}
    )
    stranger.press("Check")

    expect(stranger.page.get_by_role("heading", name="We do not know this picture")).to_be_visible()


def until(seat: Seat, words: str, *, timeout_ms: int = 60_000) -> None:
    """Reload, as a page without scripts does by itself, until the words are there."""
    for _ in range(timeout_ms // 500):
        if words in seat.text():
            return
        seat.page.wait_for_timeout(500)
        seat.page.reload()
    raise AssertionError(f"{words!r} never came: {seat.text()}")
