"""The review of a portfolio as its creator sees it: what a worker's look at the works found, what the creator answered,
whose rights are not clear, and what waits for the operator.

Looking takes a while and much memory, so a worker does it (`reviewing`) and the style keeps what it found last; it is
looked at again when the included files change. Until then the page shows what is known.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from licensing.database import Connection
from licensing.sentence import Sentence, known_again, say
from service.bases import base_here
from service.cases import Case, cases_about
from service.resources import Gateway
from service.reviewing import digest_of_works, start_look
from service.styles import Style
from service.workflows import BROKEN, states_of
from service.works import StoredWork, list_works
from training.messages import Finding
from training.recipe import Recipe
from training.review.messages import JUDGEMENTS
from training.review.wording import TEMPLATES

OTHERS_WORK = "others_work"
"""The kind of finding that a case of the operator's stands behind."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One finding with the creator's answer to it."""

    finding: Finding
    kept: str | None = None
    """Why the creator keeps the work in spite of it."""

    @property
    def can_keep(self) -> bool:
        """True where it is the creator's to judge."""
        return self.finding.work is not None and self.finding.kind in JUDGEMENTS

    @property
    def can_appeal(self) -> bool:
        """True where a person of the operator's decides."""
        return self.finding.kind == OTHERS_WORK

    @property
    def document(self) -> dict[str, Any]:
        answers = {"kept": self.kept, "can_keep": self.can_keep, "can_appeal": self.can_appeal}
        return {**asdict(self.finding), "about": list(self.finding.about), **answers}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a portfolio; `looking` where a worker's look at it as it is now is still to come."""

    state: Literal["looking", "current"]
    shown: tuple[Shown, ...]


async def see(web: Gateway, style: Style, recipe: Recipe, *, wait_s: float = 0.0) -> Seen:
    """Findings per work and for the set, those that stand in the way first.

    Starts a look where the works changed since the last one, and waits for it up to `wait_s`.
    """
    ends = asyncio.get_running_loop().time() + wait_s
    while True:
        async with web.pool.acquire() as conn:
            works = await list_works(conn, style_id=style.id, creator_id=style.creator_id)
            seen = await see_works(web, conn, style, recipe, works)
        if seen.state == "current" or asyncio.get_running_loop().time() >= ends:
            return seen
        await asyncio.sleep(web.settings.poll_interval_s)


async def see_works(web: Gateway, conn: Connection, style: Style, recipe: Recipe, works: Sequence[StoredWork]) -> Seen:
    """The same of all works of a style that are at hand, without waiting."""
    included = [work for work in works if work.include]
    state, looked = await _look(web, conn, style, recipe, included)
    held = {
        work_id: case for work_id, case in (await cases_about(conn, [w.id for w in included])).items() if case.holds
    }
    findings = [*_on_cases(held), *_on_rights(included, held, recipe), *looked]
    by_id = {work.id: work for work in included}
    return Seen(state=state, shown=tuple(_answered(finding, by_id) for finding in findings))


async def _look(
    web: Gateway, conn: Connection, style: Style, recipe: Recipe, works: Sequence[StoredWork]
) -> tuple[Literal["looking", "current"], list[Finding]]:
    """What the last look found of the works that are still there; where it is out of date, another is on its way."""
    size = base_here(web.settings, style.base).size
    of = digest_of_works(works, size=size, min_works=recipe.min_works)
    kept: dict[str, Any] = json.loads(await conn.fetchval("SELECT review FROM service.styles WHERE id = $1", style.id))
    known = {work.id for work in works}
    findings = [_said(Finding(**one)) for one in kept.get("findings", [])]
    if kept.get("of") == of or not works or style.destroyed_at is not None:
        return "current", findings if works else []
    if not await _is_under_way(kept.get("asked", {}), of):
        look_id = web.new_id("look")
        await conn.execute(
            "UPDATE service.styles SET review = review || $2::jsonb WHERE id = $1",
            *(style.id, json.dumps({"asked": {"of": of, "id": look_id}})),
        )
        await start_look(conn, look_id, style.id, size=size, min_works=recipe.min_works)
    # Findings about the whole set are of another set; those about a work are still true of that file.
    return "looking", [finding for finding in findings if finding.work in known]


def _said(finding: Finding) -> Finding:
    """As it was kept, in sentences that can be said in another language."""
    why, fix = [known_again(text, TEMPLATES) for text in (finding.why, finding.fix)]
    return replace(finding, why=why, fix=fix, about=tuple(finding.about))


async def _is_under_way(asked: dict[str, str], of: str) -> bool:
    """A look that ended without a result gave up because the works had changed; they may have changed back."""
    if asked.get("of") != of:
        return False
    states = await states_of([asked["id"]])
    return states.get(asked["id"]) not in {None, *BROKEN}


def _answered(finding: Finding, works: dict[str, StoredWork]) -> Shown:
    work = works.get(finding.work or "")
    kept = work.kept.get(finding.kind) if work is not None else None
    if kept is None:
        return Shown(finding=finding)
    return Shown(finding=replace(finding, severity="note"), kept=kept)


def _on_cases(held: dict[str, Case]) -> list[Finding]:
    return [
        Finding(
            work=work_id,
            kind=OTHERS_WORK,
            severity="error",
            why=say(
                "It is nearly the same picture as one that somebody else had uploaded here before, so it does not"
                " train. {decided}",
                decided=_decided(case),
            ),
            fix=say(
                "If it is yours, say so in a sentence: a person looks at both pictures and decides. Or exclude it."
            ),
        )
        for work_id, case in held.items()
    ]


def _decided(case: Case) -> Sentence:
    if case.outcome is not None:
        return say("The operator decided: {sentence}", sentence=case.said[-1]["sentence"])
    if case.said:
        return say("The operator has been asked. What you said is with them.")
    return say("The operator has been asked.")


def _on_rights(works: Sequence[StoredWork], held: dict[str, Case], recipe: Recipe) -> list[Finding]:
    unsure = [work for work in works if work.rights == "unsure"]
    findings = [
        Finding(
            work=work.id,
            kind="rights",
            severity="error",
            why=say("Whose work this is was not said, so it does not train."),
            fix=say("Say that it is yours, that the client consented, or that you have a licence; or exclude it."),
        )
        for work in unsure
        if work.id not in held
    ]
    clear = len(works) - len(unsure)
    if unsure and clear < recipe.min_works:
        why = say(
            "The rights to {clear} works are clear, and {least} are needed to learn a style.",
            clear=clear,
            least=recipe.min_works,
        )
        fix = say("Set the rights of the works named below.")
        findings.insert(0, Finding(work=None, kind="rights", severity="error", why=why, fix=fix))
    return findings
