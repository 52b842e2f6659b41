"""The operator's first day and a Monday morning, in the browser."""

import hashlib
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import MADE_MS, Seat, Shop, Sit, put_on_sale
from tests.browser.served import Served

pytestmark = pytest.mark.browser

SELF_TEST_MS = 600_000


def test_the_first_day_from_set_up_to_invitations(sit: Sit):
    operator = sit("operator", name="The Office")
    page = operator.page
    operator.open("/office")
    page.get_by_role("link", name="Run the self test").click()

    expect(page.get_by_role("heading", name="Set-up")).to_be_visible()
    text = operator.text()
    assert "15 % of every price" in text
    assert "none is set by default" in text
    assert "embedded, under" in text
    page.get_by_label("Base", exact=True).select_option("tiny")
    operator.press("Run the self test")
    expect(page.get_by_test_id("self-test-state")).to_have_text("Passed", timeout=SELF_TEST_MS)
    steps = page.locator("#self-test .checks li")
    expect(steps).to_have_count(5)
    expect(steps.locator(".badge.good")).to_have_count(5)
    assert all(re.search(r"\d\.\d s", one) for one in steps.all_inner_texts())

    page.get_by_role("link", name="invite your first creators and clients").click()
    people = [("creator", "Ada"), ("creator", "Bo"), ("creator", "Cy"), ("client", "Studio West")]
    links = [invite(operator, role, name) for role, name in people]
    guest = sit()
    guest.page.goto(links[0])
    guest.press("Sign in")
    assert guest.path == "/studio"
    operator.open("/")
    assert "Self test" not in operator.text(), "nothing of it is in the catalogue"


def test_monday_morning_with_a_worker_that_is_killed_at_work(
    sit: Sit, served: Served, shop: Shop, rich_client: Callable[..., Seat]
):
    operator, client = sit("operator"), rich_client()
    headers = {"Authorization": f"Bearer {served.ownhand('token', '--email', client.email)}"}
    before = worker_of(operator)
    with httpx.Client(base_url=served.origin, headers=headers, timeout=120) as http:
        body = {"style": shop.style_id, "prompt": "a cup", "count": 8}
        order = http.post("/v1/generations", json=body, headers={"Idempotency-Key": "monday"}).json()
        os.kill(before, signal.SIGKILL)
        client.open(f"/desk/orders/{order['id']}")
        expect(client.page.get_by_role("link", name="Download")).to_have_count(8, timeout=MADE_MS)
        usage = http.get("/v1/usage").json()

    assert (usage["prepaid"]["amount"], usage["prepaid_held"]["amount"]) == (2000 - 8 * 60, 0), "it is paid once"
    expect(operator.page.locator("#machines")).to_contain_text("Alive")
    assert worker_of(operator) != before
    assert "every rule holds" in served.ownhand("doctor", "--ledger")
    operator.page.get_by_role("link", name="Bases").click()
    expect(operator.page.get_by_role("heading", name="Base models")).to_be_visible()
    operator.page.get_by_role("link", name="Audit").click()
    expect(operator.page.get_by_role("heading", name="Audit")).to_be_visible()


def test_a_strangers_claim_takes_a_work_out_of_a_style(sit: Sit, served: Served, portfolio: list[Path]):
    operator, creator, buyer = sit("operator"), sit("creator", name="Mara Lind"), sit()
    headers = {"Authorization": f"Bearer {served.ownhand('token', '--email', creator.email)}"}
    with httpx.Client(base_url=served.origin, headers=headers, timeout=120) as http:
        style_id = put_on_sale(http, "Claimed lines", portfolio[:10])
        buyer.open(f"/styles/{style_id}")
        expect(buyer.page.get_by_role("heading", name="Claimed lines")).to_be_visible()

        claim_path = write_claim_down(operator, portfolio[0])
        creator.open(claim_path.replace("/office/", "/studio/"))
        expect(creator.page.get_by_text("I painted it in 2019.")).to_be_visible()
        expect(creator.page.get_by_text("Waits for")).to_be_visible()
        creator.page.get_by_label("Say something").fill("I drew it myself.")
        creator.press("Say it")
        uphold(operator)
        assert httpx.get(f"{served.origin}/styles/{style_id}").status_code == 404, "it is off sale at once"
        creator.open(claim_path.replace("/office/", "/studio/"))
        creator.press("Train Claimed lines without it")
        training = http.get(f"/v1/styles/{style_id}/trainings").json()["items"][0]
        with http.stream("GET", f"/v1/trainings/{training['id']}/events", timeout=300) as events:
            last = [line for line in events.iter_lines() if line.startswith("event: ")][-1]
        assert last == "event: passed"
        uses = [one for one in http.get("/v1/data-use").json()["items"] if one["purpose"] == "training"]
        files = [{file["sha256"] for file in http.get(f"/v1/data-use/{one['id']}").json()["files"]} for one in uses]

    claimed = hashlib.sha256(portfolio[0].read_bytes()).hexdigest()
    portfolios = [one for one in files if len(one) > 1]
    assert [(len(one), claimed in one) for one in portfolios] == [(9, False), (10, True)], "newest first"
    buyer.open(f"/styles/{style_id}")
    assert "Claimed lines" not in buyer.text(), "until its creator publishes what was trained without it"


def test_pages_for_anybody_say_what_the_place_takes_and_reports(sit: Sit):
    stranger = sit(has_scripts=False)
    stranger.open("/")
    stranger.page.get_by_role("link", name="What this place takes").click()
    assert "15 % of every price goes to" in stranger.text().replace("\N{NO-BREAK SPACE}", " ")
    stranger.page.get_by_role("link", name="Monthly report", exact=True).click()
    expect(stranger.page.get_by_role("heading", name="Monthly report")).to_be_visible()


def invite(operator: Seat, role: str, name: str) -> str:
    page = operator.page
    page.get_by_label("E-mail").fill(f"{name.replace(' ', '-').lower()}@first-day.example")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Who they are").select_option(role)
    operator.press("Make a sign-in link")
    expect(page.get_by_role("heading", name=f"Send this link to {name}")).to_be_visible()
    return page.locator("#link").inner_text()


def write_claim_down(operator: Seat, picture: Path) -> str:
    """Somebody outside shows a picture; the path of their claim in the office."""
    page = operator.page
    operator.open("/office/claims")
    page.locator("#picture").set_input_files(picture)
    operator.press("Look for it")
    expect(page.get_by_text("work that looks the same")).to_be_visible()
    page.get_by_label("What they claim").fill("I painted it in 2019.")
    page.get_by_label("How to reach them").fill("Jo Painter, jo@painter.example")
    operator.press("Open the claim")
    expect(page.get_by_text("Jo Painter, jo@painter.example")).to_be_visible()
    return operator.path


def uphold(operator: Seat) -> None:
    """Decide for who claims it."""
    operator.page.reload()
    operator.page.locator("input[name=outcome][value=upheld]").check()
    operator.page.get_by_label("a training without it is paid by").select_option("operator")
    operator.page.get_by_label("Reason").fill("It is on their page since 2019.")
    operator.press("Decide")
    expect(operator.page.get_by_text("Upheld").first).to_be_visible()


def worker_of(operator: Seat) -> int:
    """The worker's process, as the page of machines says."""
    operator.open("/office/machines")
    expect(operator.page.locator(".machine").first).to_contain_text("Alive")
    found = re.search(r"process (\d+)", operator.text(".machine"))
    assert found
    return int(found[1])
