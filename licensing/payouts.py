"""Earnings on their way to creators: opened, gathered into runs for the bank, ended, and reversed where they came back.

    open -> paid (-> reversed) | failed

What is free of a creator's earnings moves from `payable` to `paying` when a payout is opened, leaves the house when it
is paid, and is payable again where it failed or came back. Nothing that a creator owes elsewhere is set against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Answer, Connection, ask
from licensing.errors import Refusal, refuse
from licensing.ledger import balance
from licensing.money import Money
from licensing.payees import Account, BankAccount, Method, ProviderAccount, last_payday
from licensing.sentence import say

PayoutState = Literal["open", "paid", "failed", "reversed"]


@dataclass(frozen=True, kw_only=True)
class Payout:
    """One transfer to a creator. `reference` is the transfer's, once it was paid; `reason` says why it failed or came
    back. `payee_version` is where it goes, whatever was changed since. `run_id` names the bank file it is in."""

    id: str
    creator_id: str
    payee_version: int
    method: Method
    amount: Money
    run_id: str | None
    state: PayoutState
    reference: str | None
    reason: str | None
    opened_at: datetime
    ended_at: datetime | None
    reversed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class DuePayout:
    """A creator whose payday came and who has the minimum: `free` is what would be paid now."""

    creator_id: str
    method: Method
    free: Money
    minimum: Money


@dataclass(frozen=True, kw_only=True)
class Run:
    """Payouts that stand together in one bank file; `still_open` of its `payouts` have not ended."""

    id: str
    made_at: datetime
    payouts: int
    still_open: int
    total: Money


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A payout with the whole account it goes to, for whoever carries it out. `account` is None where it was erased
    after the payout had ended."""

    payout: Payout
    account: Account | None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What became of a creator's earnings: free to be paid out, held in disputes, on its way, and paid out so far."""

    payable: Money
    held: Money
    paying: Money
    paid: Money


async def due_payouts(conn: Connection, *, now: datetime, limit: int = 1000) -> list[DuePayout]:
    """Creators whose payday was, who had their minimum then and still have it, and got no payout since.

    Paydays are Mondays or firsts of a month (`licensing.payees.last_payday`). Whatever was earned since the payday goes
    along. A payout that failed is tried again at the next payday, or when somebody asks.
    """
    rows = await conn.fetch(_DUE, last_payday("weekly", now), last_payday("monthly", now), now, limit)
    return [
        DuePayout(
            creator_id=row["creator_id"],
            method=row["method"],
            free=Money(row["free"], row["currency"]),
            minimum=Money(row["minimum"], row["currency"]),
        )
        for row in rows
    ]


async def open_payout(
    conn: Connection, *, payout_id: str, creator_id: str, at_least: Money, now: datetime
) -> Payout | Refusal:
    """Take all that is free of a creator's earnings on its way, in one commit; the same id again returns that payout.

    `at_least` is the creator's minimum for one that is due, and the operator's smallest for one that was asked for.
    Refusals: conflict (less is free, another one is on its way, nobody has said where to, or the account was changed
    lately).
    """
    answer = await ask(conn, "open_payout", payout_id, creator_id, at_least.amount, at_least.currency, now)
    if answer.outcome == "too_little":
        free = Money(answer.detail["free"], at_least.currency)
        return refuse(
            "conflict",
            what=say(
                "{free} of the earnings of {creator_id} are free, and a payout needs {at_least}; wait for more sales",
                free=free,
                creator_id=creator_id,
                at_least=at_least,
            ),
        )
    return await _moved(conn, payout_id, answer)


async def end_payout(
    conn: Connection, *, payout_id: str, outcome: Literal["paid", "failed"], detail: str, now: datetime
) -> Payout | Refusal:
    """A payout arrived, and `detail` is the transfer's reference; or it did not, and `detail` is the reason.

    The same again returns it as it is. Refusals: not_found, conflict (it ended otherwise), invalid_request (no detail).
    """
    return await _move(conn, payout_id, outcome, detail, now)


async def reverse_payout(conn: Connection, *, payout_id: str, reason: str, now: datetime) -> Payout | Refusal:
    """A transfer came back after it had been paid: the money is the creator's again. Refusals as of `end_payout`."""
    return await _move(conn, payout_id, "reversed", reason, now)


async def make_run(conn: Connection, *, run_id: str, currency: str, now: datetime) -> list[Payout] | Refusal:
    """Gather every open payout by bank that is in no run yet; the same id again returns that run's.

    Nothing joins a run later, so what is confirmed is what stood in its file. Refusals: conflict (nothing waits).
    """
    answer = await ask(conn, "make_run", run_id, currency, now)
    return answer.refusal or await payouts_of_run(conn, run_id)


async def confirm_run(conn: Connection, *, run_id: str, reference: str, now: datetime) -> list[Payout] | Refusal:
    """The bank carried out a run: what of it is still open was paid, in one commit. Returns all payouts of the run.

    What did not go through is ended as failed before, or reversed after. Refusals: not_found.
    """
    if not reference.strip():
        return refuse("invalid_request", what=say("Give the reference that the bank knows the run by"))
    answer = await ask(conn, "confirm_run", run_id, reference, now)
    return answer.refusal or await payouts_of_run(conn, run_id)


async def payouts(conn: Connection, *, creator_id: str, limit: int = 100, before: str | None = None) -> list[Payout]:
    """A creator's payouts, newest first, those after the one with the id `before`."""
    rows = await conn.fetch(
        "SELECT * FROM licensing.payout WHERE creator_id = $1 AND ($2::text IS NULL OR (opened_at, payout_id)"
        " < (SELECT opened_at, payout_id FROM licensing.payout WHERE payout_id = $2 AND creator_id = $1))"
        " ORDER BY opened_at DESC, payout_id DESC LIMIT $3",
        *(creator_id, before, limit),
    )
    return [_payout(row) for row in rows]


async def find_payout(conn: Connection, payout_id: str) -> Payout | None:
    """A payout that the connection's party may see."""
    row = await conn.fetchrow("SELECT * FROM licensing.payout WHERE payout_id = $1", payout_id)
    return _payout(row) if row else None


async def open_payouts(
    conn: Connection, *, method: Method | None = None, limit: int = 100, after: str | None = None
) -> list[Payout]:
    """All that is on its way, oldest first, those after the one with the id `after`. For the operator."""
    rows = await conn.fetch(
        "SELECT * FROM licensing.payout WHERE state = 'open' AND ($1::text IS NULL OR method = $1)"
        " AND ($2::text IS NULL OR (opened_at, payout_id)"
        " > (SELECT opened_at, payout_id FROM licensing.payout WHERE payout_id = $2))"
        " ORDER BY opened_at, payout_id LIMIT $3",
        *(method, after, limit),
    )
    return [_payout(row) for row in rows]


async def payouts_of_run(conn: Connection, run_id: str) -> list[Payout]:
    """All payouts of a run, whatever became of them, by their ids."""
    rows = await conn.fetch("SELECT * FROM licensing.payout WHERE run_id = $1 ORDER BY payout_id", run_id)
    return [_payout(row) for row in rows]


async def runs(conn: Connection, *, limit: int = 100, before: str | None = None) -> list[Run]:
    """Runs, newest first, those after the one with the id `before`."""
    rows = await conn.fetch(
        """
        SELECT r.*, count(*)::int AS payouts, (count(*) FILTER (WHERE p.state = 'open'))::int AS still_open,
               sum(p.amount)::bigint AS total
        FROM licensing.payout_run r JOIN licensing.payout p USING (run_id)
        WHERE $1::text IS NULL
           OR (r.made_at, r.run_id) < (SELECT made_at, run_id FROM licensing.payout_run WHERE run_id = $1)
        GROUP BY r.run_id ORDER BY r.made_at DESC, r.run_id DESC LIMIT $2
        """,
        *(before, limit),
    )
    return [
        Run(
            id=row["run_id"],
            made_at=row["made_at"],
            payouts=row["payouts"],
            still_open=row["still_open"],
            total=Money(row["total"], row["currency"]),
        )
        for row in rows
    ]


async def transfers(conn: Connection, payout_ids: Sequence[str]) -> list[Transfer]:
    """Payouts with the whole accounts they go to, by their ids. Of the house alone: nobody else sees accounts."""
    rows = await conn.fetch(
        """
        SELECT p.*, e.holder, e.account, e.bic
        FROM licensing.payout p JOIN licensing.payee e ON (e.creator_id, e.version) = (p.creator_id, p.payee_version)
        WHERE p.payout_id = ANY ($1) ORDER BY p.payout_id
        """,
        list(payout_ids),
    )
    return [Transfer(payout=_payout(row), account=_account(row)) for row in rows]


async def standing(conn: Connection, *, creator_id: str, currency: str = "EUR") -> Standing:
    """What became of a creator's earnings. `payable` below zero is filled up by the next sales."""
    payable, held, paying = [
        Money(await balance(conn, f"{kind}:{creator_id}:{currency}"), currency)
        for kind in ("payable", "held", "paying")
    ]
    paid = await conn.fetchval(
        "SELECT coalesce(sum(amount), 0)::bigint FROM licensing.payout"
        " WHERE creator_id = $1 AND currency = $2 AND state = 'paid'",
        *(creator_id, currency),
    )
    return Standing(payable=payable, held=held, paying=paying, paid=Money(paid, currency))


# $1 the last weekly payday, $2 the last monthly one, $3 now, $4 the limit. What was payable on the payday is what is
# payable now without the entries since; those are looked for behind the last payout.
_DUE = """
    SELECT payee.creator_id, payee.method, payee.minimum, payee.currency, free.amount AS free
    FROM (SELECT DISTINCT ON (creator_id) *, CASE schedule WHEN 'weekly' THEN $1::timestamptz ELSE $2 END AS payday
          FROM licensing.payee ORDER BY creator_id, version DESC) payee
    LEFT JOIN LATERAL (
        SELECT o.opened_at, o.state, g.group_no FROM licensing.payout o
        JOIN licensing.entry_group g ON g.kind = 'payout' AND g.subject = o.payout_id
        WHERE o.creator_id = payee.creator_id AND o.currency = payee.currency
        ORDER BY o.opened_at DESC, o.payout_id DESC LIMIT 1) last ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount), 0)::bigint AS amount FROM licensing.entry e
        WHERE e.account_id = 'payable:' || payee.creator_id || ':' || payee.currency) free
    WHERE payee.schedule <> 'never' AND payee.account <> '' AND payee.pays_from <= $3
      AND (last.opened_at IS NULL OR (last.opened_at < payee.payday AND last.state <> 'open'))
      AND free.amount >= payee.minimum
      AND free.amount - (
          SELECT coalesce(sum(e.amount), 0) FROM licensing.entry e JOIN licensing.entry_group g USING (group_no)
          WHERE e.account_id = 'payable:' || payee.creator_id || ':' || payee.currency
            AND e.group_no > coalesce(last.group_no, 0) AND g.at >= payee.payday) >= payee.minimum
    ORDER BY payee.creator_id LIMIT $4
"""


async def _move(conn: Connection, payout_id: str, to: PayoutState, detail: str, now: datetime) -> Payout | Refusal:
    if not detail.strip():
        return refuse(
            "invalid_request",
            what=say("Say as what payout {payout_id} was paid, or why it was not", payout_id=payout_id),
        )
    return await _moved(conn, payout_id, await ask(conn, "move_payout", payout_id, to, detail, now))


async def _moved(conn: Connection, payout_id: str, answer: Answer) -> Payout | Refusal:
    if answer.refusal is not None:
        return answer.refusal
    return _payout(await conn.fetchrow("SELECT * FROM licensing.payout WHERE payout_id = $1", payout_id))


def _account(row: Mapping[str, Any]) -> Account | None:
    if not row["account"]:
        return None
    if row["method"] == "stripe":
        return ProviderAccount(reference=row["account"])
    return BankAccount(holder=row["holder"], iban=row["account"], bic=row["bic"])


def _payout(row: Mapping[str, Any]) -> Payout:
    return Payout(
        id=row["payout_id"],
        creator_id=row["creator_id"],
        payee_version=row["payee_version"],
        method=row["method"],
        amount=Money(row["amount"], row["currency"]),
        run_id=row["run_id"],
        state=row["state"],
        reference=row["reference"],
        reason=row["reason"],
        opened_at=row["opened_at"],
        ended_at=row["ended_at"],
        reversed_at=row["reversed_at"],
    )
