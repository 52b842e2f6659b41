"""Styles, their terms and their switch, as a creator's program uses them."""

from tests.service.conftest import Person, make_style, slug_of


async def test_name_and_summary_make_a_style_with_the_operators_terms(creator: Person):
    answer = await creator.http.post("/v1/styles", json={"name": " Ink ", "summary": "Loose ink drawings"})

    style = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/styles/{style['id']}"
    assert style["name"] == "Ink"
    assert style["switch"]["level"] == "live"
    assert style["tiers"]["personal"]["price"]["currency"] == "EUR"
    assert style["terms_version"] == 1
    assert style["version"] is None


async def test_changing_prices_makes_new_terms_and_leaves_the_rest(creator: Person):
    style_id = await make_style(creator)
    price = {"price": {"amount": 250, "currency": "EUR"}}

    answer = await creator.http.patch(f"/v1/styles/{style_id}", json={"tiers": {"personal": price}})

    style = answer.json()
    assert answer.status_code == 200
    assert style["tiers"]["personal"]["price"] == {"amount": 250, "currency": "EUR"}
    assert list(style["tiers"]) == ["personal"]
    assert style["terms_version"] == 2
    assert style["name"] == "Ink"


async def test_approval_and_rules_can_be_set(creator: Person):
    style_id = await make_style(creator)

    answer = await creator.http.patch(
        f"/v1/styles/{style_id}", json={"approval": "all", "prompt_rules": {"refuse": ["gun"]}, "notice_days": 14}
    )

    style = answer.json()
    assert style["approval"] == "all"
    assert style["prompt_rules"]["refuse"] == ["gun"]
    assert style["prompt_rules"]["own"]
    assert style["notice_days"] == 14


async def test_what_buyers_may_do_is_set_field_by_field(creator: Person):
    style_id = await make_style(creator)
    where = f"/v1/styles/{style_id}"

    first = (await creator.http.patch(where, json={"licence": {"attribution": True, "ceiling": 500}})).json()
    second = (await creator.http.patch(where, json={"licence": {"expiry_days": 365, "ceiling": None}})).json()
    same = (await creator.http.patch(where, json={"licence": {"expiry_days": 365}})).json()

    assert (first["licence"]["attribution"], first["licence"]["ceiling"]) == (True, 500)
    assert "At most 500 copies of each picture, printed or sold." in first["licence"]["words"]
    assert (second["licence"]["attribution"], second["licence"]["ceiling"]) == (True, None)
    assert second["licence"]["expiry_days"] == 365
    assert [one["terms_version"] for one in (first, second, same)] == [2, 3, 3]


async def test_a_tiers_licence_is_set_kept_and_taken_away(creator: Person):
    style_id = await make_style(creator)
    price = {"amount": 2900, "currency": "EUR"}
    offer = {"price": price | {"amount": 90_000}, "units": 40, "months": 3}

    async def with_tier(**given: object) -> object:
        body = {"tiers": {"exclusive": {"price": price} | given}}
        answer = await creator.http.patch(f"/v1/styles/{style_id}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["tiers"]["exclusive"]["licence"]

    assert await with_tier(licence=offer) == offer
    assert await with_tier() == offer
    assert await with_tier(licence=None) is None


async def test_limits_that_allow_nothing_are_refused(creator: Person):
    style_id = await make_style(creator)

    for licence in ({"ceiling": 0}, {"expiry_days": 0}, {"training": None}, {"approval": True}):
        answer = await creator.http.patch(f"/v1/styles/{style_id}", json={"licence": licence})

        assert (answer.status_code, slug_of(answer)) == (422, "invalid_request")
        assert next(iter(licence)) in answer.json()["detail"]


async def test_what_is_wrong_with_a_style_is_named(creator: Person):
    for body, where in (
        ({"name": "", "summary": "x"}, "name"),
        ({"name": "x" * 81, "summary": "x"}, "name"),
        ({"name": "x"}, "summary"),
        ({"name": "x", "summary": "x", "colour": "red"}, "colour"),
        ({"name": "x", "summary": "x", "tiers": {"personal": {"price": {"amount": -1, "currency": "EUR"}}}}, "amount"),
    ):
        answer = await creator.http.post("/v1/styles", json=body)

        assert answer.status_code == 422
        assert slug_of(answer) == "invalid_request"
        assert where in answer.json()["detail"]


async def test_an_unknown_base_is_refused_with_the_known_ones(creator: Person):
    answer = await creator.http.post("/v1/styles", json={"name": "x", "summary": "x", "base": "dall-e"})

    assert slug_of(answer) == "invalid_request"
    assert "tiny" in answer.json()["detail"]


async def test_another_creators_style_reads_as_one_that_does_not_exist(creator: Person, other_creator: Person):
    style_id = await make_style(creator)

    theirs = await other_creator.http.patch(f"/v1/styles/{style_id}", json={"name": "Mine now"})
    nobodys = await other_creator.http.patch("/v1/styles/sty_nothing", json={"name": "Mine now"})

    assert slug_of(theirs) == slug_of(nobodys) == "not_found"
    assert theirs.json()["detail"].replace(style_id, "X") == nobodys.json()["detail"].replace("sty_nothing", "X")


async def test_the_switch_answers_with_what_it_did(creator: Person):
    style_id = await make_style(creator)

    off = await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "off", "reason": "a rest"})
    on = await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "live"})

    assert off.status_code == on.status_code == 200
    assert off.json()["level"] == "off"
    assert {"epoch", "stopped", "voided", "refunded"} <= off.json().keys()
    assert on.json()["epoch"] > off.json()["epoch"]


async def test_one_switch_governs_all_styles_and_one_a_single_client(creator: Person, client: Person):
    style_id = await make_style(creator)

    everything = await creator.http.put("/v1/switch", json={"level": "paused"})
    one = await creator.http.put(f"/v1/styles/{style_id}/clients/{client.account.id}/switch", json={"level": "off"})

    assert everything.json()["level"] == "paused"
    assert one.json()["level"] == "off"
    history = (await creator.http.get("/v1/switch/history")).json()["items"]
    assert [event["level"] for event in history] == ["off", "paused"]


async def test_an_unknown_level_is_refused_with_the_six(creator: Person):
    style_id = await make_style(creator)

    answer = await creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "sideways"})

    assert slug_of(answer) == "invalid_request"
    assert "wind_down" in answer.json()["detail"]


async def test_another_creator_cannot_switch_a_style(creator: Person, other_creator: Person):
    style_id = await make_style(creator)

    answer = await other_creator.http.put(f"/v1/styles/{style_id}/switch", json={"level": "off"})

    assert slug_of(answer) == "not_found"


async def test_a_new_creator_has_earned_nothing_and_gets_a_statement_that_says_so(creator: Person):
    earnings = (await creator.http.get("/v1/earnings")).json()
    statement = await creator.http.get("/v1/statements/2026-03")
    as_csv = await creator.http.get("/v1/statements/2026-03", headers={"Accept": "text/csv"})
    wrong = await creator.http.get("/v1/statements/March")

    assert earnings["payable"] == {"amount": 0, "currency": "EUR"}
    assert statement.json()["lines"] == []
    assert statement.json()["total"] == {"amount": 0, "currency": "EUR"}
    assert as_csv.text.startswith("at,kind,style")
    assert slug_of(wrong) == "invalid_request"
