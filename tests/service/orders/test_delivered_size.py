"""Paid pictures are enlarged where the base can, drafts are not; what is said of sizes is what is delivered."""

from collections.abc import AsyncIterator

import pytest

from inference.catalog import base_spec
from service.delivery import delivered_size, full_size
from tests.service.market import Market, open_market, size_of


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """Its base draws 32 pixels and enlarges them to 128."""
    async with open_market(database_url, tmp_path_factory.mktemp("market"), enlarger=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("tier", "asked", "drawn", "delivered"),
    [
        ("personal", {}, 32, (128, 128)),
        ("commercial", {"size": [256, 64]}, 64, (256, 64)),
        ("draft", {}, 32, (32, 32)),
        ("draft", {"size": [256, 64]}, 64, (64, 16)),
    ],
)
async def test_a_paid_picture_is_enlarged_and_a_draft_is_as_it_was_drawn(market: Market, tier, asked, drawn, delivered):
    client = await market.client()

    generation = (await market.order(client, tier=tier, **asked)).json()

    (output,) = generation["outputs"]
    request = market.curtain.requests[-1]
    picture = (await client.http.get(f"/v1/outputs/{output['id']}")).content
    certificate = (await client.http.get(f"/v1/outputs/{output['id']}/certificate")).json()
    assert (request.enlarge, request.width) == (tier != "draft", drawn * (1 if tier == "draft" else 4))
    assert size_of(picture) == (output["width"], output["height"]) == delivered
    assert certificate["document"]["size"] == list(delivered)


async def test_a_draft_shows_the_picture_that_the_same_seed_buys(market: Market):
    client = await market.client()

    await market.order(client, tier="draft", seed=11)
    await market.order(client, tier="personal", seed=11)

    draft, bought = market.curtain.requests[-2:]
    assert (draft.seed, draft.prompt) == (bought.seed, bought.prompt)
    assert (draft.width, draft.enlarge, bought.width, bought.enlarge) == (32, False, 128, True)


async def test_sizes_are_said_where_one_buys(market: Market):
    said = {"draft": [32, 32], "personal": [128, 128]}

    public = (await market.stranger.get(f"/v1/styles/{market.style_id}")).json()["tiers"]
    own = (await market.creator.http.get(f"/v1/styles/{market.style_id}")).json()["tiers"]
    page = (await market.stranger.get(f"/styles/{market.style_id}")).text

    for tier, size in said.items():
        assert public[tier]["size"] == own[tier]["size"] == size
        assert f"{size[0]} × {size[1]} pixels" in page


async def test_a_size_is_refused_in_the_pixels_that_would_be_delivered(market: Market):
    client = await market.client()

    answers = [(await market.order(client, tier=tier, size=[100, 128])).json() for tier in ("draft", "personal")]

    assert all("Width 100 is not a multiple of 32; choose 96" in answer["detail"] for answer in answers)


async def test_a_test_picture_is_as_large_as_a_real_one(market: Market):
    client = await market.client(cents=0, kind="test")

    sizes = {}
    for tier in ("draft", "personal"):
        (output,) = (await market.order(client, tier=tier)).json()["outputs"]
        sizes[tier] = (output["width"], output["height"])

    assert sizes == {"draft": (32, 32), "personal": (128, 128)}


def test_without_an_enlarger_a_draft_has_half_the_edges(configs):
    spec = base_spec("tiny", folder=configs / "bases")

    assert full_size(spec, None) == delivered_size(spec, "personal") == (32, 32)
    assert delivered_size(spec, "draft") == (16, 16)
    assert delivered_size(spec, "draft", (64, 48)) == (32, 24)
