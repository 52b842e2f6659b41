"""The `manual` provider: clients transfer money to the operator's bank account, and a person or a bank's statement says
that it arrived."""

import hashlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from licensing.bank_statements import BankLine
from licensing.database import Connection, ask
from licensing.errors import EventRefused, ProviderRefuses, Refusal, refuse
from licensing.money import Money
from licensing.payments import Charge, Chargeback, ChargeRefund, CreatorAccount, Event, Method, Page, Setup, Transfer
from licensing.sentence import say

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without I, L, O and U, which people take for others (Crockford's base 32)."""
_DIGITS = 10
SENT_BACK = "the bank sent it back"


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Prepaid money booked for a client; `balance` is free to spend after it. `repeated` if it was booked before."""

    reference: str
    amount: Money
    balance: Money
    repeated: bool


async def credit(conn: Connection, client_id: str, amount: Money, reference: str, now: datetime) -> Credit | Refusal:
    """Add prepaid money to a client, once per `reference` (a bank statement's line, a receipt's number).

    Refusals: invalid_request (not above 0), conflict (the reference was booked for another client or amount).
    """
    if amount.amount <= 0:
        return refuse(
            "invalid_request", what=say("A credit of {amount} cannot be booked; give an amount above 0", amount=amount)
        )
    answer = await ask(conn, "credit", client_id, amount.amount, amount.currency, f"manual:{reference}", "cash", now)
    return answer.refusal or Credit(
        reference=reference,
        amount=amount,
        balance=Money(answer.detail["left"], amount.currency),
        repeated=answer.detail["repeated"],
    )


def code_of(our_id: str, letters: str = "OH") -> str:
    """What is written on the transfer for one of our ids: `OH-7K3F9-Q2MXA`; `OR` for a refund, `OP` for a payout.

    Fifty bits of its hash: of a million some share one with a chance of 1 in 2,000, and the table refuses the second.
    """
    number = int.from_bytes(hashlib.sha256(our_id.encode()).digest()) >> (256 - 5 * _DIGITS)
    digits = "".join(_LETTERS[number >> (5 * place) & 31] for place in reversed(range(_DIGITS)))
    return _written(letters, digits)


def code_in(text: str, letters: str) -> str:
    """The code with these letters that stands in what was written on a transfer, or nothing."""
    # Banks put blanks and dashes wherever their forms have room.
    found = re.search(f"{letters}([{_LETTERS}]{{{_DIGITS}}})", re.sub(r"[^0-9A-Z]", "", text.upper()))
    return _written(letters, found[1]) if found else ""


@dataclass(frozen=True, kw_only=True)
class Manual:
    """Payments by bank transfer. `lines` is what the bank has booked, as far as somebody brought it here: it is this
    provider's list. It sends no events."""

    lines: tuple[BankLine, ...] = ()
    name: str = "manual"
    repeats_within: timedelta | None = None
    lists_all: bool = False

    async def begin_setup(
        self, *, setup_id: str, client_id: str, return_url: str, present: Method | None = None
    ) -> Page | None:
        return None

    async def find_setup(self, reference: str) -> Setup:
        raise ProviderRefuses(f"setup {reference} is not of the manual provider: it saves nothing")

    async def forget_method(self, method: str) -> None:
        """There is none."""

    def instructions(self, *, payment_id: str, amount: Money) -> str | None:
        return say(
            "Transfer {amount} with the reference {code}; it counts when it has arrived.",
            amount=amount,
            code=code_of(payment_id),
        )

    async def charge(self, *, payment_id: str, amount: Money, method: str | None) -> Charge:
        return Charge(payment_id=payment_id, reference=code_of(payment_id), state="pending", amount=amount)

    async def refund(self, *, refund_id: str, charge: str, amount: Money) -> ChargeRefund:
        return ChargeRefund(refund_id=refund_id, reference=code_of(refund_id, "OR"), state="pending", amount=amount)

    async def begin_onboarding(self, *, creator_id: str, account: str | None, return_url: str) -> Page | None:
        return None

    async def find_account(self, account: str) -> CreatorAccount:
        return CreatorAccount(reference=account, creator_id=None, is_ready=True)

    async def transfer(self, *, payout_id: str, amount: Money, account: str) -> Transfer:
        return Transfer(
            payout_id=payout_id,
            reference=code_of(payout_id, "OP"),
            state="pending",
            amount=amount,
            returned=Money(0, amount.currency),
        )

    async def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        raise EventRefused("the manual provider sends no events; give it the bank's statement instead")

    async def list_charges(self, since: datetime) -> AsyncIterator[Charge]:
        for code, amount in _sums(self.lines, "OH", 1):
            yield Charge(payment_id=None, reference=code, state="succeeded", amount=amount)

    async def list_refunds(self, since: datetime) -> AsyncIterator[ChargeRefund]:
        back = _sums(self.lines, "OR", 1)
        for code, amount in _sums(self.lines, "OR", -1):
            told = ChargeRefund(refund_id=None, reference=code, state="succeeded", amount=amount)
            yield replace(told, state="failed", reason=SENT_BACK) if (code, amount) in back else told

    async def list_chargebacks(self, since: datetime) -> AsyncIterator[Chargeback]:
        # Nobody takes a transfer back.
        for taken_back in list[Chargeback]():
            yield taken_back

    async def list_transfers(self, since: datetime) -> AsyncIterator[Transfer]:
        for code, amount in _sums(self.lines, "OP", -1):
            back = Money(0, amount.currency)
            yield Transfer(payout_id=None, reference=code, state="succeeded", amount=amount, returned=back)

    async def close(self) -> None:
        """There is nothing to close."""


def _sums(lines: Iterable[BankLine], letters: str, sign: int) -> list[tuple[str, Money]]:
    """What was transferred under each code in one direction, in parts or at once; a line of the bank counts once. Lines
    without a code are not told: an operator's account is used for more than this."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for line in {line.id: line for line in lines}.values():
        code = code_in(line.text, letters)
        if code and line.amount.amount * sign > 0:
            sums[code, line.amount.currency] += line.amount.amount * sign
    return [(code, Money(amount, currency)) for (code, currency), amount in sums.items()]


def _written(letters: str, digits: str) -> str:
    return f"{letters}-{digits[:5]}-{digits[5:]}"
