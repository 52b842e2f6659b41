"""What holds on every page: who may see it, what it says when something is wrong, and that everybody can use it."""

import io
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import MADE_MS, Office, Seat, Shop, Sit
from tests.browser.served import Served

pytestmark = pytest.mark.browser

WIDTHS = (360, 1440)
PUBLIC = ["/", "/verify", "/terms", "/reference", "/reference/generations", "/sign-in", "/sign-up", "/nothing-here"]
STUDIO = [
    "/studio",
    "/studio/new",
    "/studio/record",
    "/studio/record/happened",
    "/studio/earnings",
    "/studio/earnings/days",
    "/studio/shared",
    "/studio/payouts",
    "/studio/disputes",
    "/studio/claims",
    "/studio/export",
]
DESK = [
    *("/desk", "/desk/make", "/desk/history", "/desk/keys", "/desk/webhooks"),
    *("/desk/money", "/desk/money/buyer", "/desk/money/payments", "/desk/money/spend", "/desk/disputes"),
    *("/account", "/account/second-factor"),
]
OFFICE = [
    *("/office", "/office/money", "/office/payments", "/office/payouts"),
    *("/office/disputes", "/office/claims"),
]
STEPS = ["", "/works", "/consents", "/training", "/offer", "/switch", "/authors", "/rates"]

TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
NAMELESS = """() => [
    ...[...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
        .filter(field => !field.labels.length && !field.getAttribute("aria-label")),
    ...[...document.querySelectorAll("img")].filter(image => !image.hasAttribute("alt")),
    ...[...document.querySelectorAll("a, button, summary")]
        .filter(item => !item.textContent.trim() && !item.querySelector("img[alt]") && !item.ariaLabel),
].map(element => element.outerHTML)"""
TITLES = "() => document.querySelectorAll('h1').length"


def test_every_page_fits_the_screen_and_names_its_parts(
    sit: Sit, shop: Shop, portfolio: list[Path], rich_client: Callable[..., Seat]
):
    creator = sit("creator")
    creator.open("/studio/new")
    creator.page.get_by_label("Name").fill("Averyverylongnamewithoutanyspaceinit")
    creator.press("Make the style")
    style = creator.path.removesuffix("/works")
    creator.page.locator("input[type=file]").set_input_files(portfolio[:3])
    expect(creator.page.locator(".work")).to_have_count(3)
    visits = [
        (sit(), [*PUBLIC, f"/styles/{shop.style_id}"]),
        (creator, [*STUDIO, *(style + step for step in STEPS)]),
        (rich_client(), DESK),
        (sit("operator"), OFFICE),
    ]

    faults = [
        fault for width in WIDTHS for seat, paths in visits for path in paths for fault in faults_of(seat, path, width)
    ]

    assert not faults


def faults_of(seat: Seat, path: str, width: int) -> list[str]:
    seat.page.set_viewport_size({"width": width, "height": 800})
    seat.open(path)
    page = seat.page
    found = [f"{path} is {page.evaluate(TOO_WIDE)} pixels wider than {width}"] if page.evaluate(TOO_WIDE) > 0 else []
    found += [f"{path}: without a name: {element}" for element in page.evaluate(NAMELESS)]
    return found + ([f"{path} has {page.evaluate(TITLES)} titles"] if page.evaluate(TITLES) != 1 else [])


def test_a_stranger_is_sent_to_sign_in_and_back(sit: Sit, office: Office):
    stranger = sit()
    stranger.open("/desk/keys")
    assert stranger.path == "/sign-in"
    link = office.invite("client", "returning@example.org")

    stranger.page.get_by_text("I have a link").click()
    stranger.page.get_by_label("Your link").fill(link)
    stranger.press("Use this link")

    assert stranger.path == "/desk/keys"


def test_a_sign_in_link_works_once(sit: Sit, office: Office):
    link = office.invite("client", "once@example.org")
    first, second = sit(), sit()
    for seat in (first, second):
        seat.page.goto(link)
        seat.press("Sign in")

    assert first.path == "/desk"
    expect(second.page.get_by_role("alert")).to_contain_text("does not work any more")


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "/\\example.org"])
def test_signing_in_never_leads_elsewhere(elsewhere: str, served: Served, office: Office):
    link = office.invite("client", "careful@example.org")
    with httpx.Client(base_url=served.origin) as browser:
        answer = browser.post("/sign-in", data={"link": link, "then": elsewhere})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/desk"


def test_signing_out_ends_the_session(sit: Sit):
    client = sit("client")
    cookies = client.page.context.cookies()
    client.press("Sign out")
    client.page.context.add_cookies(cookies)
    client.open("/desk")

    assert client.path == "/sign-in"


def test_a_form_without_its_token_changes_nothing(sit: Sit, served: Served):
    creator = sit("creator")
    cookie = creator.page.context.cookies()[0]
    with httpx.Client(base_url=served.origin, cookies={cookie["name"]: cookie["value"]}) as forger:
        accept = {"Accept": "text/html"}
        without = forger.post("/studio/new", data={"name": "Forged"}, headers=accept)
        token = creator.page.locator("input[name=csrf]").first.get_attribute("value")
        from_elsewhere = forger.post(
            "/studio/new", data={"name": "Forged", "csrf": token}, headers={**accept, "Origin": "https://example.org"}
        )
        files = {"files": ("a.png", b"", "image/png")}
        upload = forger.post("/studio/styles/sty_x/works", files=files, headers=accept)

    assert (without.status_code, from_elsewhere.status_code) == (403, 403)
    assert "reload it and try again" in without.text
    assert upload.status_code in (403, 404)
    creator.open("/studio")
    assert "Forged" not in creator.text()


def test_nobody_sees_the_pages_of_another(sit: Sit, shop: Shop, rich_client: Callable[..., Seat]):
    creator, client = sit("creator"), rich_client()
    for step in STEPS:
        answer = creator.page.goto(f"{creator.origin}/studio/styles/{shop.style_id}{step}")
        assert answer is not None
        assert answer.status == 404
    works = shop.creator.get(f"/v1/styles/{shop.style_id}/works").json()["items"]
    for path in (f"/studio/works/{works[0]['id']}", f"/v1/works/{works[0]['id']}/thumbnail"):
        assert creator.page.request.get(creator.origin + path).status == 404

    client.open("/studio")

    assert "This page is for another kind of account (creator)" in client.text()
    assert client.page.request.get(f"{client.origin}/office").status == 403


def test_refused_files_say_why_and_the_others_are_kept(sit: Sit, portfolio: list[Path]):
    creator = sit("creator")
    creator.open("/studio/new")
    creator.page.get_by_label("Name").fill("Mixed bag")
    creator.press("Make the style")
    tiny = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(tiny, format="PNG")
    files = [
        {"name": "crab.png", "mimeType": "image/png", "buffer": portfolio[0].read_bytes()},
        {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear client,"},
        {"name": "cut.png", "mimeType": "image/png", "buffer": portfolio[1].read_bytes()[:900]},
    ]
    creator.page.locator("input[type=file]").set_input_files(files)

    said = creator.page.locator("#upload")
    expect(said).to_contain_text("1 of 3 arrived, 2 not taken", timeout=MADE_MS)
    expect(said).to_contain_text("letter.png")
    expect(said).to_contain_text("cut.png")
    expect(creator.page.locator(".work")).to_have_count(1)


def test_a_training_without_rights_is_refused_on_the_page(sit: Sit, portfolio: list[Path]):
    creator = sit("creator")
    creator.open("/studio/new")
    creator.page.get_by_label("Name").fill("Whose is it")
    creator.press("Make the style")
    style = creator.path.removesuffix("/works")
    creator.page.locator("input[type=file]").set_input_files(portfolio[:9])
    expect(creator.page.locator(".work")).to_have_count(9)
    creator.open(f"{style}/training")
    creator.press("Start training")

    expect(creator.page.get_by_role("alert")).to_contain_text("unsure works never train")


def test_an_empty_purse_is_told_the_price_and_cannot_order(sit: Sit, shop: Shop):
    client = sit("client")
    client.open(f"/desk/make?style={shop.style_id}")

    expect(client.page.locator("#price")).to_contain_text("EUR 0.60")
    expect(client.page.get_by_role("button", name="Order")).to_be_disabled()


def test_a_sold_picture_is_judged_in_plain_words(sit: Sit, shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client()
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}&prompt=a+lamp")
    client.press("Order for EUR 0.60")
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=MADE_MS)
    address = page.get_by_role("link", name="Download").get_attribute("href")
    sold = page.request.get(f"{client.origin}{address}").body()
    resaved = io.BytesIO()
    Image.open(io.BytesIO(sold)).save(resaved, format="PNG")

    stranger = sit()
    judged = {name: judge(stranger, content) for name, content in (("sold", sold), ("resaved", resaved.getvalue()))}

    assert "This picture is genuine" in judged["sold"]
    assert "Studio North" not in "".join(judged.values()), "who bought it is not for everybody"
    assert "Studio North" in judge(client, sold)
    assert shop.name in judged["sold"]
    assert "its certificate was removed" in judged["resaved"]


def judge(seat: Seat, content: bytes) -> str:
    seat.open("/verify")
    file = {"name": "picture.png", "mimeType": "image/png", "buffer": content}
    seat.page.locator("input[type=file]").set_input_files(file)
    expect(seat.page.locator("#verdict h2")).to_be_visible()
    return seat.text("#verdict")


def test_a_variation_starts_from_a_bought_picture(shop: Shop, rich_client: Callable[..., Seat]):
    client = rich_client()
    page = client.page
    client.open(f"/desk/make?style={shop.style_id}&prompt=a+chair")
    client.press("Order for EUR 0.60")
    expect(page.get_by_role("link", name="Vary")).to_be_visible(timeout=MADE_MS)
    page.get_by_role("link", name="Vary").click()
    expect(page.get_by_text("A picture is chosen to start from.")).to_be_visible()
    page.get_by_label("What should the picture show?").fill("a red chair")
    client.press("Order for EUR 0.60")

    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=MADE_MS)
    expect(page.get_by_role("heading", name="a red chair")).to_be_visible()


def test_all_styles_go_off_and_on_together(sit: Sit):
    creator = sit("creator")
    creator.open("/studio/new")
    creator.page.get_by_label("Name").fill("One of many")
    creator.press("Make the style")
    creator.open("/studio")
    creator.page.get_by_text("All my styles off").click()
    creator.press("Yes, switch everything off")
    expect(creator.page.get_by_text("All your styles are off.").first).to_be_visible()

    creator.press("Switch back on")

    expect(creator.page.get_by_text("Your styles are on again.")).to_be_visible()


def test_pages_and_their_parts_share_an_address(served: Served):
    with httpx.Client(base_url=served.origin, headers={"Accept": "text/html"}) as browser:
        whole = browser.get("/")
        part = browser.get("/", headers={"HX-Request": "true", "HX-Target": "catalogue"})

    assert whole.text.startswith("<!doctype html>")
    assert part.text.lstrip().startswith('<section id="catalogue"')
    assert "HX-Request" in whole.headers["vary"]
    for directive in ("unsafe-inline", "unsafe-eval", "http:", "https:"):
        assert directive not in whole.headers["content-security-policy"]


def test_a_part_that_cannot_be_shown_says_so_at_the_top(served: Served):
    headers = {"Accept": "*/*", "HX-Request": "true", "HX-Target": "price"}
    with httpx.Client(base_url=served.origin, headers=headers) as browser:
        answer = browser.get("/styles/sty_unknown")
        for_programs = browser.get("/v1/styles/sty_unknown")

    assert (answer.status_code, answer.headers["hx-retarget"]) == (404, "#problems")
    assert for_programs.headers["content-type"] == "application/problem+json"
    said = for_programs.json()["detail"].replace("'", "&#39;")
    assert said in answer.text
