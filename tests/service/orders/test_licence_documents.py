"""The terms of a style and of a sold picture: in words, for programs, and as they were at the sale."""

import json
from typing import Any

from tests.service.conftest import browser, make_style, sign_in
from tests.service.market import Market, publish_style


async def test_the_present_licence_is_linked_from_the_styles_page(market: Market):
    page = await market.stranger.get(f"/styles/{market.style_id}")
    policies = await market.stranger.get(f"/v1/styles/{market.style_id}/licence")
    rsl = await market.stranger.get(f"/v1/styles/{market.style_id}/licence.xml")

    where = f"/v1/styles/{market.style_id}/licence.xml"
    assert f'<link rel="license" type="application/rsl+xml" href="{where}">' in page.text
    assert page.headers["link"] == f'<{where}>; rel="license"; type="application/rsl+xml"'
    assert policies.headers["content-type"] == "application/ld+json"
    assert policies.headers["access-control-allow-origin"] == "*"
    assert rsl.headers["content-type"].startswith("application/rsl+xml")
    assert f'<content url="http://127.0.0.1:8000/styles/{market.style_id}">' in rsl.text
    assert all(offer["own:termsVersion"] == 1 for offer in policies.json()["@graph"])


async def test_what_is_not_on_sale_has_no_public_licence(market: Market):
    draft = await make_style(market.creator, base="tiny")

    for path in ("licence", "licence.xml", "licence/1"):
        answer = await market.stranger.get(f"/v1/styles/{draft}/{path}")
        missing = await market.stranger.get(f"/v1/styles/sty_none/{path}")
        assert (answer.status_code, missing.status_code) == (404, 404)
    assert (await market.stranger.get(f"/v1/styles/{market.style_id}/licence/99")).status_code == 404


async def test_what_was_sold_keeps_the_version_it_was_sold_under(market: Market):
    style = await publish_style(market.gateway, market.creator, market.adapter)
    where = f"/v1/styles/{style}"
    await market.creator.http.patch(where, json={"licence": {"expiry_days": 30, "ceiling": 9, "attribution": True}})
    client = await market.client()
    generation = (await market.order(client, style=style)).json()
    output = generation["outputs"][0]["id"]
    await market.creator.http.patch(where, json={"licence": {"ceiling": None, "expiry_days": None}})
    await market.switch("destroyed", style)

    paper = (await client.http.get(f"/v1/outputs/{output}/certificate")).json()["document"]
    policies = (await market.stranger.get(f"{where}/licence/{paper['terms_version']}")).json()

    assert (paper["terms_version"], paper["licence"]["ceiling"], paper["licence"]["expiry_days"]) == (2, 9, 30)
    assert paper["expires_at"] > paper["issued_at"]
    assert (paper["ownership_terms"], generation["ownership_terms"]) == (1, 1)
    offer = next(one for one in policies["@graph"] if one["uid"].endswith("#personal"))
    assert "P30D" in json.dumps(offer)
    assert (await market.stranger.get(f"{where}/licence")).status_code == 410
    page = await browser(market, await sign_in(market, client.account)).get(f"/desk/outputs/{output}")
    for sentence in paper["licence"]["words"]:
        assert sentence in page.text
    assert "Right to use" in page.text


async def test_a_quote_says_what_the_pictures_could_be_used_for(market: Market):
    client = await market.client()
    body: dict[str, Any] = {"style": market.style_id, "prompt": "a tree", "tier": "commercial"}

    quote = (await client.http.post("/v1/quotes", json=body)).json()
    shown = (await market.stranger.get(f"/v1/styles/{market.style_id}")).json()
    page = await browser(market, await sign_in(market, client.account)).get(f"/desk/make?style={market.style_id}")

    assert quote["use"] == shown["tiers"]["commercial"]["use"]
    assert quote["licence"] == shown["licence"]
    assert (quote["terms_version"], shown["share_bps"]) == (1, 8500)
    for sentence in quote["licence"]["words"]:
        assert sentence in page.text
