"""Every page, as everybody who may see it: in the light, in the dark, on a phone, and without scripts.

Each is also kept as a picture, for people to look at, beside a list of faults: `SCREENSHOTS` names the folder.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

from service.settings import ROOT
from tests.browser.gallery import NOT_PAGES, Gallery, open_gallery
from tests.service.conftest import database_url, migrated

__all__ = ["database_url", "migrated"]
pytestmark = pytest.mark.browser

AXE = ROOT / "service" / "static" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
GRAVE = ("serious", "critical")
FAULTS = (Path(__file__).parent / "faults.js").read_text()
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PUBLIC = (
    *("/", "/styles/{style_id}", "/verify", "/switch", "/terms", "/fees", "/report", "/report/{month}", "/reference"),
    *("/reference/{noun}", "/consent/{consent_word}", "/letters/off/{account_id}/{topic}/{word}"),
)
SHARED = ("/account", "/account/second-factor", "/inbox")
"""Of whoever has an account."""
HOMES = {"studio": "creator", "desk": "client", "office": "operator"}
# Pages that have something else to say at the same address, or at none of their own.
MORE = {
    "stranger": (
        *("/sign-in", "/?query=nothing", "/sign-in?link=nonsense", "/sign-up", "/sign-up/confirm", "/nothing-here"),
        *("/team/join", "/team/join?word={join_word}"),
    ),
    "creator": (
        *(f"/studio/styles/{{mixed_style}}{step}" for step in ("", "/works", "/training", "/offer")),
        *("/studio/styles/{resting_style}/training", "/studio/styles/{hidden_style}/training", "/nothing-here"),
    ),
    "client": ("/desk/make?style={style_id}&prompt=a+lighthouse", "/office"),
    "operator": ("/nothing-here",),
}
SAME = ("/studio/works/{work_id}", "/report")
"""Pages that another one is, too."""
REFUSED = {"/nothing-here": 404, "/office": 403, "/sign-up/confirm": 422, "/team/join": 422}
"""What these answer; `/office` to whoever is no operator, the last two without the word of a letter."""
MOVES = "what is there already moves"
EVERYBODY = ("stranger", "creator", "client", "operator", "new-creator", "new-client")
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@pytest.fixture(scope="module")
def gallery(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with open_gallery(database_url, tmp_path_factory.mktemp("gallery")) as opened:
        yield opened


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(kw_only=True)
class Look:
    """One browser window, and what went wrong in it since it was last asked."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def open(self, url: str, status: int) -> Response:
        """Go there; everything is loaded, pictures further down as well."""
        self.faults.clear()
        answer = self.page.goto(url, wait_until="load")
        assert answer is not None, url
        # The answer that the browser complains of is the one that is expected.
        self.faults[:] = [fault for fault in self.faults if status == 200 or str(status) not in fault]
        if answer.status != status:
            self.faults.append(f"answers {answer.status}")
        self.page.evaluate(
            "Promise.all([...document.images].map(image => { image.loading = 'eager';"
            " return image.complete || new Promise(done => { image.onload = image.onerror = done; }) }))"
        )
        return answer


@contextmanager
def looking(chromium: Browser, gallery: Gallery, who: str, **options: object) -> Iterator[Look]:
    context: BrowserContext = chromium.new_context(reduced_motion="reduce", **options)
    if who in gallery.words:
        context.add_cookies([{"name": "ownhand", "value": gallery.words[who], "url": gallery.origin}])
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " event => console.error(`the policy forbids ${event.violatedDirective} ${event.blockedURI}`))"
    )
    look = Look(page=context.new_page())
    look.page.on("console", lambda said: look.faults.append(said.text) if said.type in ("error", "warning") else None)
    look.page.on("pageerror", lambda error: look.faults.append(str(error)))
    look.page.on("requestfailed", lambda request: note_failure(look, request))
    yield look
    context.close()


def note_failure(look: Look, request: Request) -> None:
    # A page that is left takes back what it was asking for.
    if request.failure != "net::ERR_ABORTED":
        look.faults.append(f"{request.url} failed: {request.failure}")


def test_every_route_that_shows_something_is_somebodys_page(gallery: Gallery):
    shown = {path for who in EVERYBODY for path in pages_of(gallery, who)}

    missing = sorted(set(gallery.paths) - NOT_PAGES - shown)
    gone = sorted(NOT_PAGES - set(gallery.paths))

    assert not missing, f"say in tests/browser/test_every_page.py who sees these: {missing}"
    assert not gone, f"take them out of NOT_PAGES in tests/browser/gallery.py, there is no such route: {gone}"


@pytest.mark.parametrize("who", EVERYBODY)
def test_everybody_can_use_every_page_they_see(gallery: Gallery, chromium: Browser, screenshots: Path, who: str):
    faults: list[str] = []
    with (
        looking(chromium, gallery, who, viewport=DESKTOP) as desk,
        looking(chromium, gallery, who, viewport=PHONE, has_touch=True) as phone,
    ):
        for path in pages_of(gallery, who):
            url, status, name = gallery.origin + filled(gallery, path), status_of(who, path), name_of(who, path)
            desk.page.emulate_media(color_scheme="light")
            found = [f"headers: {fault}" for fault in faults_of_headers(desk.open(url, status))]
            found += [*desk.faults, *faults_of_page(desk, url, status)]
            found += [*judge(desk.page, TAGS), *asked(desk.page, "faultsOfRings")]
            desk.page.screenshot(path=screenshots / f"{name}.light.png", full_page=True, caret="initial")
            desk.page.emulate_media(color_scheme="dark")
            dark = [*judge(desk.page, COLOURS), *asked(desk.page, "faultsOfRings")]
            found += [f"dark: {fault}" for fault in dark]
            desk.page.screenshot(path=screenshots / f"{name}.dark.png", full_page=True, caret="initial")
            phone.open(url, status)
            phone.page.screenshot(path=screenshots / f"{name}.phone.png", full_page=True, caret="initial")
            small = [*phone.faults, *faults_of_page(phone, url, status)]
            found += [f"phone: {fault}" for fault in [*small, *judge(phone.page, TAGS)]]
            faults += [f"{path}: {fault}" for fault in found]
            (screenshots / f"{who}.faults").write_text("\n".join(faults))

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_page_is_in_german_where_that_is_asked_for_and_fits(
    gallery: Gallery, chromium: Browser, screenshots: Path, who: str
):
    faults: list[str] = []
    with (
        looking(chromium, gallery, who, viewport=DESKTOP, locale="de-DE") as desk,
        looking(chromium, gallery, who, viewport=PHONE, has_touch=True, locale="de-DE") as phone,
    ):
        for path in pages_of(gallery, who):
            url, status, name = gallery.origin + filled(gallery, path), status_of(who, path), name_of(who, path)
            for look, kind in ((desk, "german"), (phone, "german-phone")):
                look.open(url, status)
                look.page.screenshot(path=screenshots / f"{name}.{kind}.png", full_page=True, caret="initial")
                spoken = look.page.get_attribute("html", "lang")
                found = [*look.faults, *([] if spoken == "de" else [f"it is in {spoken}"])]
                found += faults_of_page(look, url, status)
                faults += [f"{path}: {kind}: {fault}" for fault in found]
        (screenshots / f"{who}.german.faults").write_text("\n".join(faults))

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("who", EVERYBODY)
def test_everything_can_be_done_without_scripts(gallery: Gallery, chromium: Browser, who: str):
    faults: list[str] = []
    with looking(chromium, gallery, who, java_script_enabled=False) as look:
        for path in pages_of(gallery, who):
            look.page.goto(gallery.origin + filled(gallery, path))
            faults += [f"{path}: {fault}" for fault in asked(look.page, "faultsWithoutScripts")]

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("who", EVERYBODY)
def test_no_two_pages_have_the_same_title(gallery: Gallery, chromium: Browser, who: str):
    with looking(chromium, gallery, who, java_script_enabled=False) as look:
        titles = Counter(
            title_of(look.page, gallery, path)
            for path in pages_of(gallery, who)
            if path in gallery.paths and path not in SAME
        )

    assert not [title for title, number in titles.items() if number > 1], titles
    assert all(re.fullmatch(r".{3,} · .+", title) for title in titles), titles


@pytest.mark.parametrize(("who", "path"), [("creator", "/studio/earnings"), ("client", "/desk/money")])
def test_papers_are_printed_without_what_is_pressed(gallery: Gallery, chromium: Browser, who: str, path: str):
    with looking(chromium, gallery, who) as look:
        look.open(gallery.origin + path, 200)
        look.page.emulate_media(media="print")

        pressed = look.page.locator("button, input, select, nav, .button, .tabs").filter(visible=True)

        assert pressed.count() == 0, pressed.all_inner_texts()
        assert look.page.locator("table td.number").filter(visible=True).count() > 0


def title_of(page: Page, gallery: Gallery, path: str) -> str:
    page.goto(gallery.origin + filled(gallery, path))
    return page.title()


def pages_of(gallery: Gallery, who: str) -> list[str]:
    """What somebody can open; who is new has nothing that a path could name."""
    role = who.removeprefix("new-")
    own = [path for path in gallery.paths if HOMES.get(path.split("/")[1]) == role and path not in NOT_PAGES]
    shared = SHARED if role != "stranger" else ()
    found = [*PUBLIC, *shared, *own]
    if who != role:
        return [path for path in found if "{" not in path and path not in PUBLIC]
    return [*found, *MORE[who]]


def filled(gallery: Gallery, path: str) -> str:
    return re.sub(r"{(\w+)}", lambda named: gallery.names[named[1]], path)


def status_of(who: str, path: str) -> int:
    return 200 if who == "operator" and path == "/office" else REFUSED.get(path, 200)


def name_of(who: str, path: str) -> str:
    """A file's name for a page."""
    return f"{who}{re.sub(r'[^a-z0-9]+', '-', path.lower()).rstrip('-') or '-front'}"


def asked(page: Page, question: str) -> list[str]:
    """What one function of faults.js says of the page."""
    said: list[str] = page.evaluate(f"() => {{ {FAULTS} return {question}(); }}")
    return said


def faults_of_page(look: Look, url: str, status: int) -> list[str]:
    """What one look shows. A page that moves while it comes does so every time; a browser that is slow to take the size
    of a phone moves it once, so that is asked twice."""
    found = asked(look.page, "faultsOfPage")
    if not any(fault.startswith(MOVES) for fault in found):
        return found
    look.open(url, status)
    return [*look.faults, *asked(look.page, "faultsOfPage")]


def judge(page: Page, rules: dict[str, object]) -> list[str]:
    """What axe finds grave, as sentences. The debugger puts it into the page; the page's own policy would not."""
    page.evaluate(AXE.read_text() + ";0")
    how = {"runOnly": rules, "resultTypes": ["violations"]}
    found = page.evaluate(f"async () => (await axe.run(document, {json.dumps(how)})).violations")
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {' '.join((node.get('failureSummary') or '').split())[:240]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def faults_of_headers(answer: Response) -> list[str]:
    """What keeps others from framing, sniffing and scripting a page, and is missing."""
    said = answer.all_headers()
    policy = dict(
        part.strip().partition(" ")[::2] for part in said.get("content-security-policy", "").split(";") if part.strip()
    )
    wants = {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "form-action": "'self'"}
    wants |= {"base-uri": "'none'", "frame-ancestors": "'none'"}
    return [
        *(f"{name} is {policy.get(name)!r}" for name, value in wants.items() if policy.get(name) != value),
        *(f"{name} has {value}" for name, value in policy.items() if "unsafe" in value or "//" in value),
        *(f"{name} is {said.get(name)!r}" for name, value in HEADERS.items() if said.get(name) != value),
    ]
