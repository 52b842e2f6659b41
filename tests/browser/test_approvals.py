"""Twenty orders that wait are decided without a mouse."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MADE_MS, PATIENCE_MS, Seat, Shop, Sit
from tests.browser.served import Served

pytestmark = pytest.mark.browser

BATCH = 20
FOCUSED = "() => document.activeElement.textContent.trim()"
STEPS_MAX = 40


@pytest.fixture
def looked_at(shop: Shop) -> Iterator[Shop]:
    """The style, while its creator looks at every picture first."""
    shop.creator.patch(f"/v1/styles/{shop.style_id}", json={"approval": "all"}).raise_for_status()
    yield shop
    shop.creator.patch(f"/v1/styles/{shop.style_id}", json={"approval": "off"}).raise_for_status()


def test_a_batch_of_twenty_is_decided_by_keyboard_alone(
    sit: Sit, served: Served, looked_at: Shop, rich_client: Callable[..., Seat]
):
    client = rich_client()
    with httpx.Client(base_url=served.origin, timeout=60) as http:
        http.headers["Authorization"] = f"Bearer {served.ownhand('token', '--email', client.email)}"
        for number in range(BATCH):
            body = {"style": looked_at.style_id, "prompt": f"a cup, {number}", "tier": "draft", "seed": number}
            ordered = http.post("/v1/generations", json=body, headers={"Idempotency-Key": f"batch-{number}"})
            ordered.raise_for_status()
        creator = sign_in_as(sit, served, "shopkeeper@example.org")
        page = creator.page
        until_all_wait(creator)

        for number in range(BATCH):
            if number == 1:
                tab_to(page, "Keep back")
                page.keyboard.press("Enter")
                page.keyboard.press("Tab")
                page.keyboard.type("A cup like that is not mine.")
                page.keyboard.press("Enter")
                expect(page.get_by_text("Kept back. The client reads your reason")).to_be_visible(timeout=PATIENCE_MS)
            else:
                tab_to(page, "Release 1 picture")
                page.keyboard.press("Enter")
                expect(page.get_by_text("Released: the client gets the pictures")).to_be_visible(timeout=PATIENCE_MS)
            expect(page.get_by_role("button", name="Release 1 picture")).to_have_count(
                BATCH - number - 1, timeout=PATIENCE_MS
            )

        expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        states = [one["state"] for one in http.get("/v1/generations", params={"limit": 200}).json()["items"]]
    assert states.count("withdrawn") == 1
    assert set(states) <= {"withdrawn", "sealing", "settled"}


def sign_in_as(sit: Sit, served: Served, email: str) -> Seat:
    seat = sit()
    seat.page.goto(served.ownhand("invite", "--role", "creator", "--email", email))
    seat.press("Sign in")
    return seat


def until_all_wait(creator: Seat) -> None:
    waiting = creator.page.get_by_role("button", name="Release 1 picture")
    for _ in range(MADE_MS // 1000):
        creator.open("/studio/approvals")
        if waiting.count() == BATCH:
            return
        creator.page.wait_for_timeout(1000)
    raise AssertionError(f"{waiting.count()} of {BATCH} orders wait for their creator")


def tab_to(page: Page, words: str) -> None:
    """Go on with the tabulator until something of these words has the focus."""
    for _ in range(STEPS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == words:
            return
    raise AssertionError(f"{words!r} is more than {STEPS_MAX} steps away; {page.evaluate(FOCUSED)!r} has the focus")
