"""Finding a style on the front page: by words, by filters, and by a picture."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlencode

from licensing.sentence import say
from service.appearances import Search, find_search, nearest_styles
from service.catalogue import ORDERS, Order, Sought, find_styles
from service.errors import Problem
from service.pages.forms import chosen, price, whole_number
from service.pages.shelf import Book, books_of
from service.pages.visits import Visit

PER_PAGE = 24
PAGES_MAX = 1000
DAYS_MAX = 10_000
_CHARACTERS_MAX = 200
_TIERS = ("draft", "personal", "commercial", "exclusive")

ByPicture = Literal["", "waiting", "seen", "failed"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The form as somebody filled it in. `like` is the id of a search by picture."""

    query: str = ""
    tier: str = ""
    most: str = ""
    notice: str = ""
    draws: str = ""
    at_once: str = ""
    on_sale: str = ""
    order: str = ""
    like: str = ""
    page: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Asked":
        """From the words of an address or a form; other fields are left out."""
        typed = {name: fields.get(name, "") for name in vars(cls())}
        return cls(
            **{name: text.strip()[:_CHARACTERS_MAX] if isinstance(text, str) else "" for name, text in typed.items()}
        )

    @property
    def filters(self) -> int:
        """How many filters are set, beside the words."""
        return sum(bool(getattr(self, name)) for name in ("tier", "most", "notice", "draws", "at_once", "on_sale"))

    def address(self) -> str:
        """Of the catalogue as it is asked for here."""
        asked = {name: text for name, text in vars(self).items() if text}
        return "/" + (f"?{urlencode(asked)}" if asked else "") + "#catalogue"

    def on_page(self, number: int) -> str:
        return replace(self, page=str(number)).address()

    def without_picture(self) -> str:
        return replace(self, like="", page="").address()

    def sought(self, currency: str) -> Sought:
        """The same as the catalogue knows it. Raises Problem for what cannot be."""
        days = whole_number(self.notice, name=say("Days of notice")) if self.notice else None
        if days is not None and not 0 <= days <= DAYS_MAX:
            raise Problem(
                "invalid_request", say("{days} days of notice cannot be; give 0 to {most:,}.", days=days, most=DAYS_MAX)
            )
        order: Order | None = chosen(self.order, ORDERS) if self.order else None
        return Sought(
            words=self.query,
            tier=chosen(self.tier, _TIERS) if self.tier else None,
            most=price(self.most, currency=currency, name=say("Price at most")).amount if self.most else None,
            notice_days=days,
            draws=self.draws or None,
            at_once=bool(self.at_once),
            on_sale=bool(self.on_sale),
            order=order,
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page of the catalogue. `by_picture` is the state of the search by picture; empty where there is none."""

    books: list[Book]
    number: int = 1
    has_more: bool = False
    by_picture: ByPicture = ""
    unseen: frozenset[str] = field(default_factory=frozenset)
    """Ids of styles that no worker has looked at yet, so nobody knows how near they are."""


async def look_up(visit: Visit, asked: Asked) -> Found:
    """The page of the catalogue that is asked for. Raises Problem for what cannot be."""
    sought = asked.sought(visit.web.prices.currency)
    number = whole_number(asked.page, name=say("Page")) if asked.page else 1
    if not 1 <= number <= PAGES_MAX:
        raise Problem(
            "invalid_request", say("There is no page {number} of the styles; begin with the first.", number=number)
        )
    state, nearest = await _near(visit, asked.like)
    async with visit.web.pool.acquire() as conn:
        listed = await find_styles(
            conn, sought, now=visit.now, limit=PER_PAGE + 1, skip=(number - 1) * PER_PAGE, nearest=nearest
        )
        books = await books_of(conn, visit, listed[:PER_PAGE])
    unseen = frozenset(book.style.id for book in books) - set(nearest) if nearest is not None else frozenset()
    return Found(books=books, number=number, has_more=len(listed) > PER_PAGE, by_picture=state, unseen=unseen)


async def _near(visit: Visit, search_id: str) -> tuple[ByPicture, list[str] | None]:
    if not search_id:
        return "", None
    search: Search | None = await find_search(visit.web, search_id)
    if search is None:
        raise Problem(
            "not_found", say("That search by picture is over: it was kept for an hour. Choose the picture again.")
        )
    return search.state, await nearest_styles(visit.web, search) if search.state == "seen" else None
