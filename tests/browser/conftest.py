"""People in front of a real Chromium that shows a real service."""

import colorsys
import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

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
# How Chromium itself notes an answer of status 4xx. Refusals are asserted where they are due.
REFUSED = "Failed to load resource: the server responded with a status of 4"
_NUMBERS = itertools.count(1)
_PORTFOLIOS = itertools.count(1)
GOLDEN_SHARE = 0.618
"""Of the circle of hues: steps of this size never come back to where they were."""


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
        account = re.search(rf'<option value="(acc_\w+)">[^<]*\({re.escape(email)}\)', self.http.get("/office").text)
        assert account, email
        form = {"csrf": self.csrf, "client": account[1], "amount": amount, "reference": f"for {email}"}
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
    """24 pictures that nobody else has uploaded: the demonstration's on paper of another colour and another way up in
    every test.

    The same pictures from two creators would be a case for the operator.
    """
    number = next(_PORTFOLIOS)
    hue = number * GOLDEN_SHARE % 1
    paper = tuple(round(255 * level) for level in colorsys.hsv_to_rgb(hue, 0.4, 1 - 0.2 * (number % 2)))
    paths = []
    for path in drawings:
        with Image.open(path) as drawing:
            picture = drawing.convert("RGB").resize((512, 512)).rotate(90 * (number % 4))
        paths.append(tmp_path / path.name)
        ImageChops.multiply(picture, Image.new("RGB", picture.size, paper)).save(paths[-1])
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
        words = {"name": name, "summary": "Everyday things under a firm line.", "base": "tiny"}
        style = creator.post("/v1/styles", json=words).json()
        files = [("files", (path.name, path.read_bytes(), "image/png")) for path in drawings[:12]]
        creator.post(f"/v1/styles/{style['id']}/works", files=files, data={"rights": "mine"}).raise_for_status()
        training = creator.post(f"/v1/styles/{style['id']}/trainings", json={}).json()
        # The stream ends when the training does.
        with creator.stream("GET", f"/v1/trainings/{training['id']}/events", timeout=300) as events:
            last = [line for line in events.iter_lines() if line.startswith("event: ")][-1]
        assert last == "event: passed", creator.get(f"/v1/trainings/{training['id']}").json()
        version = creator.get(f"/v1/trainings/{training['id']}").json()["version"]
        creator.post(f"/v1/versions/{version}/publish").raise_for_status()
        yield Shop(style_id=style["id"], name=name, creator=creator)


@pytest.fixture
def rich_client(sit: Sit, office: Office) -> Callable[..., Seat]:
    """A client with EUR 20.00."""

    def seat(**options: object) -> Seat:
        made = sit("client", name="Studio North", **options)
        office.credit(made.email, "20.00")
        return made

    return seat
