"""Which cards of works a page shows: so many at a time, those first that need their creator, or only these."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from service.consents import Consent, ConsentState
from service.pages.paging import part_of
from service.reviews import Shown
from service.works import StoredWork

PER_PAGE = 60
"""Cards of works on one page."""
_IS_PAGE = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where somebody is in the cards. `page` is None where it was not said; the forms of a page carry it on."""

    page: int | None = None
    only_needed: bool = False

    @classmethod
    def of(cls, asked: QueryParams) -> "Place":
        """As an address says it; what is no page is none."""
        page = asked.get("page", "")
        return cls(page=int(page) if _IS_PAGE.fullmatch(page) else None, only_needed=asked.get("show") == "needed")

    @property
    def query(self) -> str:
        """Behind an address: `?page=2`; empty where nothing was said."""
        filled = ({"page": str(self.page)} if self.page else {}) | ({"show": "needed"} if self.only_needed else {})
        return f"?{urlencode(filled)}" if filled else ""


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The cards of one page, counted from 1. `num_needed` of all works wait for something of their creator."""

    works: list[StoredWork]
    place: Place
    num_pages: int
    num_needed: int

    @property
    def query(self) -> str:
        """What forms carry on, to lead back to this page; empty where there is one."""
        return self.place.query if self.num_pages > 1 or self.place.only_needed else ""

    @property
    def page(self) -> int:
        return self.place.page or 1

    def at(self, page: int) -> str:
        """The same cards at another page, as `query`."""
        return Place(page=page, only_needed=self.place.only_needed).query


def deal(
    works: Sequence[StoredWork],
    found_in: Mapping[str, Sequence[Shown]],
    asked_about: Mapping[str, tuple[Consent, ConsentState]],
    place: Place,
    *,
    with_work: str = "",
) -> Cards:
    """The cards of the page that `place` names, or of the nearest there is; without a page in it, of the one with a
    work. The order is that in which the works came, those first that need their creator."""
    needed = {work.id for work in works if needs_creator(work, found_in.get(work.id, ()), asked_about.get(work.id))}
    first = sorted(works, key=lambda work: (work.id not in needed, work.id))
    shown = [work for work in first if work.id in needed] if place.only_needed and needed else first
    at = next((number for number, work in enumerate(shown) if work.id == with_work), 0)
    dealt, page, num_pages = part_of(shown, place.page or at // PER_PAGE + 1, at_once=PER_PAGE)
    return Cards(
        works=dealt,
        place=Place(page=page, only_needed=place.only_needed and bool(needed)),
        num_pages=num_pages,
        num_needed=len(needed),
    )


def needs_creator(work: StoredWork, found: Sequence[Shown], asked: tuple[Consent, ConsentState] | None) -> bool:
    """Whether a work waits for its creator: to say whose it is, or to answer a finding or a claim. What somebody else
    is asked about waits for them."""
    if work.is_locked:
        return True
    if not work.include:
        return False
    waits_for_others = asked is not None and asked[1] == "asked"
    is_open = any(one.kept is None and one.finding.severity in ("error", "warning") for one in found)
    return is_open or (work.rights == "unsure" and not waits_for_others)
