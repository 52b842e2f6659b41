"""Where a style stands on its way from works to sales: what the studio's pages of one style all show."""

from dataclasses import dataclass, replace

from licensing import statements, switch
from licensing.database import Connection
from licensing.money import Money
from licensing.terms import StyleTerms, current_terms
from service import trainings, versions, works
from service.api.styles import own_style
from service.formats import count, money
from service.pages.visits import Member
from service.pages.words import LEVELS
from service.styles import Style
from service.trainings import Training
from service.versions import Version
from service.works import StoredWork


@dataclass(frozen=True, kw_only=True)
class Step:
    """One of the four steps of a style: `line` says where it stands, `is_next` that the creator's next move is here."""

    name: str
    url: str
    line: str
    is_done: bool
    is_next: bool = False


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A creator's style with everything around it. `trainings` and `versions` are newest first."""

    style: Style
    terms: StyleTerms
    switch: switch.SwitchState
    works: list[StoredWork]
    trainings: list[Training]
    versions: list[Version]
    earned: statements.StyleEarnings | None

    @property
    def url(self) -> str:
        return f"/studio/styles/{self.style.id}"

    @property
    def published(self) -> Version | None:
        return next((one for one in self.versions if one.id == self.style.published_version_id), None)

    @property
    def pictures(self) -> list[str]:
        """Addresses of small pictures of the works."""
        return [f"/v1/works/{work.id}/thumbnail" for work in self.works if not work.is_locked]

    @property
    def num_ready(self) -> int:
        """Works that may train."""
        return sum(work.may_train for work in self.works)

    @property
    def num_unsure(self) -> int:
        """Works that would train if the creator said whose they are."""
        return sum(work.include and work.rights == "unsure" for work in self.works)

    @property
    def num_locked(self) -> int:
        """Works to which a claim was upheld."""
        return sum(work.is_locked for work in self.works)

    @property
    def steps(self) -> list[Step]:
        """The path that every page of the style shows, with the creator's next move marked."""
        latest = self.trainings[0] if self.trainings else None
        path = [
            Step(name="Works", url=f"{self.url}/works", line=self._works_line(), is_done=bool(self.works)),
            Step(
                name="Train",
                url=f"{self.url}/training",
                line=_training_line(latest, len(self.versions)),
                is_done=any(version.gate_passed for version in self.versions),
            ),
            Step(
                name="Price and publish",
                url=f"{self.url}/offer",
                line="Published, from " + money(lowest_price(self.terms)) if self.published else "Not published yet",
                is_done=self.published is not None,
            ),
            Step(
                name="Switch",
                url=f"{self.url}/switch",
                line=LEVELS[self.switch.level].words if self.published else "Yours at any moment",
                is_done=self.published is not None,
            ),
        ]
        following = next((at for at, step in enumerate(path) if not step.is_done), None)
        return [replace(step, is_next=at == following) for at, step in enumerate(path)]

    @property
    def next_step(self) -> Step | None:
        """Where the creator's next move is; None where the style is on sale, or gone."""
        if self.style.destroyed_at is not None:
            return None
        return next((step for step in self.steps if step.is_next), None)

    def _works_line(self) -> str:
        if not self.works:
            return "Upload your pictures"
        unsure = f", {self.num_unsure} without rights" if self.num_unsure else ""
        return count(self.num_ready, "work") + " ready" + unsure


async def load_earnings(conn: Connection, visit: Member) -> statements.Earnings:
    """What the visitor earned, this month's part of it, and by which style."""
    currency = visit.web.prices.currency
    return await statements.earnings(conn, creator_id=visit.account.id, now=visit.now, currency=currency)


async def load_standing(
    conn: Connection, visit: Member, style_id: str, *, earnings: statements.Earnings | None = None
) -> Standing:
    """The standing of one of the visitor's own styles. Raises Problem where there is no such style."""
    creator_id = visit.account.id
    style = await own_style(conn, style_id, creator_id)
    terms = await current_terms(conn, style_id)
    state = await switch.state(conn, style_id=style_id, now=visit.now)
    assert terms is not None
    assert state is not None
    earned = await statements.earnings(conn, creator_id=creator_id, now=visit.now, currency=visit.web.prices.currency)
    return Standing(
        style=style,
        terms=terms,
        switch=state,
        works=await works.list_works(conn, style_id=style_id, creator_id=creator_id),
        trainings=await trainings.list_trainings(conn, style_id=style_id, creator_id=creator_id),
        versions=await versions.list_versions(conn, style_id=style_id, creator_id=creator_id),
        earned=next((one for one in earned.by_style if one.style_id == style_id), None),
    )


def lowest_price(terms: StyleTerms) -> Money:
    """What the cheapest tier above a draft costs, or a draft where there is nothing else."""
    prices = [tier.price for name, tier in terms.tiers.items() if name != "draft"]
    return min(prices or [tier.price for tier in terms.tiers.values()])


def _training_line(latest: Training | None, num_versions: int) -> str:
    if latest is not None and latest.state in (*trainings.RUNNING, "queued"):
        return "Training now"
    if latest is not None and latest.state == "paused":
        return "Paused"
    return count(num_versions, "version") if num_versions else "Nothing trained yet"
