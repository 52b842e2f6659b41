"""The whole path in the browser: from a portfolio to a licensed picture, and the switch."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import MADE_MS, Office, Seat, Sit

pytestmark = pytest.mark.browser

TRAINED_MS = 600_000


def test_a_portfolio_becomes_a_licence_and_is_switched_off(sit: Sit, office: Office, portfolio: list[Path]):
    creator = sit("creator", name="Mara Lind")
    client = sit("client", name="Studio North")
    office.credit(client.email, "10.00")

    upload(creator, "Firm sherbet lines", portfolio)
    set_rights(creator, portfolio)
    train(creator)
    publish(creator)
    buy(client, "Firm sherbet lines")
    fill_in(client, "Firm sherbet lines")
    style_path = switch_off(creator)
    is_refused(client, "Firm sherbet lines")

    creator.open("/studio")
    assert "EUR\N{NO-BREAK SPACE}1.02" in creator.text(), "85 % of two pictures at 0.60"
    reads_statement(creator)
    creator.open(f"{style_path}/switch")
    creator.press("Switch on again")
    expect(creator.page.get_by_text("Live, since")).to_be_visible()


def reads_statement(creator: Seat) -> None:
    """Each picture stands there with what is the creator's of it, and leads to its certificate."""
    creator.page.get_by_role("link", name="Your statements").click()
    lines = creator.page.get_by_role("row", name="Sold, personal")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("EUR\N{NO-BREAK SPACE}0.51")
    certificate = lines.first.get_by_role("link").first.get_attribute("href")
    assert creator.page.request.get(f"{creator.origin}{certificate}").ok


def upload(creator: Seat, name: str, portfolio: list[Path]) -> None:
    assert creator.path == "/studio"
    creator.page.get_by_role("link", name="Make your first style").click()
    creator.page.get_by_label("Name").fill(name)
    creator.page.get_by_label("In one or two sentences").fill("Everyday things under a firm line.")
    creator.press("Make the style")
    creator.page.locator("input[type=file]").set_input_files(portfolio)
    expect(creator.page.locator(".work")).to_have_count(24)
    expect(creator.page.get_by_text("24 pictures, 0 ready to train")).to_be_visible()


def set_rights(creator: Seat, portfolio: list[Path]) -> None:
    page, name = creator.page, portfolio[3].stem
    page.get_by_role("button", name="Set for those without an answer").click()
    expect(page.get_by_text("24 pictures, 24 ready to train")).to_be_visible()
    # They come several at once, and stand in the order in which they came.
    card = page.locator(".work").filter(has=page.get_by_placeholder(name, exact=True))
    card.get_by_label("Whose is").select_option("unsure")
    expect(page.get_by_text("24 pictures, 23 ready to train")).to_be_visible()
    card.get_by_placeholder(name, exact=True).fill("leaning on a wall")
    card.get_by_placeholder(name, exact=True).press("Tab")
    expect(card.get_by_alt_text("leaning on a wall")).to_be_visible()


def train(creator: Seat) -> None:
    page = creator.page
    page.get_by_role("link", name="Go on to training").click()
    expect(page.get_by_text("1 work will not be used")).to_be_visible()
    creator.press("Start training")
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_alt_text("Drawn by the model at step").first).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_role("button", name="Publish version 1")).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_alt_text("Drawn with your style").first).to_be_visible()
    # The part that asked for itself stands still now, and what stands beside it follows.
    expect(page.get_by_role("button", name="Train a new version")).to_be_visible()


def publish(creator: Seat) -> None:
    creator.press("Publish version 1")
    expect(creator.page.get_by_text("Version 1 is published.")).to_be_visible()


def buy(client: Seat, name: str) -> None:
    page = client.page
    client.open("/")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name="Make a picture").click()
    expect(page.get_by_role("button", name="Order for EUR 0.60")).to_be_visible()
    # What is typed before the scripts are there has a test of its own (`test_desk_journeys`).
    page.wait_for_load_state()
    page.get_by_label("What should the picture show?").fill("a cup")
    page.get_by_label("How many").fill("2")
    page.get_by_role("button", name="Order for EUR 1.20").click()
    expect(page.get_by_role("link", name="Download")).to_have_count(2, timeout=MADE_MS)
    assert "Charged\nEUR\N{NO-BREAK SPACE}1.20" in client.text("#order")
    page.get_by_role("link", name="Certificate").first.click()
    expect(page.get_by_text(f"{name}, by Mara Lind")).to_be_visible()


def switch_off(creator: Seat) -> str:
    """Off with its confirmation; the style's path."""
    page = creator.page
    style_path = creator.path.removesuffix("/offer")
    page.get_by_role("navigation", name="Steps of this style").get_by_role("link", name="Switch").click()
    page.get_by_text("Switch off now").click()
    creator.press("Yes, switch")
    expect(page.get_by_text("Off, since")).to_be_visible()
    return style_path


def fill_in(client: Seat, name: str) -> None:
    """An order that is ready to be sent."""
    client.open("/desk/make")
    client.page.get_by_label("Style").select_option(label=f"{name}, by Mara Lind")
    client.page.get_by_label("What should the picture show?").fill("a second cup")
    expect(client.page.get_by_role("button", name="Order for EUR 0.60")).to_be_visible()


def is_refused(client: Seat, name: str) -> None:
    """The order that was ready is refused, the style is gone from the shelf, and what was bought stays."""
    page = client.page
    started = time.monotonic()
    client.press("Order for EUR 0.60")
    expect(page.get_by_role("alert")).to_contain_text(f"Style “{name}” was switched off by its creator")
    assert time.monotonic() - started < 5
    assert not [label for label in page.locator("option").all_inner_texts() if name in label]
    client.open("/desk")
    assert "EUR\N{NO-BREAK SPACE}8.80" in client.text(), "EUR 10.00 less the two pictures, and nothing else"
    client.open("/desk/history")
    page.get_by_role("link", name="a cup").first.click()
    page.get_by_role("link", name="Certificate").first.click()
    expect(page.get_by_text("Licensed to")).to_be_visible()
