"""The desk's journeys: a client finds, tries and buys; a developer's programs run as they stand on the page."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from tests.browser.conftest import MADE_MS, Office, Seat, Shop, Sit

pytestmark = pytest.mark.browser

RUN_S = 120


def bytes_of(client: Seat, output_id: str) -> bytes:
    return client.page.request.get(f"{client.origin}/v1/outputs/{output_id}").body()


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int64)


def outputs_on(client: Seat) -> list[str]:
    """Ids of the pictures of the order that is shown, once they are there."""
    expect(client.page.get_by_role("link", name="Download").first).to_be_visible(timeout=MADE_MS)
    return re.findall(r'href="/v1/outputs/(out_\w+)"', client.page.content())


def test_a_client_finds_tries_redoes_a_part_and_buys(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client()
    page = client.page
    wait_for_free_drafts(client)
    client.open("/")
    page.get_by_role("searchbox", name="Find a style").fill("corner shop")
    page.get_by_role("button", name="Find", exact=True).click()
    card = page.locator(".card").filter(has_text=shop.name)
    expect(card).to_contain_text("of notice before it ends")
    on_card = re.search(r"from (EUR\s[\d.]+) a picture", card.inner_text())
    assert on_card
    card.get_by_role("link", name=shop.name).click()
    page.get_by_role("link", name="Make a picture").click()

    page.get_by_label("What should the picture show?").fill("a lighthouse")
    page.get_by_label("Licence").select_option("draft")
    expect(page.locator("#price")).to_contain_text("1 draft")
    client.press("Order")
    (draft,) = outputs_on(client)
    assert usage(client)["prepaid"]["amount"] == 2000
    page.get_by_role("link", name="Buy it unmarked").click()
    expect(page.get_by_label("What should the picture show?")).to_have_value("a lighthouse")
    button = page.get_by_role("button", name="Order for")
    assert on_card[1].replace("\N{NO-BREAK SPACE}", " ") in button.inner_text().replace("\N{NO-BREAK SPACE}", " ")
    button.click()
    (bought,) = outputs_on(client)
    draft_pixels, bought_pixels = pixels_of(bytes_of(client, draft)), pixels_of(bytes_of(client, bought))
    assert draft_pixels.shape[0] < bought_pixels.shape[0]
    small = np.asarray(
        Image.fromarray(bought_pixels.astype(np.uint8)).resize(draft_pixels.shape[1::-1], Image.Resampling.LANCZOS),
        np.int64,
    )
    assert np.abs(small - draft_pixels).max() > 60, "what was not paid for carries its mark"

    page.get_by_role("link", name="Redo a part").click()
    paint_the_left(client)
    page.get_by_label("What should the picture show?").fill("a red lighthouse")
    page.get_by_role("button", name="Order for").click()
    (redone,) = outputs_on(client)
    changed = np.abs(pixels_of(bytes_of(client, redone)) - bought_pixels).max(axis=2)
    width = changed.shape[1]
    assert changed[:, width * 3 // 4 :].max() <= 2, "outside of what was painted nothing changed"
    assert changed[:, : width // 2].mean() > 1

    page.get_by_role("link", name="Certificate").click()
    expect(page.get_by_text(f"{shop.name}, by Shopkeeper")).to_be_visible()
    certificate = client.page.request.get(f"{client.origin}/v1/outputs/{redone}/certificate").json()["certificate"]
    assert verdict(client, bytes_of(client, redone)) == "valid"
    flipped = certificate[:-2] + ("A" if certificate[-2] != "A" else "B") + certificate[-1]
    assert verdict(client, flipped.encode()) != "valid"
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(bytes_of(client, redone))).convert("RGB").save(jpeg, format="JPEG", quality=90)
    assert verdict(client, jpeg.getvalue()) in ("marked_but_stripped", "unknown")


def test_what_is_typed_before_the_scripts_are_there_is_priced_as_well(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client()
    page, held = client.page, list[Route]()
    page.route("**/htmx.min.js", lambda route: held.append(route))
    page.goto(f"{client.origin}/desk/make?style={shop.style_id}", wait_until="commit")
    expect(page.get_by_role("button", name="Order for EUR 0.60")).to_be_visible()

    page.get_by_label("How many").fill("2")
    page.wait_for_timeout(300)
    before = page.get_by_role("button", name="Order for").inner_text()
    held[0].continue_()

    expect(page.get_by_role("button", name="Order for EUR 1.20")).to_be_visible()
    assert before.endswith("0.60"), "nobody could ask yet"


def test_a_client_starts_from_a_work_that_its_maker_offers_until_it_is_taken_back(
    shop: Shop, sit: Sit, office: Office, rich_client: Callable[..., Seat]
):
    maker, client = sit(), rich_client()
    maker.page.goto(office.invite("creator", "shopkeeper@example.org", "Shopkeeper"))
    maker.press("Sign in")
    maker.open(f"/studio/styles/{shop.style_id}/works")
    card = maker.page.locator("ul.works > li").first
    work_id = card.get_attribute("id")
    offered = card.get_by_label("Offer as a starting point")
    expect(offered).not_to_be_checked()
    with maker.page.expect_response(lambda one: f"/studio/works/{work_id}" in one.url and one.ok):
        offered.check()
    expect(offered).to_be_checked()

    page = client.page
    client.open(f"/styles/{shop.style_id}")
    page.get_by_role("link", name="Start from work 1 of 1").click()
    expect(page.get_by_text("A work of the maker's is chosen")).to_be_visible()
    page.get_by_label("What should the picture show?").fill("a lighthouse")
    page.get_by_role("button", name="Order for").click()
    outputs_on(client)
    client.open(f"/desk/make?style={shop.style_id}")
    page.get_by_label("What should the picture show?").fill("a red boat")
    page.get_by_role("button", name="Start from work 1 of 1").click()
    expect(page.get_by_text("A work of the maker's is chosen")).to_be_visible()
    expect(page.get_by_label("What should the picture show?")).to_have_value("a red boat")

    with maker.page.expect_response(lambda one: f"/studio/works/{work_id}" in one.url and one.ok):
        offered.uncheck()
    expect(offered).not_to_be_checked()
    page.get_by_role("button", name="Order for").click()
    expect(page.get_by_text("There is no starting point")).to_be_visible()
    client.open(f"/styles/{shop.style_id}")
    expect(page.get_by_role("link", name=re.compile("^Start from work"))).to_have_count(0)


def wait_for_free_drafts(client: Seat) -> None:
    """They are given by a sweep, within half a minute of the account's first day here."""
    deadline = time.monotonic() + MADE_MS / 1000
    while not any(one["kind"] == "free" for one in usage(client)["allowances"]):
        assert time.monotonic() < deadline, usage(client)
        client.page.wait_for_timeout(500)


def usage(client: Seat) -> dict[str, Any]:
    found: dict[str, Any] = client.page.request.get(f"{client.origin}/v1/usage").json()
    return found


def verdict(client: Seat, content: bytes) -> str:
    """What a stranger is told of a file."""
    answer = httpx.post(f"{client.origin}/v1/verify", files={"file": ("file", content)}, timeout=RUN_S)
    found: str = answer.json()["verdict"]
    return found


def paint_the_left(client: Seat) -> None:
    """Paint over the left third of the picture, as with a mouse."""
    page = client.page
    board = page.locator("[data-brush-board] canvas")
    expect(board).to_be_visible()
    page.locator("[data-brush-width]").evaluate("range => { range.value = 20; }")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    assert box
    for share in (0.1, 0.2, 0.3):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.1)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.9, steps=5)
        page.mouse.up()
    expect(page.locator("#painted")).not_to_have_value("")


def test_a_part_is_redone_without_scripts_by_numbers(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client(has_scripts=False)
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}&prompt=a+cup&seed=3")
    client.press("Order for")
    (first,) = outputs_on(client)
    page.get_by_role("link", name="Redo a part").click()
    for label, number in (
        ("From the left, %", "50"),
        ("From the top, %", "0"),
        ("Width, %", "50"),
        ("Height, %", "100"),
    ):
        page.get_by_label(label).fill(number)
    client.press("Order for")
    (second,) = outputs_on(client)

    changed = np.abs(pixels_of(bytes_of(client, first)) - pixels_of(bytes_of(client, second))).max(axis=2)
    assert changed[:, : changed.shape[1] // 2 - 1].max() <= 2
    assert changed.max() > 2


def test_ticked_pictures_come_as_one_file(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client(has_scripts=False)
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}&prompt=a+key&count=2")
    client.press("Order for")
    outputs = outputs_on(client)
    client.open("/desk/history")
    for box in page.get_by_role("checkbox").all():
        box.check()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download what is ticked").click()

    with zipfile.ZipFile(coming.value.path()) as archive:
        assert {f"pictures/{one}.png" for one in outputs} < set(archive.namelist())


def test_a_picture_finds_the_style_that_it_was_drawn_in(shop: Shop, sit: Sit, drawings: list[Path]):
    stranger = sit()
    page = stranger.page
    stranger.open("/")
    page.locator("input[name=picture]").set_input_files(drawings[0])
    expect(page.get_by_text("Nearest to your picture by texture and colour first.")).to_be_visible(timeout=MADE_MS)
    expect(page.locator(".card").filter(has_text=shop.name)).to_be_visible()
    page.get_by_role("link", name="Show the usual order").click()
    expect(page.get_by_text("Nearest to your picture")).to_have_count(0)


def test_the_programs_of_the_keys_page_run_as_they_stand(shop: Shop, rich_client: Callable[..., Seat], tmp_path: Path):
    client = rich_client()
    page = client.page
    client.open("/desk/keys")
    client.press("Make a key")
    token = client.text("#token").strip()
    assert token.startswith("oh_test_")
    programs = {name: snippet(client, name) for name in ("curl", "python", "javascript")}
    commands = {"curl": ["bash", "-e"], "python": [sys.executable, "-"]}
    if shutil.which("node"):
        commands["javascript"] = ["node", "--input-type=module", "-"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    for name, command in commands.items():
        folder = tmp_path / name
        folder.mkdir()
        done = run(command, programs[name], folder, environ)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert "settled" in done.stdout, f"{name}: {done.stdout}"
        (picture,) = folder.glob("*.png")
        assert Image.open(picture).format == "PNG", name
    orders = httpx.get(f"{client.origin}/v1/generations", headers={"Authorization": f"Bearer {token}"}).json()["items"]
    assert len(orders) == len(commands)
    assert all(order["test"] and order["amount"]["amount"] == 0 for order in orders)

    client.open("/desk/keys")
    assert token not in page.content()
    client.press("Revoke")
    refused_by = time.monotonic() + 1
    answer = httpx.get(f"{client.origin}/v1/usage", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert time.monotonic() < refused_by


def run(command: list[str], program: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=program,
        text=True,
        capture_output=True,
        cwd=folder,
        env=environ,
        timeout=RUN_S,
        check=False,
    )


def snippet(client: Seat, name: str) -> str:
    """What somebody copies."""
    return client.page.locator(f"#snippet-{name}").evaluate("element => element.textContent")


def test_a_developers_live_key_orders_once_tells_its_steps_and_ends_at_its_cap(
    shop: Shop, rich_client: Callable[..., Seat]
):
    client = rich_client()
    page = client.page
    client.open("/desk/keys?kind=live")
    page.get_by_label("Spending limit in EUR").fill("1")
    client.press("Make a key")
    token = client.text("#token").strip()
    assert token.startswith("oh_live_")
    with httpx.Client(base_url=client.origin, headers={"Authorization": f"Bearer {token}"}, timeout=RUN_S) as program:
        body = {"style": shop.style_id, "prompt": "a bridge", "seed": 1}
        twice = [
            program.post("/v1/generations", json=body, headers={"Idempotency-Key": "once"}).json() for _ in range(2)
        ]
        with program.stream("GET", f"/v1/generations/{twice[0]['id']}/events") as events:
            lines = [line.removeprefix("event: ") for line in events.iter_lines() if line.startswith("event: ")]
        over = program.post("/v1/generations", json=body, headers={"Idempotency-Key": "again"})
        used = program.get("/v1/usage").json()
        waiting = [one for one in program.get("/v1/generations").json()["items"] if one["id"] != twice[0]["id"]]

    assert twice[0]["id"] == twice[1]["id"]
    told = list(dict.fromkeys(lines))
    assert told == ["queued", "started", "progress", "output", "settled"], told
    assert (over.status_code, json.loads(over.text)["type"].rsplit("/", 1)[-1]) == (402, "spend_cap_reached")
    assert waiting == [], "nothing was begun for what the cap refused"
    assert used["prepaid"]["amount"] == 1940
    client.open("/desk/money")
    assert "EUR\N{NO-BREAK SPACE}19.40" in client.text()
    client.open("/desk/keys")
    expect(page.get_by_role("row", name=token[:12])).to_contain_text("0.60")
