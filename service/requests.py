"""A request for pictures that was checked: all that is asked, with nothing left open."""

from dataclasses import dataclass
from typing import Any

from service.approvals import Prospect
from service.offering import Offering
from service.turns import InLine


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A checked request. `request` is what the order stores: prompt, seed, size, steps, guidance, strength, pictures.

    `image` and `mask` are ids of the client's own pictures, `start` that of a work which its maker offers. A picture
    takes `steps` steps; all of them cost `work`, in row-steps.
    """

    offering: Offering
    tier: str
    count: int
    request: dict[str, Any]
    steps: int
    work: int
    webhook_id: str | None
    """The client's endpoint that hears of the order's end."""
    ownership_terms: int
    """The version of who owns what that is in force."""
    ordered_by: str | None
    """The account of the person who orders in a browser; None for a program."""

    def sale(self, *, client_id: str, terms_version: int) -> Prospect:
        """The request as far as it decides whether its creator looks at the pictures first."""
        return Prospect(
            creator_id=self.offering.creator_id,
            client_id=client_id,
            style_id=self.offering.style_id,
            terms_version=terms_version,
            tier=self.tier,
        )

    def in_line(self, order_id: str, *, client_id: str) -> InLine:
        """The request as an order that has no turn yet."""
        return InLine(
            id=order_id,
            client_id=client_id,
            creator_id=self.offering.creator_id,
            base=self.offering.base,
            state="queued",
            turn=None,
            work=self.work,
            count=self.count,
            step=0,
            steps=self.steps,
        )
