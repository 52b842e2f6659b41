"""Money's pages as a place is shipped: no seller is named and no tax is charged."""

from tests.service.conftest import Person, Place, browser, make_style, sign_in
from tests.service.pages.conftest import words_of


async def read(place: Place, person: Person, path: str) -> str:
    answer = await browser(place, await sign_in(place, person.account)).get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return words_of(answer.text)


async def test_the_operator_is_told_that_no_invoice_can_be_issued(place: Place, operator: Person):
    front, money = [await read(place, operator, path) for path in ("/office", "/office/money")]

    assert "No invoice can be issued: name yourself in configs/seller.toml ." in front
    assert "No invoice can be issued. Name yourself in configs/seller.toml" in money
    for nothing in ("Nothing is open.", "They are issued at the beginning of each month", "Coupons None yet."):
        assert nothing in money


async def test_nothing_is_said_of_tax_where_none_is_charged(place: Place, client: Person, creator: Person):
    style_id = await make_style(creator)

    money = await read(place, client, "/desk/money")
    buyer = await read(place, client, "/desk/money/buyer")
    offer = await read(place, creator, f"/studio/styles/{style_id}/offer")

    assert "No VAT is charged." in money
    assert "EUR 49.00 a month 100 units" in money
    assert "before tax" not in money + offer
    assert "None. No VAT is charged." in buyer


async def test_a_studio_without_a_sale_has_an_empty_statement(place: Place, creator: Person):
    text = await read(place, creator, "/studio/earnings")

    assert "Nothing was sold yet this month." in text
    assert "Can be paid out now EUR 0.00" in text
