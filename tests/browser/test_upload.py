"""Many pictures over a bad line: they all arrive, each once, whatever is cut or closed."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from service.pages.work_cards import PER_PAGE
from tests.browser.conftest import MADE_MS, PATIENCE_MS, Seat, Sit
from tests.browser.cut_line import Line, open_line
from tests.browser.served import Served

pytestmark = pytest.mark.browser

MANY = 500
MANY_MS = 400_000
ARRIVED = "() => Number.parseInt(document.querySelector('[data-upload-count]').textContent) || 0"
AT_LEAST = "least => (Number.parseInt(document.querySelector('[data-upload-count]')?.textContent) || 0) >= least"
BYTES = "() => document.querySelector('#upload progress').value"
NO_STORE = """() => new Promise((resolve) => {
    const asked = indexedDB.deleteDatabase("ownhand-uploads");
    asked.onsuccess = asked.onerror = asked.onblocked = resolve;
})"""


@pytest.fixture
def line(served: Served) -> Iterator[Line]:
    with open_line(served.origin) as opened:
        yield opened


def test_five_hundred_pictures_arrive_once_though_the_line_is_cut_three_times(sit: Sit, line: Line, tmp_path: Path):
    paths = draw_many(tmp_path, MANY)
    creator = sit_at(sit, line, "Five hundred")
    page = creator.page
    page.locator("input[type=file]").set_input_files(paths)

    for arrived in (80, 200, 330):
        page.wait_for_function(AT_LEAST, arg=arrived, timeout=MANY_MS)
        line.cut()
        expect(page.get_by_text("The connection is lost")).to_be_visible(timeout=PATIENCE_MS)
        line.mend()

    expect(page.get_by_text(f"{MANY} of {MANY} arrived")).to_be_visible(timeout=MANY_MS)
    expect(page.get_by_text(f"{MANY} pictures, 0 ready to train")).to_be_visible(timeout=MANY_MS)
    expect(page.locator(".work")).to_have_count(PER_PAGE, timeout=MANY_MS)
    assert line.num_cut >= 3
    works = works_of(creator)
    assert len(works) == MANY
    assert {work["sha256"] for work in works} == {digest(path) for path in paths}
    leave(creator, line)


def test_after_a_closed_tab_the_upload_goes_on_where_it_was(sit: Sit, line: Line, portfolio: list[Path]):
    creator = sit_at(sit, line, "A closed tab")
    page, sent = creator.page, list[str]()
    page.locator("input[type=file]").set_input_files(portfolio)
    page.wait_for_function(AT_LEAST, arg=8)
    line.cut()
    expect(page.get_by_text("The connection is lost")).to_be_visible(timeout=PATIENCE_MS)
    arrived, there = page.evaluate(ARRIVED), page.evaluate(BYTES)
    page.wait_for_function(KEPT, arg=len(portfolio) - arrived)
    address = page.url
    creator.page = page.context.new_page()
    page.close()
    line.mend()
    creator.page.on("request", lambda request: sent.append(request.method))

    creator.page.goto(address)

    assert creator.page.evaluate(BYTES) >= there
    assert creator.page.evaluate(ARRIVED) >= arrived
    expect(creator.page.get_by_text(f"{len(portfolio)} of {len(portfolio)} arrived")).to_be_visible(timeout=MADE_MS)
    expect(creator.page.locator(".work")).to_have_count(len(portfolio), timeout=PATIENCE_MS)
    assert len(works_of(creator)) == len(portfolio)
    assert sent.count("PUT") <= len(portfolio) - arrived
    leave(creator, line)


def test_the_same_pictures_dropped_again_send_what_is_missing(sit: Sit, line: Line, portfolio: list[Path]):
    creator = sit_at(sit, line, "Dropped again")
    page = creator.page
    page.locator("input[type=file]").set_input_files(portfolio)
    page.wait_for_function(AT_LEAST, arg=8)
    line.cut()
    expect(page.get_by_text("The connection is lost")).to_be_visible(timeout=PATIENCE_MS)
    address = page.url
    page.goto("about:blank")
    line.mend()
    page.goto(creator.origin + "/studio")
    page.evaluate(NO_STORE)
    page.goto(address)
    expect(page.get_by_text("Drop the same pictures or the same folder again")).to_be_visible(timeout=PATIENCE_MS)
    arrived, sent = page.evaluate(ARRIVED), list[str]()
    assert arrived >= 8
    page.on("request", lambda request: sent.append(request.method))

    page.locator("input[type=file]").set_input_files(portfolio)

    expect(page.get_by_text(f"{len(portfolio)} of {len(portfolio)} arrived")).to_be_visible(timeout=MADE_MS)
    expect(page.locator(".work")).to_have_count(len(portfolio), timeout=PATIENCE_MS)
    assert sent.count("PUT") == len(portfolio) - arrived
    assert len(works_of(creator)) == len(portfolio)
    leave(creator, line)


def test_a_file_that_was_refused_is_mended_and_tried_again_and_the_list_put_away(
    sit: Sit, portfolio: list[Path], tmp_path: Path
):
    creator = sit("creator")
    make_style(creator, "One is none")
    letter = tmp_path / "letter.png"
    letter.write_bytes(b"Dear client,")
    page = creator.page
    page.locator("input[type=file]").set_input_files([portfolio[0], letter])
    expect(page.get_by_text("1 of 2 arrived, 1 not taken")).to_be_visible(timeout=MADE_MS)
    expect(page.locator(".work")).to_have_count(1, timeout=PATIENCE_MS)
    expect(page.locator("#upload")).to_contain_text("letter.png", timeout=PATIENCE_MS)

    page.get_by_role("button", name="Try these again").click()
    expect(page.get_by_text("0 of 1 arrived, 1 not taken")).to_be_visible(timeout=MADE_MS)
    page.get_by_role("button", name="Put this away").click()

    expect(page.locator("#upload")).to_be_hidden(timeout=PATIENCE_MS)
    expect(page.locator(".work")).to_have_count(1, timeout=PATIENCE_MS)


KEPT = """(least) => new Promise((resolve) => {
    const asked = indexedDB.open("ownhand-uploads", 1);
    asked.onsuccess = () => {
        const counted = asked.result.transaction("files").objectStore("files").count();
        counted.onsuccess = () => { asked.result.close(); resolve(counted.result >= least); };
    };
    asked.onerror = () => resolve(false);
})"""
"""Whether the browser has kept so many files."""


def sit_at(sit: Sit, line: Line, name: str) -> Seat:
    """A creator with a new style, whose browser reaches the service over the line."""
    creator = sit("creator")
    creator.origin = line.origin
    creator.open("/studio")
    make_style(creator, name)
    return creator


def make_style(creator: Seat, name: str) -> None:
    creator.open("/studio/new")
    creator.page.get_by_label("Name").fill(name)
    creator.press("Make the style")


def leave(creator: Seat, line: Line) -> None:
    """What the line did is no fault of a page, and no other place."""
    creator.hosts.discard(urlsplit(line.origin).netloc)
    creator.errors[:] = [error for error in creator.errors if "net::ERR_" not in error]


def works_of(creator: Seat) -> list[dict[str, str]]:
    style_id, found, cursor = creator.path.split("/")[3], list[dict[str, str]](), ""
    while True:
        page: Page = creator.page
        answer = page.request.get(f"{creator.origin}/v1/styles/{style_id}/works?limit=200{cursor}").json()
        found += answer["items"]
        if answer["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


def draw_many(folder: Path, number: int) -> list[Path]:
    dice = random.Random(77)
    paths = []
    for at in range(number):
        image = Image.new("RGB", (160, 160), tuple(dice.randrange(120, 256) for _ in range(3)))
        pen = ImageDraw.Draw(image)
        for _ in range(12):
            x, y, width, height = (dice.randrange(100) for _ in range(4))
            pen.ellipse((x, y, x + width + 4, y + height + 4), fill=tuple(dice.randrange(256) for _ in range(3)))
        paths.append(folder / f"drawing {at:03}.png")
        image.save(paths[-1])
    return paths


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
