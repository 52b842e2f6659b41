"""People in front of a real Chromium that shows a real service."""

import itertools
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.served import Served, serve

FLAGS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
MADE_MS = 180_000
expect.set_options(timeout=PATIENCE_MS)
# How Chromium itself notes an answer of status 4xx. Refusals are asserted where they are due.
REFUSED = "Failed to load resource: the server responded with a status of 4"
_NUMBERS = itertools.count(1)
_PORTFOLIOS = itertools.count(1)
QUARTER = 256
"""Edge of each of the four drawings of a portfolio's picture, in pixels."""


@dataclass(kw_only=True)
class Seat:
    """One person's browser: its page, what went wrong in it, and where its requests went."""

    page: Page
    origin: str
    email: str = ""
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self, path: str) -> None:
        self.page.goto(self.origin + path)

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def press(self, name: str) -> None:
        """Press the first button whose name starts so and wait for the page that comes."""
        self.page.get_by_role("button", name=re.compile(f"^{re.escape(name)}")).first.click()
        self.page.wait_for_load_state()

    def text(self, selector: str = "main") -> str:
        return self.page.locator(selector).inner_text()


Sit = Callable[..., Seat]


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service, for all browser tests; each test brings people of its own."""
    with serve(tmp_path_factory.mktemp("served")) as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class Office:
    """The operator's office, as its forms are sent: it makes people and money without starting a process for each."""

    http: httpx.Client
    csrf: str

    def invite(self, role: str, email: str, name: str = "Somebody") -> str:
        """A sign-in link."""
        form = {"csrf": self.csrf, "role": role, "email": email, "name": name}
        answer = self.http.post("/office/invitations", data=form)
        found = re.search(r"http://[^<]*/sign-in\?link=[\w-]+", answer.text)
        assert found, answer.text
        return found[0]

    def credit(self, email: str, amount: str) -> None:
        """Prepaid money, `amount` as people type it."""
        form = {"csrf": self.csrf, "client": email, "amount": amount, "reference": f"for {email}"}
        assert self.http.post("/office/credits", data=form).status_code == 303


@pytest.fixture(scope="package")
def office(served: Served) -> Iterator[Office]:
    with open_office(served) as opened:
        yield opened


@contextmanager
def open_office(served: Served) -> Iterator[Office]:
    link = served.ownhand("invite", "--role", "operator", "--email", "office@example.org")
    with httpx.Client(base_url=served.origin, timeout=60) as http:
        http.post("/sign-in", data={"link": link})
        token = re.search(r'name="csrf" value="(\w+)"', http.get("/office").text)
        assert token
        yield Office(http=http, csrf=token[1])


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    script = Path(__file__).parent / "find_chromium.sh"
    found = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True).stdout.strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def sit(served: Served, office: Office, chromium: Browser) -> Iterator[Sit]:
    with seating(served, office, chromium) as seat:
        yield seat


@contextmanager
def seating(served: Served, office: Office, chromium: Browser) -> Iterator[Sit]:
    """Seats somebody: `sit("creator")` is signed in, `sit()` a stranger. Every seat must end without an error and
    without a request to anywhere else."""
    seats: list[Seat] = []

    def seat(role: str = "", *, name: str = "Somebody", has_scripts: bool = True) -> Seat:
        context = chromium.new_context(java_script_enabled=has_scripts)
        context.set_default_timeout(PATIENCE_MS)
        made = Seat(page=context.new_page(), origin=served.origin)
        made.page.on("console", lambda message: note(made, message))
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on("request", lambda request: made.hosts.add(urlsplit(request.url).netloc))
        seats.append(made)
        if role:
            made.email = f"{role}-{next(_NUMBERS)}@example.org"
            made.page.goto(office.invite(role, made.email, name))
            made.press("Sign in")
        return made

    yield seat
    for one in seats:
        one.page.context.close()
        assert not one.errors, one.errors
        assert {host for host in one.hosts if host} <= {urlsplit(served.origin).netloc}


def note(seat: Seat, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning") and not message.text.startswith(REFUSED):
        seat.errors.append(f"{message.text} ({message.location})")


@pytest.fixture(scope="package")
def drawings() -> list[Path]:
    """24 pictures of the demonstration."""
    works = Path(__file__).resolve().parents[2] / "configs" / "demo" / "works"
    return sorted(works.glob("*.png"))[:24]


@pytest.fixture
def portfolio(drawings: list[Path], tmp_path: Path) -> list[Path]:
    """24 pictures that nobody else has uploaded: each shows four of the demonstration's, other ones in every test.

    The same pictures from two creators would be a case for the operator.
    """
    number = next(_PORTFOLIOS)
    paths = []
    for path in drawings:
        picture = Image.new("RGB", (2 * QUARTER, 2 * QUARTER))
        shown = random.Random(f"{number} {path.name}").sample(drawings, 4)
        for corner, drawn in zip(itertools.product((0, QUARTER), repeat=2), shown, strict=True):
            with Image.open(drawn) as drawing:
                picture.paste(drawing.convert("RGB").resize((QUARTER, QUARTER)), corner)
        paths.append(tmp_path / path.name)
        picture.save(paths[-1])
    return paths


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A style on sale, and its creator's API."""

    style_id: str
    name: str
    creator: httpx.Client


@pytest.fixture(scope="package")
def shop(served: Served, drawings: list[Path]) -> Iterator[Shop]:
    with open_shop(served, drawings) as opened:
        yield opened


@contextmanager
def open_shop(served: Served, drawings: list[Path]) -> Iterator[Shop]:
    """One published style over the random base, made through the API: its pictures take no time and show nothing."""
    email, name = "shopkeeper@example.org", "Corner shop blue"
    served.ownhand("invite", "--role", "creator", "--email", email, "--name", "Shopkeeper")
    headers = {"Authorization": f"Bearer {served.ownhand('token', '--email', email)}"}
    with httpx.Client(base_url=served.origin, headers=headers, timeout=120) as creator:
        yield Shop(style_id=put_on_sale(creator, name, drawings[:12]), name=name, creator=creator)


def put_on_sale(creator: httpx.Client, name: str, works: list[Path]) -> str:
    """A style over the random base, trained and published through its creator's API; its id."""
    words = {"name": name, "summary": "Everyday things under a firm line.", "base": "tiny"}
    style_id: str = creator.post("/v1/styles", json=words).json()["id"]
    files = [("files", (path.name, path.read_bytes(), "image/png")) for path in works]
    creator.post(f"/v1/styles/{style_id}/works", files=files, data={"rights": "mine"}).raise_for_status()
    training = creator.post(f"/v1/styles/{style_id}/trainings", json={}).json()
    # The stream ends when the training does.
    with creator.stream("GET", f"/v1/trainings/{training['id']}/events", timeout=300) as events:
        last = [line for line in events.iter_lines() if line.startswith("event: ")][-1]
    assert last == "event: passed", creator.get(f"/v1/trainings/{training['id']}").json()
    version = creator.get(f"/v1/trainings/{training['id']}").json()["version"]
    creator.post(f"/v1/versions/{version}/publish").raise_for_status()
    return style_id


@pytest.fixture
def rich_client(sit: Sit, office: Office) -> Callable[..., Seat]:
    """A client with EUR 20.00."""

    def seat(**options: object) -> Seat:
        made = sit("client", name="Studio North", **options)
        office.credit(made.email, "20.00")
        return made

    return seat
