"""What a dispute is about, for its sides: the style, and what was ordered and made where they may see that."""

from collections.abc import Sequence
from dataclasses import dataclass

from licensing.database import Connection
from licensing.docket import Dispute, Side
from service.orders import find_orders
from service.styles import style_names


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`prompt` is None where its words were deleted since, as was said beforehand."""

    style_id: str
    style_name: str
    tier: str
    prompt: str | None


async def subjects_of(conn: Connection, disputes: Sequence[Dispute]) -> dict[str, Subject]:
    """What each of these disputes is about, by its id."""
    orders = await find_orders(conn, list({one.order_id for one in disputes}))
    names = await style_names(conn, {order.style_id for order in orders.values()})
    found = {}
    for one in disputes:
        order = orders[one.order_id]
        found[one.id] = Subject(
            style_id=order.style_id, style_name=names[order.style_id], tier=order.tier, prompt=order.prompt
        )
    return found


def shows_pictures(dispute: Dispute, side: Side) -> bool:
    """Whether a side is shown the pictures. A creator is, where somebody else holds something against them; contesting
    a line of the statement is no way to look at what clients bought."""
    return side != "creator" or dispute.opener != "creator"


def shows_words(dispute: Dispute, side: Side) -> bool:
    """Whether a side is shown the words they were ordered with. A creator is, where the client who wrote them disputes,
    who was told so."""
    return side != "creator" or dispute.opener == "client"
