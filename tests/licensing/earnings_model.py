"""What becomes of one creator's earnings, in Python and without a database: sales, refunds, disputes, payouts.

Sums of accounts are not moved here but counted anew from what happened, so that the model cannot make the same mistake
as entries would.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor

PRICE, SHARE, FEE = 60, 51, 9
CHANGE_DELAY = timedelta(hours=72)
OUTCOMES = {"creator": ("released", "corrected")}
PARTIES = ("refunded", "released", "partly")


@dataclass
class Output:
    client: str
    order: str
    sold_at: datetime
    revoked: bool = False
    to_client: int = 0
    from_share: int = 0
    sides: set[str] = field(default_factory=set)
    freed_at: datetime | None = None

    @property
    def net(self) -> int:
        return PRICE - self.to_client

    @property
    def share(self) -> int:
        return SHARE - self.from_share

    @property
    def fee(self) -> int:
        return self.net - self.share


@dataclass
class Dispute:
    opener: str
    client: str
    outputs: dict[str, int]
    """What is held of each output that is not decided yet."""
    answer_due: datetime | None
    decide_due: datetime
    state: str = "open"
    answered: bool = False
    outcome: str | None = None
    amount: int | None = None
    appeal_due: datetime | None = None
    appealed: bool = False


@dataclass
class Payout:
    amount: int
    state: str = "open"


@dataclass
class Model:
    now: datetime
    pays_from: datetime
    outputs: dict[str, Output] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return sum(sum(one.outputs.values()) for one in self.disputes.values())

    def paid(self, state: str) -> int:
        return sum(one.amount for one in self.payouts.values() if one.state == state)

    @property
    def payable(self) -> int:
        earned = sum(one.share for one in self.outputs.values() if not one.revoked)
        return earned - self.held - self.paid("open") - self.paid("paid")

    @property
    def fees(self) -> int:
        return sum(one.fee for one in self.outputs.values() if not one.revoked)

    def came_back(self, client: str) -> int:
        """What a client has back of what they spent."""
        mine = [one for one in self.outputs.values() if one.client == client]
        return sum(PRICE if one.revoked else one.to_client for one in mine)

    def refund(self, output_id: str) -> None:
        self.outputs[output_id].revoked = True
        for dispute in self.disputes.values():
            if output_id in dispute.outputs:
                del dispute.outputs[output_id]
                if not dispute.outputs:
                    dispute.state, dispute.outcome, dispute.amount = "closed", "refunded", None
        self.outputs[output_id].freed_at = self.now

    def open(self, dispute_id: str, side: str, output_ids: list[str]) -> str:
        found = {one: self.outputs[one] for one in output_ids if not self.outputs[one].revoked}
        busy = {output_id for one in self.disputes.values() for output_id in one.outputs}
        if not found or busy & found.keys():
            return "conflict"
        if side != "operator":
            oldest = min(one.sold_at for one in found.values())
            freed = [one.freed_at for one in found.values() if one.freed_at and one.sides]
            is_late = oldest < self.now - timedelta(days=30)
            if any(side in one.sides for one in found.values()):
                return "conflict"
            if is_late and not any(at >= self.now - timedelta(days=7) for at in freed):
                return "conflict"
        answer_due = None if side == "creator" else self.now + timedelta(days=7)
        client = next(iter(found.values())).client
        held = {output_id: one.share for output_id, one in found.items()}
        self.disputes[dispute_id] = Dispute(side, client, held, answer_due, working_days(answer_due or self.now))
        for one in found.values():
            one.sides.add(side)
        return "done"

    def say(self, dispute_id: str, side: str) -> str:
        one = self.disputes[dispute_id]
        if side == "client" and one.opener == "creator":
            return "not_found"
        if one.state not in ("open", "appealed"):
            return "conflict"
        in_time = one.answer_due is not None and self.now <= one.answer_due
        if side == "creator" and one.state == "open" and in_time and not one.answered:
            one.answered, one.decide_due = True, min(one.decide_due, working_days(self.now))
        return "done"

    def decide(self, dispute_id: str, outcome: str, amount: int | None) -> str:
        one = self.disputes[dispute_id]
        could_answer = one.answer_due is not None and not one.answered and self.now <= one.answer_due
        if one.state in ("decided", "closed") or (one.state == "open" and could_answer):
            return "conflict"
        if outcome not in OUTCOMES.get(one.opener, PARTIES):
            return "invalid_request"
        outputs = [self.outputs[output_id] for output_id in one.outputs]
        most = sum(o.net for o in outputs) - 1 if outcome == "partly" else sum(o.fee for o in outputs)
        if amount is not None and amount > most:
            return "invalid_request"
        one.outcome, one.amount = outcome, amount
        if one.state == "appealed":
            self.carry_out(one)
        else:
            one.state, one.appeal_due = "decided", self.now + timedelta(days=3)
        return "done"

    def appeal(self, dispute_id: str, side: str) -> str:
        one = self.disputes[dispute_id]
        if side == "client" and one.opener == "creator":
            return "not_found"
        if (side == "operator" and one.opener != "operator") or one.state != "decided":
            return "conflict"
        if one.appeal_due is None or self.now > one.appeal_due:
            return "conflict"
        one.state, one.appealed = "appealed", True
        return "done"

    def withdraw(self, dispute_id: str, side: str) -> str:
        one = self.disputes[dispute_id]
        if side == "client" and one.opener == "creator":
            return "not_found"
        if one.opener != side or one.state != "open":
            return "conflict"
        one.outcome = "withdrawn"
        self.carry_out(one)
        return "done"

    def close(self, dispute_id: str) -> bool:
        one = self.disputes[dispute_id]
        if one.state != "decided" or one.appeal_due is None or one.appeal_due >= self.now:
            return False
        self.carry_out(one)
        return True

    def carry_out(self, dispute: Dispute) -> None:
        found, dispute.outputs, dispute.state = sorted(dispute.outputs), {}, "closed"
        weights = [
            self.outputs[name].fee if dispute.outcome == "corrected" else self.outputs[name].net for name in found
        ]
        amount, upto = min(dispute.amount or 0, sum(weights)), 0
        for name, weight in zip(found, weights, strict=True):
            output = self.outputs[name]
            output.freed_at = self.now
            part = amount * (upto + weight) // sum(weights) - amount * upto // sum(weights)
            upto += weight
            if dispute.outcome == "refunded":
                output.revoked = True
            elif dispute.outcome == "corrected":
                output.from_share -= part
            elif dispute.outcome == "partly":
                of_fee = floor(Fraction(part * output.fee, output.net) + Fraction(1, 2))
                output.to_client += part
                output.from_share += part - of_fee

    def open_payout(self, payout_id: str, at_least: int) -> str:
        if self.paid("open") or self.pays_from > self.now or self.payable < max(at_least, 1):
            return "conflict"
        self.payouts[payout_id] = Payout(self.payable)
        return "done"

    def move_payout(self, payout_id: str, to: str) -> str:
        """Each word of a payout is always told in the same words, so told again it changes nothing."""
        one = self.payouts[payout_id]
        steps = {"open": ("paid", "failed"), "paid": ("reversed",)}
        said = {"paid": ("paid",), "failed": ("failed",), "reversed": ("paid", "reversed")}
        if to in said.get(one.state, ()):
            return "done"
        if to not in steps.get(one.state, ()):
            return "conflict"
        one.state = to
        return "done"


def working_days(moment: datetime) -> datetime:
    """Five working days later, day by day."""
    left = 5
    while left:
        moment += timedelta(days=1)
        left -= moment.isoweekday() <= 5
    return moment
