"""Disputes about what was sold: opened by its client, its creator or the operator, decided by the operator, in writing.

    open -> decided -> closed, where nobody appeals in time
                    -> appealed -> closed by what is decided then

Opening holds the creator's share of the output: it moves from `payable` to `held` in the same commit, and no payout can
take it. Where it was paid out before, `payable` falls below zero by at most that share, and the next sales fill it up.
Nothing is called back from a creator's account. A decision moves money only when it is final; then all that was held
is payable again, and what the client gets is taken from there as by any refund. Only one dispute about an output runs
at a time, and a client or a creator may dispute an output once. What each step may take is in `licensing.deadlines`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from licensing import sentence
from licensing.database import Answer, Connection, ask
from licensing.deadlines import CLOCK, Clock, working_days_after
from licensing.docket import Dispute, Side, find_dispute
from licensing.errors import LedgerBroken, Refusal, refuse
from licensing.money import Money

Decision = Literal["refunded", "released", "partly", "corrected"]

GROUNDS: Mapping[Side, Mapping[str, str]] = {
    "client": {
        "not_as_ordered": sentence.say("It is not what was ordered."),
        "rights_unclear": sentence.say("It is not clear that it may be used as the licence says."),
        "other": sentence.say("Something else is wrong with the picture."),
    },
    "creator": {
        "share": sentence.say("What was earned by this sale is wrong."),
        "other": sentence.say("Something else is wrong with this line of the statement."),
    },
    "operator": {"takedown": sentence.say("Somebody else claims a right to it.")},
}
"""Why each side may dispute what was sold."""
WORDS_CHARACTERS_MAX = 4000
CONTACT_CHARACTERS_MAX = 400
REFERENCES_MAX = 10
REFERENCE_CHARACTERS_MAX = 200
NOTES_MAX = 20
"""What one side may say in one dispute, so that nobody fills the place."""


async def open_dispute(
    conn: Connection,
    *,
    dispute_id: str,
    side: Side,
    party_id: str,
    ground: str,
    words: str,
    output_id: str | None = None,
    order_id: str | None = None,
    references: Sequence[str] = (),
    contact: str | None = None,
    now: datetime,
    clock: Clock = CLOCK,
) -> Dispute | Refusal:
    """Dispute one output, or all of an order; the same id again returns that dispute.

    `party_id` is the client or the creator who opens it. A takedown is opened by the operator, and `contact` says how
    to reach the stranger who claims something; the parties never see it. `references` are opaque (files are kept
    elsewhere). The other side is the creator; a creator's own dispute is with the operator alone, and its client learns
    nothing of it. Refusals: not_found (nothing that this party bought or made), invalid_request, conflict (too late,
    disputed already, taken back already).
    """
    if (output_id is None) == (order_id is None):
        return refuse("invalid_request", what=sentence.say("Name one output or one order to dispute"))
    if ground not in GROUNDS[side]:
        return refuse(
            "invalid_request",
            what=sentence.say(
                "There is no ground {ground}; choose one of {grounds}", ground=ground, grounds=", ".join(GROUNDS[side])
            ),
        )
    has_contact = contact is not None and _is_text(contact, CONTACT_CHARACTERS_MAX)
    if has_contact != (side == "operator") or (contact is not None and not has_contact):
        return refuse(
            "invalid_request", what=sentence.say("A takedown needs how to reach who claims it, and nothing else does")
        )
    refusal = _words_refusal(words, references)
    if refusal is not None:
        return refusal
    answer_due = now + timedelta(days=clock.answer_days)
    answer = await ask(
        conn,
        "open_dispute",
        *(dispute_id, order_id, output_id, side, party_id, ground, words, list(references), contact),
        now - timedelta(days=clock.open_days),
        now - timedelta(days=clock.after_another_days),
        None if side == "creator" else answer_due,
        working_days_after(now if side == "creator" else answer_due, clock.decide_working_days),
        now,
    )
    return await _after(conn, dispute_id, answer)


async def say(
    conn: Connection,
    *,
    note_id: str,
    dispute_id: str,
    side: Side,
    party_id: str,
    words: str,
    references: Sequence[str] = (),
    now: datetime,
    clock: Clock = CLOCK,
) -> Dispute | Refusal:
    """Add evidence. The first that the other side says in its time is its answer: the operator's days count from there.

    Nothing that was said is changed later. Refusals: not_found, invalid_request, conflict (decided, or too much said).
    """
    refusal = _words_refusal(words, references)
    if refusal is not None:
        return refusal
    decide_due = working_days_after(now, clock.decide_working_days)
    said = (note_id, dispute_id, side, party_id, words, list(references))
    return await _after(conn, dispute_id, await ask(conn, "say_in_dispute", *said, NOTES_MAX, decide_due, now))


async def decide(
    conn: Connection,
    *,
    note_id: str,
    dispute_id: str,
    outcome: Decision,
    reason: str,
    amount: Money | None = None,
    now: datetime,
    clock: Clock = CLOCK,
) -> Dispute | Refusal:
    """The operator's decision with its reason. It takes effect when the time to appeal is over (`close`); one after an
    appeal is final and takes effect at once.

    `refunded` takes the sale back and revokes the certificate, for which everybody can read the reason. `released`
    changes nothing about the sale. `partly` gives `amount` back to the client, out of share and fee in proportion, and
    the certificate stays valid. A creator's own dispute ends `released`, or `corrected`: `amount` of the fee becomes
    the creator's. Refusals: not_found, invalid_request (no such outcome here, a wrong amount), conflict (decided
    already, or the other side still has time to answer).
    """
    refusal = _words_refusal(reason, ())
    if refusal is not None:
        return refusal
    if (amount is not None) != (outcome in ("partly", "corrected")) or (amount is not None and amount.amount < 1):
        return refuse(
            "invalid_request",
            what=sentence.say("Outcome {outcome} {how}", outcome=outcome, how=_AMOUNTS[outcome]),
        )
    dispute = await find_dispute(conn, dispute_id)
    if amount is not None and dispute is not None and amount.currency != dispute.currency:
        return refuse(
            "invalid_request",
            what=sentence.say(
                "Dispute {dispute_id} is about {currency}, not {amount}",
                dispute_id=dispute_id,
                currency=dispute.currency,
                amount=amount,
            ),
        )
    appeal_due = now + timedelta(days=clock.appeal_days)
    minor = amount.amount if amount is not None else None
    answer = await ask(conn, "decide_dispute", note_id, dispute_id, outcome, minor, reason, appeal_due, now)
    if answer.outcome == "beyond":
        most = Money(max(answer.detail["most"], 0), answer.detail["currency"])
        return refuse(
            "invalid_request",
            what=sentence.say(
                "Dispute {dispute_id} can give {most} at most, not {amount}; give less",
                dispute_id=dispute_id,
                most=most,
                amount=amount,
            ),
        )
    return await _after(conn, dispute_id, answer)


async def appeal(
    conn: Connection,
    *,
    note_id: str,
    dispute_id: str,
    side: Side,
    party_id: str,
    words: str,
    references: Sequence[str] = (),
    now: datetime,
    clock: Clock = CLOCK,
) -> Dispute | Refusal:
    """Ask for another decision, once and in time. Who claims from outside has the operator appeal for them.

    Refusals: not_found, invalid_request, conflict (not decided, too late, appealed before).
    """
    refusal = _words_refusal(words, references)
    if refusal is not None:
        return refusal
    final_due = working_days_after(now, clock.final_working_days)
    said = (note_id, dispute_id, side, party_id, words, list(references))
    return await _after(conn, dispute_id, await ask(conn, "appeal_dispute", *said, final_due, now))


async def withdraw(
    conn: Connection, *, note_id: str, dispute_id: str, side: Side, party_id: str, words: str, now: datetime
) -> Dispute | Refusal:
    """Let a dispute go before it is decided; what was held is payable again at once. Of its opener alone.

    Refusals: not_found, invalid_request, conflict (decided, or opened by another side).
    """
    refusal = _words_refusal(words, ())
    if refusal is not None:
        return refusal
    answer = await ask(conn, "withdraw_dispute", note_id, dispute_id, side, party_id, words, now)
    return await _after(conn, dispute_id, answer)


async def close(conn: Connection, *, dispute_id: str, now: datetime) -> bool:
    """Carry out one of `licensing.docket.due_to_close`, in one commit; False where nothing changed."""
    return (await ask(conn, "close_dispute", dispute_id, now)).outcome == "closed"


async def forget_in_disputes(conn: Connection, account_id: str) -> None:
    """Forget the words of somebody who leaves; that something was said, and what was decided, stays."""
    await conn.execute("SELECT licensing.forget_in_disputes($1)", account_id)


_AMOUNTS: Mapping[Decision, sentence.Sentence] = {
    "refunded": sentence.say("gives everything back; name no amount"),
    "released": sentence.say("gives nothing back; name no amount"),
    "partly": sentence.say("needs an amount for the client, above 0"),
    "corrected": sentence.say("needs an amount for the creator, above 0"),
}


def _words_refusal(words: str, references: Sequence[str]) -> Refusal | None:
    if not _is_text(words, WORDS_CHARACTERS_MAX):
        return refuse("invalid_request", what=sentence.say("Say it in 1 to {most} letters", most=WORDS_CHARACTERS_MAX))
    if len(references) > REFERENCES_MAX or not all(_is_text(one, REFERENCE_CHARACTERS_MAX) for one in references):
        return refuse(
            "invalid_request", what=sentence.say("At most {most} files can be named at once", most=REFERENCES_MAX)
        )
    return None


def _is_text(text: str, most: int) -> bool:
    return text.strip() != "" and len(text) <= most and "\0" not in text


async def _after(conn: Connection, dispute_id: str, answer: Answer) -> Dispute | Refusal:
    if answer.refusal is not None:
        return answer.refusal
    dispute = await find_dispute(conn, dispute_id)
    if dispute is None:
        raise LedgerBroken(f"dispute {dispute_id} answered {answer.outcome} and is not there")
    return dispute
