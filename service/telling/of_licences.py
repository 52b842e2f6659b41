"""Clients whose style was switched, and whose licence or plan ended or could not be renewed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from licensing.database import Connection
from licensing.money import Money
from service.accounts import language_of, languages_of
from service.formats import count, day, inline, money
from service.languages import gettext, speaking
from service.letters import Letter, write_letters

# Licences that a switch of this moment reaches, with the level that now holds for their client, what is left in them,
# and what went back, or would on the date of a wind-down if nothing more were made. $1 the time, $2 whose switch.
_SWITCHED = """
SELECT e.event_no, e.level_before, a.client_id, a.allowance_id, a.style_id, s.name, a.tier, a.state, a.currency,
    a.units - b.posted AS units_left, back.refund + back.tax AS amount, now_is.level, now_is.reason, now_is.ends_at
FROM licensing.switch_event e
JOIN service.styles s ON s.creator_id = e.creator_id AND e.style_id IN ('', s.id)
JOIN licensing.allowance a ON a.style_id = s.id AND a.kind = 'licence' AND e.client_id IN ('', a.client_id)
    AND (a.state IN ('active', 'ending') OR a.ended_at = e.at)
JOIN licensing.budget b ON b.budget_id = 'units:' || a.allowance_id || ':unit',
    LATERAL licensing.governing(e.creator_id, a.style_id, a.client_id, $1) now_is,
    LATERAL licensing.unused_of(a, b.posted, greatest($1, now_is.ends_at)) back
WHERE e.at = $1 AND ($2::text IS NULL OR e.creator_id = $2)
"""
# What ended at this moment by the calendar: nothing came after it, and no renewal waits for money.
_ENDED = """
SELECT a.allowance_id, a.kind, a.client_id, a.style_id, a.tier, a.name AS plan, s.name AS style
FROM licensing.allowance a LEFT JOIN service.styles s ON s.id = a.style_id
WHERE a.ended_at = $1 AND a.kind IN ('licence', 'plan')
    AND NOT EXISTS (SELECT FROM licensing.allowance n WHERE n.renewed_from = a.allowance_id)
    AND NOT EXISTS (SELECT FROM licensing.renewal r WHERE r.allowance_id = a.allowance_id AND r.state = 'waiting')
"""
_UNPAID = """
SELECT r.allowance_id, r.client_id, r.tries, r.state, r.next_at, a.name AS plan
FROM licensing.renewal r JOIN licensing.allowance a USING (allowance_id) WHERE r.allowance_id = $1
"""
_BACK = ("live", "closed")


async def tell_licensees(conn: Connection, *, now: datetime, creator_id: str | None = None) -> None:
    """Tell clients with a licence of a style what a switch of this moment means for it. In the transaction of the
    change; creator_id: whose switch; None: all that were set."""
    rows = await conn.fetch(_SWITCHED, now, creator_id)
    languages = await languages_of(conn, [row["client_id"] for row in rows])
    letters = []
    for row in rows:
        with speaking(languages[row["client_id"]]):
            letters += [
                Letter(
                    kind="style.switched",
                    account_id=row["client_id"],
                    about=row["style_id"],
                    key=f"{row['event_no']} {row['allowance_id']}",
                    subject=subject,
                    words=words,
                    path=f"/styles/{row['style_id']}",
                )
                for subject, words in _switched(row)
            ]
    await write_letters(conn, letters, now=now)


async def tell_ended(conn: Connection, *, now: datetime) -> None:
    """Tell clients which licences and plans ended at this moment and were not renewed. In the transaction of that."""
    rows = await conn.fetch(_ENDED, now)
    languages = await languages_of(conn, [row["client_id"] for row in rows])
    letters = []
    for row in rows:
        with speaking(languages[row["client_id"]]):
            subject = (
                gettext("Your plan {plan} has ended").format(plan=row["plan"])
                if row["kind"] == "plan"
                else gettext("Your {tier} licence of “{style}” has ended").format(
                    tier=_tier(row["tier"]), style=row["style"]
                )
            )
            letter = Letter(
                kind=f"{row['kind']}.ended",
                account_id=row["client_id"],
                about=row["allowance_id"],
                subject=subject,
                words=f"{gettext('It was not renewed.')} {_kept()}",
                path="/desk/money" if row["kind"] == "plan" else f"/styles/{row['style_id']}",
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now)


async def tell_plan_unpaid(conn: Connection, allowance_id: str, *, now: datetime) -> None:
    """Tell a client that a plan waits for money to be renewed, or was given up. In the transaction of that; nothing
    where it was renewed."""
    row = await conn.fetchrow(_UNPAID, allowance_id)
    if row is None or row["state"] == "paid":
        return
    with speaking(await language_of(conn, row["client_id"])):
        if row["state"] == "given_up":
            subject = gettext("Your plan {plan} has ended")
            words = gettext("It could not be renewed: the money for it did not come.")
        else:
            subject = gettext("Your plan {plan} waits for money")
            words = gettext(
                "It could not be renewed, because there is too little prepaid money. It is tried again on {day}."
                " Until then pictures are paid from prepaid money."
            ).format(day=day(row["next_at"]))
        letter = Letter(
            kind="plan.unpaid",
            account_id=row["client_id"],
            about=allowance_id,
            key=f"{allowance_id} {row['tries']} {row['state']}",
            subject=subject.format(plan=row["plan"]),
            words=words,
            path="/desk/money",
        )
    await write_letters(conn, [letter], now=now)


def _switched(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Subject and words; none where the level changes nothing for whoever has a licence."""
    name, level = row["name"], row["level"]
    if level in _BACK and row["level_before"] in _BACK:
        return []
    why = [gettext("Its creator says: {reason}").format(reason=row["reason"])] if row["reason"] else []
    back, tier = Money(row["amount"], row["currency"]), _tier(row["tier"])
    if level in _BACK:
        subject = gettext("“{name}” is back")
        words = [gettext("You can order with it again, and your {tier} licence goes on.").format(tier=tier)]
    elif level == "paused":
        subject = gettext("“{name}” is paused")
        said = gettext(
            "Nobody can order with it for now. The time of your {tier} licence stands still until it is back."
        )
        words = [said.format(tier=tier), *why]
    elif level == "wind_down":
        subject = gettext("“{name}” ends on {day}")
        words = [_until_then(row, back, tier), *why, _kept(), gettext("Other styles are at /styles.")]
    else:
        subject = gettext("“{name}” has ended")
        gone = (
            gettext("{money} of it went back to your prepaid money.").format(money=money(back))
            if back.amount
            else gettext("Nothing of it was left unused.")
        )
        said = gettext("No pictures are made with it any more, so your {tier} licence has ended.").format(tier=tier)
        words = [f"{said} {gone}", *why, _kept()]
    return [(subject.format(name=name, day=day(row["ends_at"]) if level == "wind_down" else ""), "\n\n".join(words))]


def _until_then(row: Mapping[str, Any], back: Money, tier: str) -> str:
    said = gettext("Until then all is as before; your {tier} licence is not renewed. It has {pictures} left.").format(
        tier=tier, pictures=count(row["units_left"], "picture", "pictures")
    )
    if not back.amount:
        return said
    estimate = gettext("If you make nothing more until then, about {money} goes back to your prepaid money.")
    return f"{said} {estimate.format(money=money(back))}"


def _kept() -> str:
    return gettext("Pictures that you bought stay yours, and their certificates stay valid.")


def _tier(name: str) -> str:
    """As it is written within a sentence."""
    return inline(gettext(name.capitalize()))
