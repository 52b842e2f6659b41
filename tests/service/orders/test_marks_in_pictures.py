"""A place with an invisible watermark: pictures carry it under their seal, and are found by it without."""

import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from licensing.watermarks import WATERMARKS
from tests.licensing.drawings import encoded, under_glare
from tests.licensing.plain_watermark import PlainMark
from tests.service.conftest import browser, draw, sign_in
from tests.service.market import Market, open_market
from tests.service.orders.test_verdicts import bought, told


@pytest.fixture(scope="module")
async def marking_market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """A market whose pictures get an invisible mark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WATERMARKS, "plain", "tests.licensing.plain_watermark:PlainMark")
        async with open_market(database_url, tmp_path_factory.mktemp("marking"), watermark="plain") as opened:
            yield opened


async def test_a_mark_is_drawn_before_the_seal_and_names_the_picture_where_the_seal_is_gone(marking_market: Market):
    market = marking_market
    made = await bought(market, await market.client())
    changed = encoded(under_glare(Image.open(io.BytesIO(made["picture"]))), "PNG")
    operator = await market.person("operator")
    office = browser(market, await sign_in(market, operator.account))

    assert PlainMark().detect(made["picture"]) is not None
    assert (await told(market.stranger, made["picture"]))["verdict"] == "valid"
    verdict = await told(market.stranger, changed)
    assert (verdict["verdict"], verdict["output"]) == ("marked_but_stripped", made["id"])
    assert "invisible mark" in verdict["sentence"]
    assert (await told(market.stranger, draw(size=64)))["verdict"] == "unknown"
    assert "plain (licence MIT) marks every picture that is sold." in (await office.get("/office")).text
