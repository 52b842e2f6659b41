"""The catalogue as pages show it: each published style with its terms, its switch and its example pictures."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from inference.catalog import base_spec
from licensing import plans, switch
from licensing.database import Connection
from licensing.money import Money
from licensing.rulebooks import current_rules
from licensing.rules import Rules
from licensing.terms import StyleTerms, current_terms
from service.catalogue import Listed, list_published, published_style
from service.delivery import delivered_size
from service.pages.standing import lowest_price
from service.pages.visits import Visit


@dataclass(frozen=True, kw_only=True)
class Book:
    """A published style as anybody may see it."""

    style: Listed
    terms: StyleTerms
    switch: switch.SwitchState
    rules: Rules
    categories: list[str]
    """The names of what its creator leaves out altogether."""
    alone_until: datetime | None
    """Until when it is one client's alone."""
    bases: Path
    """Where the operator's bases are described."""

    @property
    def url(self) -> str:
        return f"/styles/{self.style.id}"

    @property
    def pictures(self) -> list[str]:
        """Addresses of the example pictures; none where the version has none."""
        return self.style.example_urls

    def size(self, tier: str) -> tuple[int, int]:
        """Width and height in pixels of a picture of a tier."""
        return delivered_size(base_spec(self.style.base, folder=self.bases), tier)

    @property
    def can_order(self) -> bool:
        """Whether somebody new could order now."""
        return self.switch.level == "live"

    @property
    def serves_its_clients(self) -> bool:
        """Whether those who have ordered before still can; the gateway knows who they are."""
        return self.switch.level in ("live", "closed", "wind_down")

    @property
    def from_price(self) -> Money:
        return lowest_price(self.terms)


async def shelf(conn: Connection, visit: Visit, *, query: str = "") -> list[Book]:
    """All published styles that `query` fits, those one can order first, newest first."""
    found = await list_published(conn, query=query)
    states = await switch.states(conn, style_ids=[style.id for style in found], now=visit.now)
    shown = [style for style in found if states[style.id].level not in ("off", "destroyed")]
    alone = await plans.windows(conn, [style.id for style in shown], now=visit.now)
    books = [await _book(conn, visit, style, states[style.id], alone.get(style.id)) for style in shown]
    return sorted(books, key=lambda book: not book.can_order)


async def take(conn: Connection, visit: Visit, style_id: str) -> Book:
    """One published style. Raises Problem."""
    style = await published_style(conn, style_id)
    state = await switch.state(conn, style_id=style_id, now=visit.now)
    assert state is not None, "every style gets terms, and with them a switch, in the transaction that makes it"
    alone = await plans.windows(conn, [style.id], now=visit.now)
    return await _book(conn, visit, style, state, alone.get(style.id))


async def _book(
    conn: Connection, visit: Visit, style: Listed, state: switch.SwitchState, alone_until: datetime | None
) -> Book:
    terms = await current_terms(conn, style.id)
    assert terms is not None, "every style gets terms in the transaction that makes it"
    rules = (await current_rules(conn, creator_id=style.creator_id, style_id=style.id)).rules
    known = visit.web.categories
    return Book(
        style=style,
        terms=terms,
        switch=state,
        rules=rules,
        categories=[known[name].name for name in rules.categories if name in known],
        alone_until=alone_until,
        bases=visit.web.settings.configs / "bases",
    )
