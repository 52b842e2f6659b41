"""Disputes, claims to works, and cases: whoever did not speak is told that somebody did, and by when to answer."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from licensing import docket
from licensing.database import Connection
from licensing.docket import Dispute
from service.accounts import language_of, languages_of
from service.cases import Case
from service.claims import Claim
from service.disputed import subjects_of
from service.formats import clock, numeral
from service.languages import Words, gettext, ngettext, speaking
from service.letters import Letter, write_letters
from service.styles import style_names

Act = Literal["opened", "said", "decided", "appealed", "withdrawn", "closed"]
Side = Literal["creator", "client", "operator"]
OFFICE_TOLD_EVERY = timedelta(hours=1)
"""How often the office is told that cases wait."""

_HOMES: Mapping[Side, str] = {"creator": "/studio", "client": "/desk", "operator": "/office"}
_SUBJECTS: Mapping[str, Words] = {
    "dispute": Words(
        {
            "opened": "A sale of “{style}” is disputed",
            "said": "Something was said in the dispute about “{style}”",
            "decided": "The dispute about “{style}” is decided",
            "appealed": "Somebody appeals in the dispute about “{style}”",
            "withdrawn": "The dispute about “{style}” was let go",
            "closed": "The dispute about “{style}” is closed",
        }
    ),
    "claim": Words(
        {
            "opened": "A work of “{style}” is claimed",
            "said": "Something was said in the claim to a work of “{style}”",
            "decided": "The claim to a work of “{style}” is decided",
            "appealed": "Somebody appeals in the claim to a work of “{style}”",
            "withdrawn": "The claim to a work of “{style}” was let go",
        }
    ),
}
_NEXT = Words(
    {
        "answer": "It may be answered until {until}.",
        "decision": "It is decided by {until}.",
        "appeal": "Whoever disagrees may appeal until {until}.",
        "final decision": "The last decision comes by {until}.",
        "effect": "The time to appeal is over; it takes effect in a moment.",
    }
)
_DISPUTED = Words(
    {
        "refunded": "The sale is taken back: the client gets everything back, and the certificate is revoked.",
        "released": "The sale stands as it is.",
        "partly": "The client gets a part back, and the certificate stays valid.",
        "corrected": "A part of the fee becomes the creator’s.",
        "withdrawn": "Whoever opened it let it go.",
    }
)
_CLAIMED = Words(
    {
        "upheld": "The claim is upheld: the work is locked, and what learnt from it is off sale.",
        "rejected": "The claim is rejected: the work stays.",
        "withdrawn": "Whoever claimed it let it go.",
    }
)


async def tell_dispute(conn: Connection, dispute: Dispute, act: Act, *, by: Side | None, now: datetime) -> None:
    """Tell the parties of a dispute but the one who spoke, and the operators where they have to do something. `by`:
    who; None where time did."""
    sides: dict[Side, str | None] = {"creator": dispute.creator_id, "client": dispute.client_id}
    is_told = act in ("decided", "closed")
    style = (await subjects_of(conn, [dispute]))[dispute.id].style_name
    await _tell(
        conn, "dispute", dispute, act, sides, style=style, by=by, is_told=is_told, reason=dispute.reason, now=now
    )


async def tell_claim(conn: Connection, claim: Claim, act: Act, *, by: Side, now: datetime) -> None:
    """Tell a work's creator what was said or decided about a claim to it; the operators, where the creator spoke."""
    is_told = act in ("decided", "withdrawn")
    reason = claim.said[-1]["words"] if act == "decided" else None
    style = (await style_names(conn, [claim.style_id]))[claim.style_id]
    sides: dict[Side, str | None] = {"creator": claim.creator_id}
    await _tell(conn, "claim", claim, act, sides, style=style, by=by, is_told=is_told, reason=reason, now=now)


async def tell_case_decided(conn: Connection, case: Case, *, now: datetime) -> None:
    """Tell a creator how a case about their work was decided."""
    allowed = case.outcome == "allowed"
    with speaking(await language_of(conn, case.creator_id)):
        outcome = (
            gettext("The work may be used.")
            if allowed
            else gettext("The work stays out. You may say what speaks for it.")
        )
        letter = Letter(
            kind="case.decided",
            account_id=case.creator_id,
            about=case.id,
            key=f"{case.id} {len(case.said)}",
            subject=gettext("A case about your work is decided for you")
            if allowed
            else gettext("A case about your work is decided against you"),
            words=f"{outcome}\n\n{_reason(case.said[-1]['sentence'])}",
            path="/studio/record/happened",
        )
    await write_letters(conn, [letter], now=now)


async def tell_cases_waiting(conn: Connection, *, now: datetime) -> None:
    """Tell the operators that cases wait which nobody was told of, at most once an hour. A sweep."""
    row = await conn.fetchrow(
        "SELECT count(*) AS number, max(coalesce((said -> -1 ->> 'at')::timestamptz, opened_at)) AS newest"
        " FROM service.cases WHERE state = 'open'"
    )
    told = await conn.fetchval("SELECT max(created_at) FROM service.letters WHERE kind = 'cases.waiting'")
    if not row["number"] or (told is not None and row["newest"] <= told):
        return
    letters = []
    for operator, language in (await languages_of(conn, await _operators(conn))).items():
        with speaking(language):
            waiting = ngettext(
                "{number} case waits for a decision", "{number} cases wait for a decision", row["number"]
            )
            letter = Letter(
                kind="cases.waiting",
                account_id=operator,
                subject=waiting.format(number=numeral(row["number"])),
                words=gettext("Works that look like somebody else’s, or pictures that a claim keeps out."),
                path="/office#cases",
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now, at_most_every=OFFICE_TOLD_EVERY)


async def _tell(
    conn: Connection,
    what: Literal["dispute", "claim"],
    one: Dispute | Claim,
    act: Act,
    sides: Mapping[Side, str | None],
    *,
    style: str,
    by: Side | None,
    is_told: bool,
    reason: str | None,
    now: datetime,
) -> None:
    outcomes = _DISPUTED if what == "dispute" else _CLAIMED
    people: list[tuple[Side, str]] = [(side, who) for side, who in sides.items() if who is not None and side != by]
    if by != "operator" and act in ("opened", "said", "appealed"):
        people += [("operator", operator) for operator in await _operators(conn)]
    languages = await languages_of(conn, [who for _, who in people])
    letters = []
    for side, who in people:
        with speaking(languages[who]):
            letter = Letter(
                kind=f"{what}.{act}",
                account_id=who,
                about=one.id,
                key=f"{one.id} {act} {now.isoformat()}" if act in ("said", "decided") else f"{one.id} {act}",
                subject=_SUBJECTS[what][act].format(style=style),
                words=_words_of(one, outcomes.get(one.outcome or "", "") if is_told else "", reason, now=now),
                path=f"{_HOMES[side]}/{what}s/{one.id}",
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now)


def _words_of(one: Dispute | Claim, outcome: str, reason: str | None, *, now: datetime) -> str:
    step = docket.step(one, now)
    until = _NEXT[step.waits_for].format(until=clock(step.due_at)) if step else ""
    words = [outcome, _reason(reason) if outcome and reason else "", until]
    return "\n\n".join(filter(None, words)) or gettext("Nothing has to be done.")


def _reason(said: str) -> str:
    return gettext("The reason: {reason}").format(reason=said)


async def _operators(conn: Connection) -> list[str]:
    rows = await conn.fetch(
        "SELECT id FROM service.accounts WHERE role = 'operator' AND disabled_at IS NULL ORDER BY id"
    )
    return [row["id"] for row in rows]
