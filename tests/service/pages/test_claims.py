"""A claim to a work on its pages: found by a picture, decided in the office, answered and mended in the studio."""

import io
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from PIL import Image

from tests.service.conftest import (
    SCRIPTED_PROBER,
    SCRIPTED_REVIEWER,
    SCRIPTED_TRAINER,
    TINY_RECIPE,
    Person,
    make_style,
    upload,
    wait_for,
    with_works,
)
from tests.service.market import Market, open_market
from tests.service.pages.conftest import Seat, Sit, words_of
from tests.training.portfolio import drawing

CONTACT = "Jo Painter, jo@painter.example"


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """One that trains by a script."""
    folder = tmp_path_factory.mktemp("market")
    recipes = folder / "configs" / "recipes"
    recipes.mkdir(parents=True)
    (recipes / "tiny-style.toml").write_text(TINY_RECIPE)
    scripts = {"trainer": SCRIPTED_TRAINER, "reviewer": SCRIPTED_REVIEWER, "prober": SCRIPTED_PROBER}
    async with open_market(database_url, folder, device="cpu", forms_per_minute=10_000, **scripts) as opened:
        yield opened
        opened.curtain.wait_at(None)


def painting() -> Image.Image:
    return drawing(8181, 200)


def as_file(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, format=form)
    return file.getvalue()


async def on_sale(creator: Person) -> tuple[str, str]:
    """A published style with the painting in its portfolio, and the painting's id."""
    style_id = await with_works(creator, count=8)
    added = await upload(creator, style_id, ("sea.png", as_file(painting())), rights="mine")
    made = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": 0})
    training = await wait_for(creator, made.json()["id"], "passed")
    assert (await creator.http.post(f"/v1/versions/{training['version']}/publish")).status_code == 200
    return style_id, added.json()["items"][0]["work"]["id"]


async def find(office: Seat, image: Image.Image) -> httpx.Response:
    files = {"picture": ("theirs.jpg", as_file(image, "JPEG"), "image/jpeg")}
    headers = {"Accept": "text/html"}
    return await office.http.post("/office/claims/matches", data={"csrf": office.csrf}, files=files, headers=headers)


async def test_a_claim_goes_from_a_picture_to_a_style_without_it(market: Market, sit: Sit):
    creator = market.creator
    office, studio = await sit(await market.person("operator")), await sit(creator)
    style_id, work_id = await on_sale(creator)
    assert "None. If somebody says" in await studio.read("/studio/claims")

    found = words_of((await find(office, painting().resize((180, 180)))).text)
    nothing = await find(office, drawing(8182, 200))
    claim = {"work": work_id, "style": style_id, "words": "I painted it in 2019.", "contact": CONTACT}
    opened = await office.send("/office/claims", **claim)
    path = re.sub(r"\?.*", "", opened.headers["location"])
    claim_id = path.rsplit("/", 1)[-1]

    assert work_id in found
    assert "No work looks like it." in words_of(nothing.text)
    assert "Somebody claims 1 work of yours." in await studio.read("/studio")
    told = await studio.read(f"/studio/claims/{claim_id}")
    assert "I painted it in 2019." in told
    assert "sea.png" in told
    assert CONTACT not in told
    assert "jo@painter" in await office.read(path)
    assert (await office.http.get(f"{path}/picture")).headers["content-type"] == "image/jpeg"
    early = await office.send(f"{path}/decide", outcome="upheld", paid_by="operator", reason="Clear.")
    assert (early.status_code, "may still answer" in early.text) == (409, True)
    await studio.send(f"/studio/claims/{claim_id}/notes", words="I drew it.")
    decided = await office.send(f"{path}/decide", outcome="upheld", paid_by="operator", reason="It is on their page.")
    assert decided.headers["location"] == f"{path}?done=decided"

    locked = await studio.read(f"/studio/claims/{claim_id}")
    assert "Ownhand pays for it: it costs you nothing until one has passed." in locked
    assert "version 1 Retired" in locked
    assert "appeal until" in locked
    works = await studio.read(f"/studio/styles/{style_id}/works")
    assert "Locked. Somebody claims this work, and that was upheld." in works
    assert f"/v1/works/{work_id}/thumbnail" not in (await studio.http.get(f"/studio/styles/{style_id}/works")).text
    pressed = await studio.send(f"/studio/claims/{claim_id}/retrain", style=style_id)
    assert pressed.headers["location"] == f"/studio/styles/{style_id}/training"
    training = (await creator.http.get(f"/v1/styles/{style_id}/trainings")).json()["items"][0]
    version = (await wait_for(creator, training["id"], "passed"))["version"]
    assert (await market.stranger.get(f"/styles/{style_id}")).status_code == 404
    await studio.send(f"/studio/styles/{style_id}/versions/{version}")
    assert (await market.stranger.get(f"/styles/{style_id}")).status_code == 200


async def test_a_withheld_picture_is_asked_for_on_the_page_of_works(market: Market, sit: Sit):
    creator = await market.person("creator")
    office, studio = await sit(await market.person("operator")), await sit(creator)
    style_id = await make_style(creator)
    content = as_file(painting())
    form = {"csrf": studio.csrf, "rights": "mine"}
    headers = {"Accept": "text/html"}

    refused = await studio.http.post(
        f"/studio/styles/{style_id}/works", data=form, files={"files": ("sea.png", content)}, headers=headers
    )
    digest = re.search(r'name="sha256" value="(\w+)"', refused.text)
    assert digest, words_of(refused.text)
    asked = await studio.send(f"/studio/styles/{style_id}/withheld", sha256=digest[1], reason="I am Jo Painter.")

    assert refused.status_code == 422
    assert "somebody else claims it" in words_of(refused.text)
    assert "A person is asked." in words_of((await studio.http.get(asked.headers["location"])).text)
    assert "A picture that a claim keeps out" in await office.read("/office")
