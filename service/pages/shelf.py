"""The catalogue as pages show it: each published style with its terms, its switch and its example pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from inference.base_licences import sale_of
from inference.catalog import base_spec
from licensing import plans, switch
from licensing.database import Connection
from licensing.money import Money
from licensing.rulebooks import current_rules_of
from licensing.rules import Rules
from licensing.terms import StyleTerms, current_terms_of
from service.api.starting_points import start_document
from service.catalogue import EVERYTHING, Listed, find_styles, published_style
from service.delivery import delivered_size
from service.formats import count, percent
from service.languages import Words, gettext, ngettext
from service.pages import words
from service.pages.standing import lowest_price
from service.pages.visits import Visit
from service.pages.words import Said
from service.resources import Gateway
from service.starting_points import list_starts

_LISTED_MAX = 100
_STARTS_MAX = 60
# Of the way from the base's own hand to the works': see `training.recognise`.
_FAITH = ((0.7, "very"), (0.4, "close"), (0.15, "partly"), (float("-inf"), "hardly"))
_FAITH_WORDS = Words(
    {
        "very": "Very close to its maker's hand ({share})",
        "close": "Close to its maker's hand ({share})",
        "partly": "Partly like its maker's hand ({share})",
        "hardly": "Hardly like its maker's hand ({share})",
    }
)


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
        return self.switch.level == "live" and self.may_be_sold

    @property
    def serves_its_clients(self) -> bool:
        """Whether those who have ordered before still can; the gateway knows who they are."""
        return self.switch.level in ("live", "closed", "wind_down") and self.may_be_sold

    @property
    def may_be_sold(self) -> bool:
        """Whether its base lets anything be sold: the operator may have found out otherwise since."""
        spec = base_spec(self.style.base, folder=self.bases)
        return sale_of(spec.licence, spec.commercial).is_allowed

    @property
    def why_not(self) -> Said | None:
        """What a buyer reads where nobody new can order now."""
        if not self.may_be_sold:
            return words.BASE_NOT_FOR_SALE
        level = self.switch.level
        return (
            None
            if level == "live"
            else Said(words.LEVELS[level].words, words.FOR_BUYERS[level], words.LEVELS[level].tone)
        )

    @property
    def looks(self) -> str:
        """At whose pictures the maker looks before they are delivered, as a sentence; empty where at nobody's."""
        approval = self.terms.permissions.approval
        if approval == "all":
            return gettext("Its maker looks at every picture")
        return gettext("Its maker looks at a new client's first pictures") if approval == "new_clients" else ""

    @property
    def faith(self) -> str:
        """How near its pictures come to the maker's own hand, in a buyer's words; empty where it was not measured."""
        share = self.style.scores.get("hand")
        if share is None:
            return ""
        near = next(name for least, name in _FAITH if share >= least)
        return _FAITH_WORDS[near].format(share=percent(min(max(share, 0.0), 1.0)))

    @property
    def copies(self) -> str:
        """How often a test picture came out nearly the same as a work, as words; empty where it was not measured."""
        scores = self.style.scores
        if not scores.get("samples"):
            return ""
        found, of = int(scores.get("copies", 0)), int(scores["samples"])
        copies = count(found, "near-copy", "near-copies") if found else gettext("No near-copy")
        return ngettext("{copies} in {of} test picture", "{copies} in {of} test pictures", of).format(
            copies=copies, of=f"{of:,}"
        )

    @property
    def from_price(self) -> Money:
        return lowest_price(self.terms)


async def shelf(conn: Connection, visit: Visit, *, most: int = _LISTED_MAX) -> list[Listed]:
    """Published styles, those one can order first, newest first; no more than fit into a list to choose from."""
    return await find_styles(conn, EVERYTHING, now=visit.now, limit=most)


async def books_of(conn: Connection, visit: Visit, found: Sequence[Listed]) -> list[Book]:
    """What the cards of styles say, in their order."""
    style_ids = [style.id for style in found]
    states = await switch.states(conn, style_ids=style_ids, now=visit.now)
    alone = await plans.windows(conn, style_ids, now=visit.now)
    terms, rules = await current_terms_of(conn, style_ids), await current_rules_of(conn, style_ids)
    return [
        _book(visit, style, states[style.id], terms[style.id], rules[style.id].rules, alone.get(style.id))
        for style in found
    ]


async def take(conn: Connection, visit: Visit, style_id: str) -> Book:
    """One published style. Raises Problem."""
    style = await published_style(conn, style_id)
    (book,) = await books_of(conn, visit, [style])
    return book


def _book(
    visit: Visit,
    style: Listed,
    state: switch.SwitchState,
    terms: StyleTerms,
    rules: Rules,
    alone_until: datetime | None,
) -> Book:
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


async def starts_of(web: Gateway, style_id: str) -> list[dict[str, Any]]:
    """What clients may start variations from, as the API shows it: as many as a page holds."""
    async with web.house() as conn:
        return [start_document(one) for one in await list_starts(conn, style_id, limit=_STARTS_MAX)]
