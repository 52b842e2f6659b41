"""Any order of sales, refunds, disputes and payouts: the database does what the small model does, to the cent."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from licensing import disputes, docket, gateway, payees, payouts, terms
from licensing.errors import Refusal
from licensing.ledger import balance, check
from licensing.payments import manual
from licensing.prices import load_prices
from licensing.refunds import refund_output
from tests.licensing.earnings_model import CHANGE_DELAY, FEE, PARTIES, PRICE, SHARE, Model, Output
from tests.licensing.paying import ACCOUNT, OTHER_ACCOUNT
from tests.licensing.world import NOW, PRICES, eur, new_id, pictures

SIDES = st.sampled_from(["client", "creator", "operator"])
PURSE = 100_000
GROUNDS = {"client": "other", "creator": "share", "operator": "takedown"}


def name_of(answer: Any) -> str:
    return answer.slug if isinstance(answer, Refusal) else "done"


class Earnings(RuleBasedStateMachine):
    """Rules do the same to both and compare the answers; invariants compare what is where."""

    url = ""

    @initialize()
    def begin_with_a_creator(self) -> None:
        self.loop = asyncio.Runner()
        self.conn: asyncpg.Connection = self.do(asyncpg.connect(self.url))
        wanted = load_prices(PRICES).default_terms(style_id=new_id("sty"), creator_id=new_id("acc"))
        self.style = self.do(terms.put_terms(self.conn, wanted, by="test", now=NOW))
        self.creator = self.style.creator_id
        self.clients = [new_id("acc") for _ in range(2)]
        self.spent = dict.fromkeys(self.clients, 0)
        self.fees = self.do(balance(self.conn, "fee:operator:EUR"))
        for client in self.clients:
            self.do(manual.credit(self.conn, client, eur(PURSE), new_id("ref"), NOW))
        self.model = Model(now=NOW, pays_from=NOW + CHANGE_DELAY)
        self.account = ACCOUNT
        self.put_payee()

    def do(self, work: Any) -> Any:
        return self.loop.run(work)

    def put_payee(self) -> None:
        self.do(
            payees.put_payee(
                self.conn,
                creator_id=self.creator,
                account=self.account,
                minimum=eur(100),
                schedule="weekly",
                smallest=eur(100),
                by="test",
                now=self.model.now,
            )
        )

    @rule(client=st.sampled_from([0, 1]), count=st.integers(1, 3))
    def sell(self, client: int, count: int) -> None:
        order = gateway.Reserve(
            order_id=new_id("gen"),
            client_id=self.clients[client],
            key_id=None,
            idempotency_key=None,
            request_hash="body",
            style_id=self.style.style_id,
            creator_id=self.creator,
            tier="personal",
            count=count,
            hold_s=900,
        )
        names = [new_id("out") for _ in range(count)]
        now = self.model.now
        self.do(gateway.reserve(self.conn, order, now=now))
        self.do(gateway.begin(self.conn, order_id=order.order_id, now=now))
        self.do(gateway.settle(self.conn, order_id=order.order_id, fence=1, made=pictures(*names), now=now))
        self.spent[order.client_id] += PRICE * count
        for name in names:
            self.model.outputs[name] = Output(order.client_id, order.order_id, now)

    @precondition(lambda self: self.model.outputs)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        output_id = self.pick(data, self.model.outputs)
        answer = self.do(refund_output(self.conn, output_id=output_id, reason="r", by="op", now=self.model.now))
        assert answer.repeated is self.model.outputs[output_id].revoked
        if not answer.repeated:
            self.model.refund(output_id)

    @precondition(lambda self: self.model.outputs)
    @rule(data=st.data(), side=SIDES, whole=st.booleans())
    def open_dispute(self, data: st.DataObject, side: Any, whole: bool) -> None:
        output_id, dispute_id = self.pick(data, self.model.outputs), new_id("dsp")
        output = self.model.outputs[output_id]
        order = [name for name, one in self.model.outputs.items() if one.order == output.order]
        answer = self.do(
            disputes.open_dispute(
                self.conn,
                dispute_id=dispute_id,
                side=side,
                party_id=self.party(side, output.client),
                ground=GROUNDS[side],
                words="w",
                output_id=None if whole else output_id,
                order_id=output.order if whole else None,
                contact="c" if side == "operator" else None,
                now=self.model.now,
            )
        )
        assert name_of(answer) == self.model.open(dispute_id, side, order if whole else [output_id])

    @precondition(lambda self: self.model.disputes)
    @rule(data=st.data(), side=SIDES, verb=st.sampled_from(["say", "say", "appeal", "appeal", "withdraw"]))
    def act(self, data: st.DataObject, side: Any, verb: str) -> None:
        dispute_id = self.pick(data, self.model.disputes)
        answer = self.do(
            getattr(disputes, verb)(
                self.conn,
                note_id=new_id("note"),
                dispute_id=dispute_id,
                side=side,
                party_id=self.party(side, self.model.disputes[dispute_id].client),
                words="w",
                now=self.model.now,
            )
        )
        assert name_of(answer) == getattr(self.model, verb)(dispute_id, side)

    @precondition(lambda self: self.model.disputes)
    @rule(data=st.data(), outcome=st.sampled_from([*PARTIES, "partly", "corrected"]), amount=st.integers(1, 130))
    def decide(self, data: st.DataObject, outcome: Any, amount: int) -> None:
        dispute_id = self.pick(data, self.model.disputes)
        minor = amount if outcome in ("partly", "corrected") else None
        answer = self.do(
            disputes.decide(
                self.conn,
                note_id=new_id("note"),
                dispute_id=dispute_id,
                outcome=outcome,
                amount=eur(minor) if minor else None,
                reason="r",
                now=self.model.now,
            )
        )
        assert name_of(answer) == self.model.decide(dispute_id, outcome, minor)

    @rule(hours=st.sampled_from([1, 20, 72, 73, 24 * 7, 24 * 8, 24 * 31]))
    def wait(self, hours: int) -> None:
        self.model.now += timedelta(hours=hours)

    @precondition(lambda self: self.model.disputes)
    @rule()
    def sweep(self) -> None:
        due = set(self.do(docket.due_to_close(self.conn, now=self.model.now, limit=10_000)))
        for dispute_id in self.model.disputes:
            assert self.model.close(dispute_id) is (dispute_id in due)
            assert self.do(disputes.close(self.conn, dispute_id=dispute_id, now=self.model.now)) is (dispute_id in due)

    @rule(at_least=st.sampled_from([1, 1, 100, 400]))
    def open_payout(self, at_least: int) -> None:
        payout_id = new_id("pay")
        answer = self.do(
            payouts.open_payout(
                self.conn,
                payout_id=payout_id,
                creator_id=self.creator,
                at_least=eur(at_least),
                now=self.model.now,
            )
        )
        assert name_of(answer) == self.model.open_payout(payout_id, at_least)

    @precondition(lambda self: self.model.payouts)
    @rule(data=st.data(), to=st.sampled_from(["paid", "paid", "failed", "reversed"]))
    def move_payout(self, data: st.DataObject, to: Any) -> None:
        payout_id = self.pick(data, self.model.payouts)
        if to == "reversed":
            work = payouts.reverse_payout(self.conn, payout_id=payout_id, reason="reversed", now=self.model.now)
        else:
            work = payouts.end_payout(self.conn, payout_id=payout_id, outcome=to, detail=to, now=self.model.now)
        assert name_of(self.do(work)) == self.model.move_payout(payout_id, to)

    @rule()
    def change_account(self) -> None:
        self.account = OTHER_ACCOUNT if self.account is ACCOUNT else ACCOUNT
        self.put_payee()
        self.model.pays_from = self.model.now + CHANGE_DELAY

    @invariant()
    def money_is_where_the_model_has_it(self) -> None:
        if not hasattr(self, "model"):
            return
        found = self.do(payouts.standing(self.conn, creator_id=self.creator))
        assert (found.payable, found.held) == (eur(self.model.payable), eur(self.model.held))
        assert (found.paying, found.paid) == (eur(self.model.paid("open")), eur(self.model.paid("paid")))
        assert self.do(balance(self.conn, "fee:operator:EUR")) == self.fees + self.model.fees
        for client in self.clients:
            prepaid = self.do(balance(self.conn, f"prepaid:{client}:EUR"))
            assert prepaid == PURSE - self.spent[client] + self.model.came_back(client)

    @invariant()
    def disputes_stand_where_the_model_has_them(self) -> None:
        for dispute_id, one in getattr(getattr(self, "model", None), "disputes", {}).items():
            found = self.do(docket.find_dispute(self.conn, dispute_id))
            amount = eur(one.amount) if one.amount else None
            assert (found.state, found.outcome, found.amount) == (one.state, one.outcome, amount)
            assert (found.held, found.decide_due_at) == (eur(sum(one.outputs.values())), one.decide_due)
            assert (found.answer_due_at, found.answered_at is not None) == (one.answer_due, one.answered)

    def party(self, side: str, client: str) -> str:
        return {"client": client, "creator": self.creator, "operator": "operator"}[side]

    def pick(self, data: st.DataObject, among: dict[str, Any]) -> str:
        """One of them, mostly a late one."""
        return data.draw(st.sampled_from(list(among)[-4:]))

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            assert self.do(check(self.conn)) == []
            self.do(self.conn.close())
            self.loop.close()


@pytest.mark.parametrize("examples", [40, pytest.param(300, marks=pytest.mark.long)])
def test_earnings_go_where_the_model_has_them(licensing_url: str, examples: int):
    assert PRICE == SHARE + FEE
    Earnings.url = licensing_url
    quiet = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )

    run_state_machine_as_test(Earnings, settings=quiet)
