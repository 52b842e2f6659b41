"""What of a style's pictures who may see: the public those that the model made, works nobody but their creator."""

import io

from PIL import Image

from tests.service.conftest import Person, Place, browser, sign_in, slug_of, with_works
from tests.service.scripted_trainer import BLUE, RED
from tests.service.test_trainings import start, wait_for

HTML = {"accept": "text/html"}


async def on_sale(creator: Person) -> tuple[str, str]:
    """A published style and its version."""
    style_id = await with_works(creator)
    training = await wait_for(creator, await start(creator, style_id), "passed")
    answer = await creator.http.post(f"/v1/versions/{training['version']}/publish")
    assert answer.status_code == 200, answer.text
    return style_id, str(training["version"])


def colours(png: bytes) -> set[tuple[int, int, int]]:
    with Image.open(io.BytesIO(png)) as image:
        found = image.convert("RGB").getcolors(1000)
    assert found is not None
    return {colour for _, colour in found if isinstance(colour, tuple)}


async def test_the_public_sees_pictures_drawn_with_the_style_and_nothing_else(creator: Person, place: Place):
    style_id, _ = await on_sale(creator)

    shown = (await place.stranger.get(f"/v1/styles/{style_id}")).json()["examples"]
    pictures = [await place.stranger.get(url) for url in shown]

    assert len(pictures) == 2
    for picture in pictures:
        assert picture.headers["content-type"] == "image/png"
        assert colours(picture.content) == {BLUE}
    past_the_last = await place.stranger.get(f"/v1/styles/{style_id}/examples/3")
    assert slug_of(past_the_last) == "not_found"


async def test_the_page_of_a_style_shows_the_same_pictures(creator: Person, place: Place):
    style_id, _ = await on_sale(creator)
    shown = (await place.stranger.get(f"/v1/styles/{style_id}")).json()["examples"]

    page = (await place.stranger.get(f"/styles/{style_id}", headers=HTML)).text

    assert page.count("/examples/") == 2
    assert all(url in page for url in shown)


async def test_the_sheet_with_the_works_is_its_creators_alone(
    creator: Person, other_creator: Person, client: Person, place: Place
):
    style_id, version_id = await on_sale(creator)
    sheet, old = f"/v1/versions/{version_id}/sheet", f"/v1/styles/{style_id}/example"
    picture = f"/studio/versions/{version_id}/sheet/1/work"

    own = await creator.http.get(sheet)
    others = [await person.get(sheet) for person in (other_creator.http, client.http, place.stranger)]
    seen = await browser(place, await sign_in(place, creator.account)).get(picture)
    peeked = await browser(place, await sign_in(place, other_creator.account)).get(picture)

    assert RED in colours(own.content)
    assert [answer.status_code for answer in others] == [404, 403, 401]
    assert colours(seen.content) == {RED}
    assert slug_of(peeked) == "not_found"
    assert slug_of(await place.stranger.get(old)) == "not_found"
