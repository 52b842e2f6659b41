"""Orders whose pictures their creator looked at first: hours may lie between asking and hearing."""

from datetime import datetime

from licensing.database import Connection
from licensing.money import Money
from service.accounts import language_of
from service.formats import money, numeral
from service.languages import gettext, ngettext, speaking, translate
from service.letters import Letter, write_letter
from service.orders import Order, find_order

_KINDS = {"settled": "order.released", "expired": "order.expired"}


async def tell_looked_at(conn: Connection, order_id: str, *, now: datetime) -> None:
    """Tell whoever ordered what has become of an order that waited for its creator, once it has ended."""
    order = await find_order(conn, order_id)
    if order is None or order.approval_until is None or order.is_open or order.test:
        return
    name = await conn.fetchval("SELECT name FROM service.styles WHERE id = $1", order.style_id)
    reader = order.ordered_by or order.client_id
    with speaking(await language_of(conn, reader)):
        subject = (
            gettext("Your pictures of “{name}” are there")
            if order.state == "settled"
            else gettext("Your order of “{name}” brought no pictures")
        )
        letter = Letter(
            kind=_KINDS.get(order.state, "order.kept_back"),
            account_id=reader,
            about=order.id,
            subject=subject.format(name=name),
            words=await _words(conn, order),
            path=f"/desk/orders/{order.id}",
        )
    await write_letter(conn, letter, now=now)


async def _words(conn: Connection, order: Order) -> str:
    said = [translate(order.message)] if order.message else []
    if order.state == "settled":
        number = await conn.fetchval("SELECT count(*) FROM service.outputs WHERE generation_id = $1", order.id)
        released = ngettext(
            "Its maker looked at them and says yes: {number} picture is yours. It cost {amount}.",
            "Its maker looked at them and says yes: {number} pictures are yours. They cost {amount}.",
            number,
        )
        said.insert(0, released.format(number=numeral(number), amount=money(Money(order.amount, order.currency))))
    return "\n\n".join(said)
