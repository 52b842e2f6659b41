"""Where a style stands on its way from works to sales: what the studio's pages of one style all show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from licensing import switch
from licensing.analytics import totals
from licensing.database import Connection
from licensing.money import Money
from licensing.terms import StyleTerms, current_terms, current_terms_of
from service import outlines, trainings, versions
from service.api.styles import own_style
from service.formats import count, money
from service.languages import gettext
from service.pages.visits import Member
from service.pages.words import LEVELS
from service.styles import Style
from service.versions import Version

_VERSIONS_MAX, _SHOWN_MAX = 20, 12
"""What pages of one style list of it."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One of the four steps of a style: `line` says where it stands, `is_next` that the creator's next move is here."""

    name: str
    url: str
    line: str
    is_done: bool
    is_next: bool = False


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A creator's style, and what of it fits on a card: `found` are its works, trainings and versions in numbers."""

    style: Style
    terms: StyleTerms
    switch: switch.SwitchState
    found: outlines.Found
    earned: totals.StyleEarnings | None

    @property
    def url(self) -> str:
        return f"/studio/styles/{self.style.id}"

    @property
    def is_published(self) -> bool:
        return self.style.published_version_id is not None

    @property
    def pictures(self) -> list[str]:
        """Addresses of small pictures of some works."""
        return [f"/v1/works/{work_id}/thumbnail" for work_id in self.found.shown]

    @property
    def num_ready(self) -> int:
        """Works that may train."""
        return self.found.num_ready

    @property
    def num_unsure(self) -> int:
        """Works that would train if the creator said whose they are."""
        return self.found.num_unsure

    @property
    def num_locked(self) -> int:
        """Works to which a claim was upheld."""
        return self.found.num_locked

    @property
    def steps(self) -> list[Step]:
        """The path that every page of the style shows, with the creator's next move marked."""
        found = self.found
        path = [
            Step(name=gettext("Works"), url=f"{self.url}/works", line=self._works_line(), is_done=found.num_ready > 0),
            Step(
                name=gettext("Train"),
                url=f"{self.url}/training",
                line=_training_line(found.latest_state, found.num_versions),
                is_done=found.has_passed,
            ),
            Step(
                name=gettext("Price and publish"),
                url=f"{self.url}/offer",
                line=self._offer_line(),
                is_done=self.is_published,
            ),
            Step(
                name=gettext("Switch"),
                url=f"{self.url}/switch",
                line=LEVELS[self.switch.level].words if self.is_published else gettext("Yours at any moment"),
                is_done=self.is_published,
            ),
        ]
        following = next((at for at, step in enumerate(path) if not step.is_done), None)
        return [replace(step, is_next=at == following) for at, step in enumerate(path)]

    @property
    def is_being_trained(self) -> bool:
        """True where a training waits, runs or rests: then nothing else is to be done."""
        return self.found.latest_state in trainings.OPEN

    @property
    def next_step(self) -> Step | None:
        """Where the creator's next move is; None where the style is on sale, or gone."""
        if self.style.destroyed_at is not None:
            return None
        return next((step for step in self.steps if step.is_next), None)

    def _works_line(self) -> str:
        if not self.found.num_works:
            return gettext("Upload your pictures")
        ready = count(self.num_ready, "work", "works")
        if self.num_unsure:
            return gettext("{works} ready, {num} without rights").format(works=ready, num=self.num_unsure)
        return gettext("{works} ready").format(works=ready)

    def _offer_line(self) -> str:
        if not self.is_published:
            return gettext("Not published yet")
        return gettext("Published, from {price}").format(price=money(lowest_price(self.terms)))


@dataclass(frozen=True, kw_only=True)
class Standing(Outline):
    """The same with the version that is on sale. All works of a style are many, and every version and training names
    them all, so what lists those reads them itself."""

    published: Version | None


async def load_earnings(conn: Connection, visit: Member) -> totals.Earnings:
    """What the visitor earned, this month's part of it, and by which style."""
    currency = visit.web.prices.currency
    return await totals.earnings(conn, creator_id=visit.account.id, now=visit.now, currency=currency)


async def load_outlines(
    conn: Connection, visit: Member, styles: Sequence[Style], *, earnings: totals.Earnings
) -> list[Outline]:
    """Cards of some of the visitor's own styles, in their order: as many statements for many as for one."""
    ids = [style.id for style in styles]
    terms, states = await current_terms_of(conn, ids), await switch.states(conn, style_ids=ids, now=visit.now)
    found = await outlines.find(conn, ids, creator_id=visit.account.id)
    by_style = {one.style_id: one for one in earnings.by_style}
    return [
        Outline(
            style=style,
            terms=terms[style.id],
            switch=states[style.id],
            found=found[style.id],
            earned=by_style.get(style.id),
        )
        for style in styles
    ]


async def load_standing(conn: Connection, visit: Member, style_id: str) -> Standing:
    """The standing of one of the visitor's own styles. Raises Problem where there is no such style."""
    creator_id = visit.account.id
    style = await own_style(conn, style_id, creator_id)
    terms = await current_terms(conn, style_id)
    state = await switch.state(conn, style_id=style_id, now=visit.now)
    assert terms is not None
    assert state is not None
    return Standing(
        style=style,
        terms=terms,
        switch=state,
        found=(await outlines.find(conn, [style_id], creator_id=creator_id, shown=_SHOWN_MAX))[style_id],
        earned=await totals.style_earnings(
            conn, creator_id=creator_id, style_id=style_id, now=visit.now, currency=visit.web.prices.currency
        ),
        published=await _published(conn, style),
    )


async def list_versions(conn: Connection, standing: Standing) -> list[Version]:
    """The newest versions of a style, newest first, and the one on sale where it is older."""
    style, on_sale = standing.style, standing.published
    found = await versions.list_versions(conn, style_id=style.id, creator_id=style.creator_id, limit=_VERSIONS_MAX)
    return found if on_sale is None or any(one.id == on_sale.id for one in found) else [*found, on_sale]


async def _published(conn: Connection, style: Style) -> Version | None:
    on_sale = style.published_version_id
    return await versions.find_version(conn, on_sale, creator_id=style.creator_id) if on_sale is not None else None


def lowest_price(terms: StyleTerms) -> Money:
    """What the cheapest tier above a draft costs, or a draft where there is nothing else."""
    prices = [tier.price for name, tier in terms.tiers.items() if name != "draft"]
    return min(prices or [tier.price for tier in terms.tiers.values()])


def _training_line(latest: str | None, num_versions: int) -> str:
    if latest in (*trainings.RUNNING, "queued"):
        return gettext("Training now")
    if latest == "paused":
        return gettext("Paused")
    return count(num_versions, "version", "versions") if num_versions else gettext("Nothing trained yet")
