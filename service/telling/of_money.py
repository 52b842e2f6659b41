"""Papers, payouts, monthly dues, and money that a bank took back."""

from datetime import datetime, timedelta

from licensing.billing.invoices import Paper
from licensing.database import Connection
from licensing.money import Money
from service.accounts import language_of, languages_of
from service.formats import day, money, month
from service.languages import Words, gettext, speaking
from service.letters import Letter, write_letter, write_letters

OVERDUE_TOLD_FOR = timedelta(days=7)
"""A paper that is overdue for longer was told of before."""
_LOOKED_BACK = timedelta(days=2)
# A sweep comes by these again and again; who was told before is known by the letter's key.
_CHARGEBACKS = """
SELECT provider, reference, payment_id, client_id, amount, from_prepaid, from_account, currency, state
FROM licensing.chargeback WHERE greatest(created_at, ended_at) > $1 ORDER BY created_at, reference
"""
_PAYOUTS = """
SELECT payout_id, creator_id, amount, currency, state, reason FROM licensing.payout
WHERE (ended_at = $1 OR reversed_at = $1) AND state IN ('paid', 'failed', 'reversed')
"""
_PAYOUT_KINDS = {"paid": "payout.paid", "failed": "payout.failed", "reversed": "payout.returned"}
_PAYOUT_SUBJECTS = Words(
    {
        "paid": "{amount} is on its way to you",
        "failed": "A payout of {amount} failed",
        "reversed": "A payout of {amount} came back",
    }
)
_PAYOUT_WORDS = Words(
    {
        "paid": "It was sent to the account that you named.",
        "failed": "The money is yours to be paid out again. Look whether the account that you named is right.\n\n"
        "What was said: {reason}",
        "reversed": "The money is yours to be paid out again. Look whether the account that you named is right.\n\n"
        "What was said: {reason}",
    }
)
_TAKEN_BACK = Words(
    {
        "client": "What you paid is prepaid money again, and the certificate is revoked.\n\nThe reason: {reason}",
        "creator": "Your share of it goes back, and the certificate is revoked.\n\nThe reason: {reason}",
    }
)


async def tell_paper(conn: Connection, number: str, *, now: datetime) -> None:
    """Tell a client of an invoice or a credit note. In the transaction that issues it."""
    row = await conn.fetchrow(
        "SELECT client_id, kind, corrects, due_on, total, due, currency FROM licensing.invoice WHERE number = $1",
        number,
    )
    total, due = Money(row["total"], row["currency"]), Money(row["due"], row["currency"])
    with speaking(await language_of(conn, row["client_id"])):
        if row["kind"] == "credit_note":
            subject = gettext("Credit note {number}").format(number=number)
            words = gettext("{total} were given back, with invoice {invoice}.").format(
                total=money(total), invoice=row["corrects"]
            )
        elif due.amount:
            subject = gettext("Invoice {number}: {due} to pay").format(number=number, due=money(due))
            words = gettext("It comes to {total}. {due} of it is to be paid until {until}.").format(
                total=money(total), due=money(due), until=day(row["due_on"])
            )
        else:
            subject = gettext("Invoice {number}").format(number=number)
            words = gettext("It comes to {total}, and is paid.").format(total=money(total))
        letter = Letter(
            kind="invoice.issued",
            account_id=row["client_id"],
            about=number,
            subject=subject,
            words=words,
            path="/desk/money",
        )
    await write_letter(conn, letter, now=now)


async def tell_overdue(conn: Connection, paper: Paper, *, now: datetime) -> None:
    """Tell a client of an invoice whose day is over, once."""
    if not timedelta() < now.date() - paper.due_on <= OVERDUE_TOLD_FOR:
        return
    with speaking(await language_of(conn, paper.client_id)):
        words = gettext(
            "{due} was to be paid until {until}. Until it is, a plan that pays pictures on account does so no more."
        )
        letter = Letter(
            kind="invoice.overdue",
            account_id=paper.client_id,
            about=paper.number,
            subject=gettext("Invoice {number} is overdue").format(number=paper.number),
            words=words.format(due=money(paper.due - paper.settled), until=day(paper.due_on)),
            path="/desk/money",
        )
    await write_letter(conn, letter, now=now)


async def tell_payouts(conn: Connection, *, now: datetime) -> None:
    """Tell creators which payouts were sent, failed or came back at this moment. In the transaction of that."""
    rows = await conn.fetch(_PAYOUTS, now)
    languages = await languages_of(conn, [row["creator_id"] for row in rows])
    letters = []
    for row in rows:
        with speaking(languages[row["creator_id"]]):
            letter = Letter(
                kind=_PAYOUT_KINDS[row["state"]],
                account_id=row["creator_id"],
                about=row["payout_id"],
                subject=_PAYOUT_SUBJECTS[row["state"]].format(amount=money(Money(row["amount"], row["currency"]))),
                words=_PAYOUT_WORDS[row["state"]].format(reason=row["reason"]),
                path="/studio/payouts",
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now)


async def tell_taken_back(conn: Connection, output_id: str, *, now: datetime) -> None:
    """Tell both sides of a sale that the operator took it back. In the transaction of that; where a dispute did, its
    letters say so."""
    row = await conn.fetchrow(
        "SELECT o.client_id, o.creator_id, o.revoked_reason, s.name FROM licensing.output o"
        " JOIN service.styles s ON s.id = o.style_id WHERE o.output_id = $1",
        output_id,
    )
    told = ((row["client_id"], "client", "/desk/money"), (row["creator_id"], "creator", "/studio/earnings"))
    languages = await languages_of(conn, [row["client_id"], row["creator_id"]])
    letters = []
    for account_id, side, path in told:
        with speaking(languages[account_id]):
            letter = Letter(
                kind="sale.refunded",
                account_id=account_id,
                about=output_id,
                subject=gettext("The sale of a picture of “{name}” was taken back").format(name=row["name"]),
                words=_TAKEN_BACK[side].format(reason=row["revoked_reason"]),
                path=path,
            )
            letters.append(letter)
    await write_letters(conn, letters, now=now)


async def tell_dues(
    conn: Connection, *, creator_id: str, of_month: str, amount: Money, taken: Money, now: datetime
) -> None:
    """Tell a creator what a month costs. In the transaction that posts it; nothing where nothing is asked."""
    if not amount.amount:
        return
    owed = amount - taken
    with speaking(await language_of(conn, creator_id)):
        words = [gettext("{amount} is asked for {month}.").format(amount=money(amount), month=month(of_month))]
        if taken.amount:
            allowed = gettext("{taken} of it was taken from your earnings, as you allowed.")
            words.append(allowed.format(taken=money(taken)))
        if owed.amount:
            words.append(gettext("{owed} is to be paid.").format(owed=money(owed)))
        words.append(gettext("Your rights and your sales depend on no payment."))
        subject = gettext("The fee for {month}: {amount}").format(month=month(of_month), amount=money(amount))
        letter = Letter(
            kind="dues.posted",
            account_id=creator_id,
            about=of_month,
            subject=subject,
            words=" ".join(words),
            path="/studio/payouts",
        )
    await write_letter(conn, letter, now=now)


async def tell_charged_back(conn: Connection, *, now: datetime) -> None:
    """Tell clients of payments that their bank took back, or gave back after all. A sweep: providers tell of these in
    several ways."""
    rows = await conn.fetch(_CHARGEBACKS, now - _LOOKED_BACK)
    languages = await languages_of(conn, [row["client_id"] for row in rows])
    letters = []
    for row in rows:
        with speaking(languages[row["client_id"]]):
            amount, prepaid, owed = (
                money(Money(row[name], row["currency"])) for name in ("amount", "from_prepaid", "from_account")
            )
            if row["state"] == "won":
                kind, subject = "payment.given_back", gettext("Your bank gave back {amount}")
                words = [gettext("The payment counts again, as if it had never been taken back.")]
            else:
                kind, subject = "payment.charged_back", gettext("Your bank took back {amount}")
                words = [gettext("It had paid that here, and was asked to undo it.")]
                if row["from_prepaid"]:
                    words.append(gettext("{amount} of it left your prepaid money.").format(amount=prepaid))
                if row["from_account"]:
                    words.append(gettext("{amount} of it is owed again.").format(amount=owed))
                words.append(
                    gettext("If you did not ask for that, speak with your bank: pictures that you bought stay yours.")
                )
            letter = Letter(
                kind=kind,
                account_id=row["client_id"],
                about=row["payment_id"],
                key=f"{row['provider']}:{row['reference']}",
                subject=subject.format(amount=amount),
                words=" ".join(words),
                path="/desk/money/payments",
            )
        letters.append(letter)
    await write_letters(conn, letters, now=now)
