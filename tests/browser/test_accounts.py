"""People make an account, get in and see who else is in, in browsers without scripts; letters come to a mail server."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from service import totp
from tests.browser.conftest import Seat, Sit, open_office, seating
from tests.browser.served import Served, serve
from tests.browser.test_pages import WIDTHS, faults_of
from tests.service.letters.mailbox import Mailbox, mailbox

pytestmark = pytest.mark.browser

PASSWORD = "seven green kettles"


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory, box: Mailbox) -> Iterator[Served]:
    """A service where everybody may sign up, and whose letters are e-mailed."""
    folder = tmp_path_factory.mktemp("open")
    mail = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "Ownhand <post@example.org>"}
    with serve(folder, sign_up="everyone", **mail) as running:
        yield running


@pytest.fixture
def sit_down(open_to_all: Served, chromium: Browser) -> Iterator[Sit]:
    with open_office(open_to_all) as office, seating(open_to_all, office, chromium) as seat:
        yield seat


def link_in(box: Mailbox, to: str, subject: str) -> str:
    """The link in the letter that came, or comes, to somebody."""
    for count in range(1, 1000):
        if found := [one for one in box.came if to in one.to and subject in str(one.message["Subject"])]:
            link = re.search(r"http://\S+", found[-1].text)
            assert link, found[-1].text
            return link[0]
        assert box.hears("came", len(box.came) + 1), f"letter {count} to {to} did not come"
    raise AssertionError


def code_now(secret: bytes) -> str:
    return totp.code_at(secret, totp.step_of(datetime.now(UTC)))


def enter_by_password(seat: Seat, email: str) -> None:
    seat.open("/sign-in")
    seat.page.get_by_label("E-mail address").fill(email)
    seat.page.get_by_label("Password", exact=True).fill(PASSWORD)
    seat.press("Sign in")


def test_a_creator_signs_up_and_gets_in_by_every_way_without_scripts(sit_down: Sit, box: Mailbox):
    email, seat = "mara@example.org", sit_down(has_scripts=False)
    page = seat.page
    seat.open("/sign-in")
    page.get_by_role("link", name="Make an account").click()
    page.get_by_label("Creator").check()
    page.get_by_label("Your name").fill("Mara Vogel")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("I have read").check()
    seat.press("Send me the e-mail")
    expect(page.get_by_text(f"A letter is on its way to {email}.")).to_be_visible()

    page.goto(link_in(box, email, "Confirm your address"))
    page.get_by_label("Password, if you want one").fill(PASSWORD)
    seat.press("Make my account")
    assert seat.path == "/studio"
    seat.press("Sign out")

    enter_by_password(seat, email)
    assert seat.path == "/studio"
    seat.open("/account/second-factor")
    seat.press("Set it up")
    secret = base64.b32decode(page.locator(".token").inner_text().replace(" ", ""))
    page.get_by_label("The code that the app shows now").fill(code_now(secret))
    seat.press("Switch it on")
    recovery = page.locator(".codes li").first.inner_text()
    seat.press("Sign out")

    enter_by_password(seat, email)
    page.get_by_label("The code of your app").fill("123")
    seat.press("Sign in")
    expect(page.get_by_text("This code does not fit")).to_be_visible()
    page.get_by_label("The code of your app").fill(recovery)
    seat.press("Sign in")
    assert seat.path == "/studio"
    seat.press("Sign out")

    seat.open("/sign-in?then=/studio/new")
    page.get_by_label("E-mail address").fill(email)
    seat.press("Send me a link")
    expect(page.get_by_text(f"If an account goes by {email}")).to_be_visible()
    page.goto(link_in(box, email, "Your link to sign in"))
    seat.press("Sign in")
    assert seat.path == "/studio"


def test_a_session_is_seen_and_ended_from_another_browser(sit_down: Sit):
    here = sit_down("client", has_scripts=False)
    here.open("/account")
    here.page.get_by_text("Set a password").click()
    here.page.get_by_label("New password").fill(PASSWORD)
    here.press("Set it")
    expect(here.page.get_by_text("The password is set")).to_be_visible()
    there = sit_down(has_scripts=False)
    enter_by_password(there, here.email)
    assert there.path == "/desk"

    here.open("/account")
    assert here.page.locator(".sessions li").count() == 2
    here.page.get_by_role("button", name=re.compile("^End it: the session of Chrome on Linux")).click()
    expect(here.page.get_by_text("The session was ended.")).to_be_visible()

    there.open("/desk")
    assert there.path == "/sign-in"
    assert here.page.locator(".sessions li").count() == 1


def test_pages_of_getting_in_fit_every_width_and_name_everything(sit_down: Sit):
    stranger, client = sit_down(), sit_down("client")

    faults = [
        fault
        for width in WIDTHS
        for seat, paths in ((stranger, ["/sign-in", "/sign-up"]), (client, ["/account", "/account/second-factor"]))
        for path in paths
        for fault in faults_of(seat, path, width)
    ]

    assert not faults
