"""Somebody outside claims a work: found, locked at once, given back on appeal, gone at the end, and trained without."""

import asyncio
import dataclasses
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from PIL import Image, ImageOps

from licensing.money import Money
from service.audit import list_entries
from service.data_use import Use, read_file
from service.errors import FileRefused
from service.heartbeats import this_process
from service.resources import Gateway
from service.withdrawing import close_claims
from tests.service.conftest import (
    Person,
    Place,
    browser,
    make_style,
    sign_in,
    slug_of,
    upload,
    wait_for,
    with_works,
)
from tests.service.test_cases import as_file, picture

CONTACT = "Jo Painter, jo@painter.example"
WORDS = "I painted this in 2019; it is on my page."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sold:
    """A published style of a creator's, one work of which is the picture `number`; and a second that is not."""

    creator: Person
    style_id: str
    number: int
    work: dict[str, Any]
    version: str

    async def own(self, path: str = "") -> dict[str, Any]:
        return dict((await self.creator.http.get(f"/v1/works/{self.work['id']}{path}")).json())

    async def works(self) -> list[dict[str, Any]]:
        return list((await self.creator.http.get(f"/v1/styles/{self.style_id}/works")).json()["items"])

    async def state_of(self, version_id: str) -> str:
        return str((await self.creator.http.get(f"/v1/versions/{version_id}")).json()["state"])


@pytest.fixture
async def sold(creator: Person, request: pytest.FixtureRequest) -> Sold:
    number = 5000 + sum(map(ord, request.node.name))
    style_id = await with_works(creator, count=8)
    added = await upload(creator, style_id, ("claimed.png", as_file(picture(number))), rights="mine")
    version = await train(creator, style_id)
    published = await creator.http.post(f"/v1/versions/{version}/publish")
    assert published.status_code == 200, published.text
    work = added.json()["items"][0]["work"]
    return Sold(creator=creator, style_id=style_id, number=number, work=work, version=version)


async def train(creator: Person, style_id: str) -> str:
    made = await creator.http.post(f"/v1/styles/{style_id}/trainings", json={"seed": 0})
    assert made.status_code == 201, made.text
    return str((await wait_for(creator, made.json()["id"], "passed"))["version"])


async def claim(operator: Person, sold: Sold) -> str:
    body = {"work": sold.work["id"], "style": sold.style_id, "words": WORDS, "contact": CONTACT}
    made = await operator.http.post("/v1/claims", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def act(person: Person, claim_id: str, verb: str, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(f"/v1/claims/{claim_id}/{verb}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


async def upheld(operator: Person, sold: Sold, *, paid_by: str = "operator") -> str:
    claim_id = await claim(operator, sold)
    await act(sold.creator, claim_id, "notes", words="I drew it.")
    await act(operator, claim_id, "decide", outcome="upheld", reason="It is on their page.", paid_by=paid_by)
    return claim_id


def later(web: Gateway, **ahead: float) -> Gateway:
    return dataclasses.replace(web, clock=lambda: web.clock() + timedelta(**ahead))


async def is_for_sale(place: Place, style_id: str) -> bool:
    return (await place.stranger.get(f"/v1/styles/{style_id}")).status_code == 200


async def matches(operator: Person, content: bytes) -> list[str]:
    answer = await operator.http.post("/v1/claims/matches", files={"picture": ("theirs.jpg", content, "image/jpeg")})
    assert answer.status_code == 200, answer.text
    return [one["work"] for one in answer.json()["items"]]


async def test_the_operator_finds_a_work_by_a_picture_that_was_saved_again_or_mirrored(sold: Sold, operator: Person):
    smaller = picture(sold.number).resize((170, 170))

    saved_again = await matches(operator, as_file(smaller, format="JPEG", quality=70))
    mirrored = await matches(operator, as_file(ImageOps.mirror(picture(sold.number))))
    another = await matches(operator, as_file(picture(sold.number + 1)))
    nothing = await operator.http.post("/v1/claims/matches", files={"picture": ("a.png", b"none", "image/png")})

    assert saved_again == mirrored == [sold.work["id"]]
    assert another == []
    assert slug_of(nothing) == "image_refused"


async def test_upheld_it_locks_the_work_and_takes_what_learnt_from_it_off_sale_at_once(
    sold: Sold, operator: Person, client: Person, place: Place
):
    assert await is_for_sale(place, sold.style_id)
    claim_id = await upheld(operator, sold)

    told = (await sold.creator.http.get(f"/v1/claims/{claim_id}")).json()
    assert (told["state"], told["outcome"], told["locked"], told["paid_by"]) == ("decided", "upheld", True, "operator")
    assert [(one["id"], one["state"]) for one in told["versions"]] == [(sold.version, "retired")]
    assert [one["job"].startswith("trn_") for one in told["trained_with"]] == [True]
    assert not await is_for_sale(place, sold.style_id)
    order = {"style": sold.style_id, "prompt": "a boat", "tier": "personal"}
    ordered = await client.http.post("/v1/generations", json=order, headers={"Idempotency-Key": claim_id})
    assert slug_of(ordered) == "not_found"
    for path in ("file", "thumbnail"):
        assert slug_of(await sold.creator.http.get(f"/v1/works/{sold.work['id']}/{path}")) == "conflict"
    patched = await sold.creator.http.patch(f"/v1/works/{sold.work['id']}", json={"rights": "mine", "include": True})
    assert slug_of(patched) == "conflict"
    again = await sold.creator.http.post(f"/v1/versions/{sold.version}/publish")
    assert slug_of(again) == "rights_missing"
    job = Use(purpose="review", by=this_process(), job="look_x", style_id=sold.style_id)
    with pytest.raises(FileRefused):
        await read_file(place.gateway, job, f"works/{sold.style_id}/{sold.work['id']}.png")


async def test_its_creator_trains_without_it_and_the_style_is_back(sold: Sold, operator: Person, place: Place):
    claim_id = await upheld(operator, sold)

    made = await act(sold.creator, claim_id, "retrain")
    training = await wait_for(sold.creator, made["id"], "passed")
    published = await sold.creator.http.post(f"/v1/versions/{training['version']}/publish")

    assert published.status_code == 200, published.text
    assert training["works"] == 8, "all but the one"
    assert await is_for_sale(place, sold.style_id)
    told = (await sold.creator.http.get(f"/v1/claims/{claim_id}")).json()
    assert told["retrainings"] == [{"style": sold.style_id, "training": made["id"]}]
    assert [one["id"] for one in told["versions"]] == [sold.version], "the new one did not learn from it"


@pytest.fixture
def priced(place: Place) -> Iterator[None]:
    """A minute of a training costs 30 cents while the test runs."""
    free = place.gateway
    prices = dataclasses.replace(free.prices, training_minute=Money(30, "EUR"))
    place.app.state.gateway = dataclasses.replace(free, prices=prices)
    yield
    place.app.state.gateway = free


@pytest.mark.parametrize("paid_by", ["creator", "operator"])
async def test_who_pays_the_training_is_decided_with_the_claim(
    sold: Sold, operator: Person, priced: None, paid_by: str
):
    claim_id = await upheld(operator, sold, paid_by=paid_by)

    first = await retrained(sold, claim_id)
    second = await retrained(sold, claim_id)

    assert (first["price"]["amount"] > 0) is (paid_by == "creator")
    assert second["price"]["amount"] > 0, "the operator pays one that passes, and no more"


async def retrained(sold: Sold, claim_id: str) -> dict[str, Any]:
    for _ in range(100):
        made = await sold.creator.http.post(f"/v1/claims/{claim_id}/retrain", json={"style": sold.style_id})
        if made.status_code == 201:
            return await wait_for(sold.creator, made.json()["id"], "passed")
        assert "being measured" in made.text, made.text
        await asyncio.sleep(0.2)
    raise AssertionError(made.text)


async def test_rejected_on_appeal_everything_is_as_before(sold: Sold, operator: Person, place: Place):
    before, versions = await sold.works(), (await sold.creator.http.get(f"/v1/styles/{sold.style_id}/versions")).json()
    claim_id = await upheld(operator, sold)
    await act(sold.creator, claim_id, "appeal", words="Here are my sketches of 2018.")
    assert not await is_for_sale(place, sold.style_id), "until it is decided again"

    ended = await act(operator, claim_id, "decide", outcome="rejected", reason="The sketches are older.")

    assert (ended["state"], ended["outcome"], ended["locked"], ended["paid_by"]) == ("closed", "rejected", False, None)
    plain = [{name: value for name, value in work.items() if name != "updated_at"} for work in before]
    after = [{name: value for name, value in work.items() if name != "updated_at"} for work in await sold.works()]
    assert after == plain
    assert (await sold.creator.http.get(f"/v1/styles/{sold.style_id}/versions")).json() == versions
    assert await is_for_sale(place, sold.style_id)
    assert (await sold.creator.http.get(f"/v1/works/{sold.work['id']}/file")).content == as_file(picture(sold.number))
    await close_claims(later(place.gateway, days=40))
    assert (await sold.creator.http.get(f"/v1/works/{sold.work['id']}/file")).status_code == 200
    assert slug_of(await sold.creator.http.post(f"/v1/claims/{claim_id}/retrain", json={})) == "conflict"


async def test_a_version_that_was_published_meanwhile_stays_when_the_claim_is_rejected(
    sold: Sold, operator: Person, place: Place
):
    claim_id = await upheld(operator, sold)
    made = await act(sold.creator, claim_id, "retrain")
    newer = (await wait_for(sold.creator, made["id"], "passed"))["version"]
    await sold.creator.http.post(f"/v1/versions/{newer}/publish")
    await act(sold.creator, claim_id, "appeal", words="It is mine.")

    await act(operator, claim_id, "decide", outcome="rejected", reason="It is theirs.")

    assert (await place.stranger.get(f"/v1/styles/{sold.style_id}")).json()["version"] == newer
    assert await sold.state_of(sold.version) == "published", "it may be ordered by its name again"


async def test_for_good_its_file_is_gone_and_nobody_brings_it_again_but_by_an_appeal(
    sold: Sold, operator: Person, other_creator: Person, place: Place
):
    claim_id = await upheld(operator, sold)
    await close_claims(later(place.gateway, days=2))
    assert (await sold.own("/thumbnail"))["status"] == 409, "there is still time to appeal"

    await close_claims(later(place.gateway, days=4))

    told = (await sold.creator.http.get(f"/v1/claims/{claim_id}")).json()
    assert (told["state"], bool(told["removed_at"])) == ("closed", True)
    assert sold.work["id"] not in [work["id"] for work in await sold.works()]
    assert not [key for key in place.gateway.storage.list_keys("works/") if sold.work["id"] in key]
    uses = (await sold.creator.http.get("/v1/data-use")).json()["items"]
    assert uses[0]["purpose"] == "deletion"
    files = as_file(picture(sold.number)), as_file(picture(sold.number).resize((190, 190)), format="JPEG", quality=80)
    styles = [sold.style_id, await make_style(sold.creator), await make_style(other_creator)]
    for person, style_id in zip((sold.creator, sold.creator, other_creator), styles, strict=True):
        for content in files:
            refused = await upload(person, style_id, ("again.png", content), rights="mine")
            assert slug_of(refused) == "image_refused"
            assert "somebody else claims it" in refused.json()["detail"]

    withheld = refused.json()["items"][0]["problem"]["sha256"]
    asked = await other_creator.http.post(
        f"/v1/styles/{styles[2]}/withheld", json={"sha256": withheld, "reason": "I am Jo Painter."}
    )
    assert asked.json()["state"] == "open"
    still = await upload(other_creator, styles[2], ("again.jpg", files[1]), rights="mine")
    await decide_case(operator, place, asked.json()["case"])
    taken = await upload(other_creator, styles[2], ("again.jpg", files[1]), rights="mine")
    elsewhere = await upload(sold.creator, styles[1], ("again.jpg", files[1]), rights="mine")

    assert slug_of(still) == "image_refused"
    assert taken.status_code == 201, taken.text
    assert slug_of(elsewhere) == "image_refused", "it was allowed to one, not to all"


async def decide_case(operator: Person, place: Place, case_id: str) -> None:
    session = await sign_in(place, operator.account)
    form = {"csrf": session.csrf, "outcome": "allowed", "sentence": "They are the painter."}
    seat = browser(place, session)
    page = await seat.get(f"/office/cases/{case_id}")
    assert "I am Jo Painter." in page.text
    assert (await seat.post(f"/office/cases/{case_id}", data=form)).status_code == 303


async def test_a_copy_in_another_style_is_locked_as_well(sold: Sold, operator: Person, place: Place):
    other = await with_works(sold.creator, count=8)
    copied = await upload(sold.creator, other, ("copy.png", as_file(picture(sold.number))), rights="licensed")
    version = await train(sold.creator, other)
    await sold.creator.http.post(f"/v1/versions/{version}/publish")

    claim_id = await upheld(operator, sold)

    told = (await sold.creator.http.get(f"/v1/claims/{claim_id}")).json()
    assert sorted(told["styles"]) == sorted([sold.style_id, other])
    assert sorted(one["id"] for one in told["versions"]) == sorted([sold.version, version])
    copy_id = copied.json()["items"][0]["work"]["id"]
    assert slug_of(await sold.creator.http.get(f"/v1/works/{copy_id}/file")) == "conflict"
    assert not await is_for_sale(place, other)
    made = await act(sold.creator, claim_id, "retrain", style=other)
    assert made["style"] == other


async def test_a_training_that_was_given_the_work_stops(sold: Sold, operator: Person):
    made = await sold.creator.http.post(f"/v1/styles/{sold.style_id}/trainings", json={"seed": 4})
    training_id = made.json()["id"]
    await wait_for(sold.creator, training_id, "training")

    await upheld(operator, sold)

    assert (await wait_for(sold.creator, training_id, "canceled"))["version"] is None


async def test_the_clock_is_kept_and_nobody_decides_before_the_creator_had_time(sold: Sold, operator: Person):
    claim_id = await claim(operator, sold)
    twice = await operator.http.post(
        "/v1/claims", json={"work": sold.work["id"], "words": "Again.", "contact": CONTACT}
    )
    early = {"outcome": "upheld", "reason": "Clear.", "paid_by": "creator"}
    too_early = await operator.http.post(f"/v1/claims/{claim_id}/decide", json=early)
    answered = await act(sold.creator, claim_id, "notes", words="I drew it.")
    nobody_pays = await operator.http.post(f"/v1/claims/{claim_id}/decide", json=early | {"paid_by": None})
    wrong_style = await operator.http.post(
        "/v1/claims", json={"work": sold.work["id"], "style": "sty_none", "words": "Mine.", "contact": CONTACT}
    )

    assert slug_of(twice) == "conflict"
    assert slug_of(too_early) == "conflict"
    assert answered["waits"]["waits_for"] == "decision"
    assert slug_of(nobody_pays) == "invalid_request"
    assert slug_of(wrong_style) == "not_found"
    ended = await act(operator, claim_id, "withdraw", words="They were wrong.")
    assert (ended["state"], ended["outcome"]) == ("closed", "withdrawn")
    assert (await sold.creator.http.get(f"/v1/works/{sold.work['id']}/file")).status_code == 200


async def test_rejected_at_first_nothing_changes_and_the_operator_may_appeal_for_who_claims(
    sold: Sold, operator: Person, place: Place
):
    claim_id = await claim(operator, sold)
    await act(sold.creator, claim_id, "notes", words="I drew it.")
    await act(operator, claim_id, "decide", outcome="rejected", reason="No proof.")
    assert await is_for_sale(place, sold.style_id)

    await act(operator, claim_id, "appeal", words="They send their sketches.")
    ended = await act(operator, claim_id, "decide", outcome="upheld", reason="They prove it.", paid_by="creator")

    assert (ended["state"], ended["locked"]) == ("closed", True)
    assert not await is_for_sale(place, sold.style_id)
    await close_claims(place.gateway)
    assert slug_of(await sold.creator.http.get(f"/v1/works/{sold.work['id']}/file")) == "not_found"


async def test_its_creator_never_learns_how_to_reach_who_claims_and_others_see_nothing(
    sold: Sold, operator: Person, other_creator: Person, client: Person
):
    claim_id = await upheld(operator, sold)

    own = await sold.creator.http.get(f"/v1/claims/{claim_id}")
    office = (await operator.http.get(f"/v1/claims/{claim_id}")).json()

    assert WORDS in own.text
    assert "jo@painter" not in own.text + (await sold.creator.http.get("/v1/claims")).text
    assert own.json()["contact"] is None
    assert (office["contact"], office["creator"]) == (CONTACT, sold.creator.account.id)
    assert slug_of(await other_creator.http.get(f"/v1/claims/{claim_id}")) == "not_found"
    assert (await other_creator.http.get("/v1/claims")).json()["items"] == []
    assert slug_of(await client.http.get(f"/v1/claims/{claim_id}")) == "forbidden"
    others = [work for work in await sold.works() if work["id"] != sold.work["id"]]
    assert not any(work["id"] in str(office) or work["sha256"] in str(office) for work in others)


async def test_the_creators_record_tells_it_all(sold: Sold, operator: Person, place: Place):
    claim_id = await upheld(operator, sold)
    await act(sold.creator, claim_id, "appeal", words="My sketches.")
    await act(operator, claim_id, "decide", outcome="rejected", reason="Older.")

    async with place.gateway.house() as conn:
        entries = await list_entries(conn, sold.creator.account.id, style_id=sold.style_id, limit=100)

    kinds = [entry.kind for entry in entries if entry.kind.startswith(("claim", "version_"))]
    assert sorted(kinds) == sorted(
        [
            *("claim_opened", "claim_said", "claim_decided", "claim_appealed", "claim_decided", "claim_closed"),
            *("version_published", "version_unpublished", "version_restored"),
        ]
    )
    sentences = " ".join(entry.sentence for entry in entries)
    assert f"({claim_id})" in sentences
    assert "rejected on appeal" in sentences


async def test_the_operators_look_at_the_work_is_a_line_of_its_creators_ledger(
    sold: Sold, operator: Person, place: Place
):
    claim_id = await upheld(operator, sold)
    seat: httpx.AsyncClient = browser(place, await sign_in(place, operator.account))

    shown = await seat.get(f"/office/claims/{claim_id}/picture")

    assert Image.open(io.BytesIO(shown.content)).format == "JPEG"
    uses = (await sold.creator.http.get("/v1/data-use")).json()["items"]
    assert (uses[0]["purpose"], uses[0]["job"]) == ("case", claim_id)
