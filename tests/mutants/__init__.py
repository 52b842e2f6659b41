"""Guards that keep money, rights and tenants safe, each with the text that takes it away and the tests that miss it.

`python -m tests.mutants [WORD ...]` takes away one after the other in a copy of the tree and runs its tests: they must
fail. A guard whose absence no test notices is no guard, for the next change may take it away unseen.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_GATEWAY = "tests/licensing/test_gateway.py"
_LEDGER = "tests/licensing/test_ledger.py"
_CONSTRAINTS = "tests/licensing/test_constraints.py"
_KEYS = "tests/licensing/test_keys.py"
_TOGETHER = "tests/licensing/test_together.py"
_SWITCH = "tests/licensing/test_switch.py"
_RACES = "tests/licensing/test_concurrency.py"
_VERIFY = "tests/licensing/test_verify.py"
_ACCESS = "tests/service/test_access.py"
_ROWS = "tests/service/test_row_security.py"
_PAYDAYS = "tests/licensing/test_paydays.py"
_PAYEES = "tests/licensing/test_payees.py"
_PAYMENTS = "tests/licensing/test_payments.py"
_PROVIDERS = "tests/contracts/test_payments.py"
_STRIPE = "tests/licensing/test_stripe.py"
_PAYMENT_TABLES = "licensing/migrations/0008_payments.sql"
_PAYMENT_VERBS = "licensing/sql/payments.sql"
_PAYOUTS = "tests/licensing/test_payouts.py"
_DISPUTES = "tests/licensing/test_disputes.py"
_TABLES = "licensing/migrations/0001_tables.sql"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """`text` stands in `file` exactly once; with `gone` in its place the guard is away, and `tests` must fail."""

    name: str
    file: str
    text: str
    gone: str
    tests: tuple[str, ...]


GUARDS = (
    Guard(
        name="unique: an event is posted once",
        file=_TABLES,
        text="CONSTRAINT entry_group_once UNIQUE (kind, subject)",
        gone="CHECK (true)",
        tests=(f"{_LEDGER}::test_one_event_is_posted_once_whoever_posts_it",),
    ),
    Guard(
        name="unique: a client's idempotency key is one order",
        file=_TABLES,
        text="PRIMARY KEY (client_id, test, key)",
        gone="CHECK (true)",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="unique: a client has one plan at a time",
        file=_TABLES,
        text="CREATE UNIQUE INDEX allowance_one_plan",
        gone="CREATE INDEX allowance_one_plan",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="unique: a picture has one place in its order",
        file=_TABLES,
        text="    UNIQUE (order_id, position),\n",
        gone="",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="check: a budget is never overspent",
        file=_TABLES,
        text="CHECK (posted + pending <= granted)",
        gone="CHECK (true)",
        tests=(f"{_LEDGER}::test_no_statement_rewrites_what_happened",),
    ),
    Guard(
        name="check: a price is a share and a fee",
        file=_TABLES,
        text="CHECK (price = share + fee)",
        gone="CHECK (true)",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="check: a test picture costs nothing",
        file=_TABLES,
        text="CHECK (NOT test OR price = 0)",
        gone="CHECK (true)",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="check: what is charged was held",
        file=_TABLES,
        text="CHECK (charged BETWEEN 0 AND amount)",
        gone="",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="sum: entries of a group sum to zero at the commit",
        file="licensing/sql/chain.sql",
        text="HAVING sum(e.amount) <> 0 LIMIT 1",
        gone="HAVING false LIMIT 1",
        tests=(f"{_LEDGER}::test_a_group_that_does_not_sum_to_zero_cannot_be_committed",),
    ),
    Guard(
        name="chain: a link holds the one before it",
        file="licensing/sql/chain.sql",
        text="sha256(p_prev || convert_to(",
        gone="sha256(convert_to(",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="chain: the check recomputes every link",
        file="licensing/sql/audit.sql",
        text="l.hash <> licensing.link_hash(l.prev_hash, l.commit_no)",
        gone="false",
        tests=(f"{_LEDGER}::test_the_check_finds_what_an_administrator_changed",),
    ),
    Guard(
        name="chain: the check follows every lane",
        file="licensing/sql/audit.sql",
        text="prev_hash <> hash_before OR seq <> seq_before + 1",
        gone="false",
        tests=(f"{_LEDGER}::test_the_check_finds_what_an_administrator_changed",),
    ),
    Guard(
        name="append-only: entries",
        file="licensing/sql/guards.sql",
        text="ARRAY['entry', 'entry_group', ",
        gone="ARRAY['entry_group', ",
        tests=(f"{_LEDGER}::test_no_statement_rewrites_what_happened",),
    ),
    Guard(
        name="append-only: a hold resolves once",
        file="licensing/sql/guards.sql",
        text="IF TG_OP = 'DELETE' OR OLD.state <> 'open' THEN",
        gone="IF false THEN",
        tests=(f"{_LEDGER}::test_no_statement_rewrites_what_happened",),
    ),
    Guard(
        name="append-only: a sold picture",
        file="licensing/sql/guards.sql",
        text="allowed.revoked_reason := NEW.revoked_reason;\n        IF allowed IS NOT DISTINCT FROM NEW THEN",
        gone="IF true THEN",
        tests=(_CONSTRAINTS,),
    ),
    Guard(
        name="fence: only the latest attempt settles",
        file="licensing/sql/settle.sql",
        text="v_hold.fence <> p_fence OR p_fence = 0",
        gone="false",
        tests=(f"{_GATEWAY}::test_only_the_latest_attempt_may_settle",),
    ),
    Guard(
        name="fence: only the latest attempt is voided by its fence",
        file="licensing/sql/attempts.sql",
        text="ELSIF v.fence <> p_fence THEN",
        gone="ELSIF false THEN",
        tests=(f"{_CONSTRAINTS}::test_an_attempt_that_was_followed_ends_nothing",),
    ),
    Guard(
        name="epoch: nothing from before an off is settled",
        file="licensing/sql/attempts.sql",
        text="AND s.cut > CASE",
        gone="AND false AND s.cut > CASE",
        tests=(f"{_SWITCH}::test_a_hold_from_before_an_off_cannot_settle_even_if_nobody_voided_it",),
    ),
    Guard(
        name="switch: off ends the open holds in its commit",
        file="licensing/sql/switch.sql",
        text="v_refunded := licensing.withdraw(p_creator, p_style, p_client, v_orders, p_now);",
        gone="",
        tests=(f"{_SWITCH}::test_off_ends_queued_and_running_orders_and_gives_the_money_back",),
    ),
    Guard(
        name="lock: off waits for the order that is being placed",
        file="licensing/sql/locks.sql",
        text="    PERFORM pg_advisory_xact_lock_shared(licensing.lock_no('style', p_style));\n",
        gone="",
        tests=(f"{_RACES}::test_a_waiting_off_is_not_overtaken_by_new_orders",),
    ),
    Guard(
        name="lock: off waits for orders that are placed together",
        file="licensing/sql/locks.sql",
        text="FROM unnest(p_styles) AS id ORDER BY no) locks;",
        gone="FROM unnest('{}'::text[]) AS id ORDER BY no) locks;",
        tests=(f"{_RACES}::test_a_waiting_off_is_not_overtaken_by_new_orders",),
    ),
    Guard(
        name="snapshot: verbs see what is true under their locks",
        file="licensing/sql/locks.sql",
        text="IF current_setting('transaction_isolation') <> 'read committed' THEN",
        gone="IF false THEN",
        tests=(f"{_GATEWAY}::test_a_transaction_that_would_not_see_the_switch_is_refused",),
    ),
    Guard(
        name="once: only an open order is settled",
        file="licensing/sql/settle.sql",
        text="ELSIF v_hold.state <> 'open' OR v_hold.cancel_requested THEN",
        gone="ELSIF false THEN",
        tests=(f"{_GATEWAY}::test_a_canceled_order_cannot_be_settled",),
    ),
    Guard(
        name="count: no more is settled than was held",
        file="licensing/sql/settle.sql",
        text="ELSIF v_made NOT BETWEEN 1 AND v_hold.count THEN",
        gone="ELSIF false THEN",
        tests=(f"{_GATEWAY}::test_settling_none_or_more_than_held_is_refused",),
    ),
    Guard(
        name="replay: another body under a key is a mismatch",
        file="licensing/sql/reserve.sql",
        text="IF v_known.request_hash <> p_request_hash THEN",
        gone="IF false THEN",
        tests=(f"{_GATEWAY}::test_an_idempotency_key_with_another_body_is_a_mismatch",),
    ),
    Guard(
        name="replay: an idempotency key is its client's own",
        file="licensing/sql/reserve.sql",
        text="WHERE client_id = p_client AND test = p_test AND key = p_idempotency_key;",
        gone="WHERE test = p_test AND key = p_idempotency_key;",
        tests=(f"{_GATEWAY}::test_an_idempotency_key_belongs_to_its_client",),
    ),
    Guard(
        name="cap: a key spends no more than its cap",
        file="licensing/sql/admission.sql",
        text="IF capped AND (detail ->> 'left')::bigint >= amount THEN",
        gone="IF capped THEN",
        tests=(f"{_KEYS}::test_a_cap_counts_what_is_held_and_gives_back_what_is_not_made",),
    ),
    Guard(
        name="key: a revoked one opens nothing",
        file="licensing/keys.py",
        text="ANY ($1::bytea[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        gone="ANY ($1::bytea[]) AND (expires_at IS NULL OR expires_at > $2)",
        tests=(f"{_KEYS}::test_a_revoked_key_opens_nothing_and_orders_nothing",),
    ),
    Guard(
        name="key: a revoked one orders nothing",
        file="licensing/sql/reserve.sql",
        text="        WHEN v_key.revoked_at IS NOT NULL THEN 'was revoked'\n",
        gone="",
        tests=(f"{_KEYS}::test_a_revoked_key_opens_nothing_and_orders_nothing",),
    ),
    Guard(
        name="key: an expired one opens nothing",
        file="licensing/keys.py",
        text="ANY ($1::bytea[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        gone="ANY ($1::bytea[]) AND revoked_at IS NULL AND $2::timestamptz IS NOT NULL",
        tests=(f"{_KEYS}::test_an_expired_key_opens_nothing_and_orders_nothing",),
    ),
    Guard(
        name="tenant: only its owner revokes a key",
        file="licensing/keys.py",
        text="WHERE key_id = $1 AND account_id = $2 RETURNING key_id",
        gone="WHERE key_id = $1 AND $2::text <> '' RETURNING key_id",
        tests=(f"{_KEYS}::test_only_its_owner_revokes_a_key",),
    ),
    Guard(
        name="tenant: only the client itself cancels",
        file="licensing/sql/attempts.sql",
        text="WHERE order_id = p_order AND client_id = p_client FOR UPDATE",
        gone="WHERE order_id = p_order FOR UPDATE",
        tests=(f"{_GATEWAY}::test_only_the_client_itself_cancels_and_only_an_open_order",),
    ),
    Guard(
        name="tenant: an order is its client's",
        file="service/orders.py",
        text="WHERE id = $1 AND ($2::text IS NULL OR client_id = $2)",
        gone="WHERE id = $1 AND ($2::text IS NULL OR client_id <> '')",
        tests=(f"{_ROWS}::test_an_order_and_its_picture_are_found_for_their_client_alone_by_the_house_too",),
    ),
    Guard(
        name="tenant: a picture is its client's",
        file="service/outputs.py",
        text="FROM service.outputs WHERE id = $1 AND client_id = $2",
        gone="FROM service.outputs WHERE id = $1 AND $2::text <> ''",
        tests=(f"{_ROWS}::test_an_order_and_its_picture_are_found_for_their_client_alone_by_the_house_too",),
    ),
    Guard(
        name="tenant: a creator's file is opened for that creator's own version alone",
        file="service/data_use.py",
        text="    if foreign:\n",
        gone="    if foreign and not keys:\n",
        tests=("tests/service/test_data_use.py::test_a_person_opens_their_own_files_and_nobody_elses",),
    ),
    Guard(
        name="seal: nothing is signed for an order that is over",
        file="licensing/sql/attempts.sql",
        text="    ELSIF v_hold.state <> 'open' THEN\n        RETURN 'it is ' || v_hold.state;\n",
        gone="",
        tests=(f"{_VERIFY}::test_nothing_is_signed_for_an_order_that_is_over",),
    ),
    Guard(
        name="seal: nothing is signed beyond what is held",
        file="licensing/sql/attempts.sql",
        text="IF v_signed >= v_hold.count THEN",
        gone="IF false THEN",
        tests=(f"{_VERIFY}::test_nothing_is_signed_beyond_what_is_held",),
    ),
    Guard(
        name="lease: a hold that is renewed does not expire",
        file="licensing/sql/attempts.sql",
        text="WHERE state = 'open' AND lease_until <= p_now",
        gone="WHERE state = 'open'",
        tests=(f"{_GATEWAY}::test_a_hold_expires_unless_it_is_renewed",),
    ),
    Guard(
        name="lease: a worker without an answer stops",
        file="service/watch.py",
        text="            if age_s <= self._lease_s:\n",
        gone="            if age_s >= 0:\n",
        tests=("tests/service/orders/test_watch.py::test_without_an_answer_it_holds_still_and_then_gives_up",),
    ),
    Guard(
        name="rights: unsure works never train",
        file="service/works.py",
        text='return self.include and self.rights != "unsure"',
        gone="return self.include",
        tests=("tests/stories/test_rights_unsure_never_trains.py",),
    ),
    Guard(
        name="browser: a change shows the session's token",
        file="service/auth.py",
        text="if not hmac.compare_digest(session.csrf.encode(), token.encode()):",
        gone="if session is None:",
        tests=(f"{_ACCESS}::test_a_browser_reads_with_its_cookie_and_changes_only_with_the_csrf_token",),
    ),
    Guard(
        name="browser: a change comes from our own pages",
        file="service/auth.py",
        text="if origin is not None and origin not in own:",
        gone="if origin is not None and not own:",
        tests=(f"{_ACCESS}::test_another_sites_page_changes_nothing_even_with_the_token",),
    ),
    Guard(
        name="sets: only the latest attempt settles",
        file="licensing/sql/together.sql",
        text="AND h.fence = sale.fence AND h.fence > 0 AND",
        gone="AND",
        tests=(_TOGETHER,),
    ),
    Guard(
        name="sets: a revoked key orders nothing",
        file="licensing/sql/together.sql",
        text=" AND k.revoked_at IS NULL",
        gone="",
        tests=(f"{_KEYS}::test_a_revoked_key_opens_nothing_and_orders_nothing", _TOGETHER),
    ),
    Guard(
        name="sets: what is off is not sold",
        file="licensing/sql/together.sql",
        text="          AND 'live' = ALL (over.levels)\n",
        gone="",
        tests=(_TOGETHER,),
    ),
    Guard(
        name="sets: a purse that is too small goes one by one",
        file="licensing/sql/together.sql",
        text="          AND coalesce(purse.granted - purse.posted - purse.pending, 0) >= p.from_purse\n",
        gone="",
        tests=(_TOGETHER,),
    ),
    Guard(
        name="sets: a request that was answered is not answered anew",
        file="licensing/sql/together.sql",
        text="WHERE i.client_id = w.client_id AND NOT i.test AND i.key = w.idempotency_key))",
        gone="WHERE false))",
        tests=(_TOGETHER,),
    ),
    Guard(
        name="token: it does what its scopes allow",
        file="service/auth.py",
        text="if found.scopes and needed not in found.scopes:",
        gone="if found.scopes and not needed:",
        tests=(f"{_ACCESS}::test_a_token_does_only_what_its_scopes_allow",),
    ),
    Guard(
        name="token: it does what its role does",
        file="service/auth.py",
        text="        if found.role not in roles:\n",
        gone="        if not roles:\n",
        tests=(f"{_ACCESS}::test_a_client_cannot_do_a_creators_work",),
    ),
    Guard(
        name="webhooks: nothing is posted into a private network",
        file="service/addresses.py",
        text="return not any(inner in network for network in _SPECIAL)",
        gone="return True",
        tests=("tests/service/webhooks/test_addresses.py::test_a_name_that_leads_into_a_private_network_is_refused",),
    ),
    Guard(
        name="payee: who changed where money goes leaves a trace",
        file="licensing/sql/payouts.sql",
        text="BEFORE UPDATE OR DELETE ON licensing.payee\n",
        gone="BEFORE DELETE ON licensing.payee\n",
        tests=(f"{_PAYEES}::test_nobody_rewrites_where_money_went",),
    ),
    Guard(
        name="payee: another account waits",
        file="licensing/sql/payouts.sql",
        text="ELSIF v_payee.pays_from > p_now THEN",
        gone="ELSIF false THEN",
        tests=(f"{_PAYEES}::test_another_account_pays_nothing_for_three_days",),
    ),
    Guard(
        name="payee: a whole account is shown to nobody",
        file="licensing/tenancy.py",
        text='"payee": Table(seen=NO_PARTY)',
        gone='"payee": Table(seen=owned_by("creator_id"))',
        tests=(f"{_PAYEES}::test_a_creator_sees_and_changes_their_own_account_alone",),
    ),
    Guard(
        name="payout: one is on its way at a time",
        file="licensing/migrations/0009_payouts.sql",
        text="CREATE UNIQUE INDEX payout_one_open",
        gone="CREATE INDEX payout_one_open",
        tests=(f"{_PAYOUTS}::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="payout: two at once wait for each other",
        file="licensing/sql/payouts.sql",
        text="    PERFORM licensing.lock_earnings(ARRAY[v_payable]);\n",
        gone="",
        tests=(f"{_PAYOUTS}::test_a_second_payout_waits_for_the_first_and_is_refused",),
    ),
    Guard(
        name="payout: what arrived does not fail",
        file="licensing/sql/payouts.sql",
        text="ELSIF v.state <> (CASE p_to WHEN 'reversed' THEN 'paid' ELSE 'open' END) THEN",
        gone="ELSIF false THEN",
        tests=(f"{_PAYOUTS}::test_a_step_that_cannot_follow_is_refused",),
    ),
    Guard(
        name="payout: who gets how much never changes",
        file="licensing/sql/payouts.sql",
        text="BEFORE UPDATE OR DELETE ON licensing.payout\n",
        gone="BEFORE DELETE ON licensing.payout\n",
        tests=(f"{_PAYOUTS}::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="payout: it stands in one bank file",
        file="licensing/sql/payouts.sql",
        text=" AND currency = p_currency AND run_id IS NULL;",
        gone=" AND currency = p_currency;",
        tests=(f"{_PAYOUTS}::test_two_runs_at_once_share_the_payouts_without_overlap",),
    ),
    Guard(
        name="payout: what came after the payday waits",
        file="licensing/payouts.py",
        text=" AND g.at >= payee.payday) >= payee.minimum",
        gone=" AND g.at < '-infinity') >= payee.minimum",
        tests=(f"{_PAYDAYS}::test_what_came_together_after_the_payday_waits_for_the_next",),
    ),
    Guard(
        name="dispute: one about an output runs at a time",
        file="licensing/migrations/0009_payouts.sql",
        text="CREATE UNIQUE INDEX disputed_one_open",
        gone="CREATE INDEX disputed_one_open",
        tests=(f"{_DISPUTES}::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="dispute: openers wait for each other",
        file="licensing/sql/disputes.sql",
        text="        ORDER BY o.output_id FOR UPDATE);",
        gone="        ORDER BY o.output_id);",
        tests=(f"{_DISPUTES}::test_a_second_opener_waits_for_the_first_and_is_refused",),
    ),
    Guard(
        name="dispute: no payout takes what it holds",
        file="licensing/sql/disputes.sql",
        text="    PERFORM licensing.lock_earnings(v_lines.accounts);\n",
        gone="",
        tests=(f"{_DISPUTES}::test_a_dispute_that_was_opened_is_not_paid_out_by_a_payout_beside_it",),
    ),
    Guard(
        name="dispute: the other side may answer first",
        file="licensing/sql/disputes.sql",
        text="ELSIF v.state = 'open' AND v.answered_at IS NULL AND v.answer_due_at >= p_now THEN",
        gone="ELSIF false THEN",
        tests=(f"{_DISPUTES}::test_nothing_is_decided_before_the_other_side_could_answer",),
    ),
    Guard(
        name="dispute: nothing takes effect before an appeal",
        file="licensing/sql/disputes.sql",
        text=" OR v.appeal_due_at >= p_now THEN",
        gone=" THEN",
        tests=(f"{_DISPUTES}::test_a_decision_takes_effect_when_nobody_appealed_in_time",),
    ),
    Guard(
        name="dispute: a step that is told again is not another",
        file="licensing/sql/disputes.sql",
        text="        WHEN v_of = p_dispute THEN\n",
        gone="        WHEN false THEN\n",
        tests=(f"{_DISPUTES}::test_a_step_that_is_taken_twice_happens_once",),
    ),
    Guard(
        name="dispute: a sale taken back gives its price back once",
        file="licensing/sql/disputes.sql",
        text="WHERE output_id = NEW.output_id AND undone_at IS NULL AND",
        gone="WHERE false AND undone_at IS NULL AND",
        tests=(f"{_DISPUTES}::test_a_sale_taken_back_after_a_part_gives_the_price_back_once",),
    ),
    Guard(
        name="dispute: it is its parties'",
        file="licensing/sql/disputes.sql",
        text="CASE p_side WHEN 'client' THEN client_id = p_party",
        gone="CASE p_side WHEN 'client' THEN client_id <> ''",
        tests=(f"{_DISPUTES}::test_a_party_acts_for_itself_and_the_house_for_everybody",),
    ),
    Guard(
        name="dispute: a stranger's address is the operator's alone",
        file="licensing/tenancy.py",
        text='"dispute_contact": Table(seen=NO_PARTY)',
        gone='"dispute_contact": Table(seen=EVERYBODY)',
        tests=(f"{_DISPUTES}::test_both_parties_see_their_dispute_and_neither_how_to_reach_the_stranger",),
    ),
    Guard(
        name="payments: an event of a provider is taken once",
        file=_PAYMENT_TABLES,
        text="CONSTRAINT psp_event_once PRIMARY KEY (provider, event_id)",
        gone="CHECK (true)",
        tests=(f"{_PAYMENTS}::test_an_event_taken_16_times_at_once_is_taken_once",),
    ),
    Guard(
        name="payments: no table has more given back than arrived",
        file=_PAYMENT_TABLES,
        text="CHECK (given_back BETWEEN 0 AND amount)",
        gone="CHECK (true)",
        tests=(f"{_PAYMENTS}::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="payments: a charge of a provider is of one payment",
        file=_PAYMENT_TABLES,
        text="    CONSTRAINT payment_of_reference UNIQUE (provider, reference),\n",
        gone="",
        tests=(f"{_PAYMENTS}::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="payments: a refund is asked for within its payment",
        file=_PAYMENT_VERBS,
        text="p_currency <> v.currency OR p_amount > v_left",
        gone="p_currency <> v.currency",
        tests=(f"{_PROVIDERS}::test_a_refund_is_never_above_its_payment",),
    ),
    Guard(
        name="payments: what is spent does not go back",
        file=_PAYMENT_VERBS,
        text="IF v_free < p_amount + p_bonus THEN",
        gone="IF false THEN",
        tests=(f"{_PAYMENTS}::test_only_what_is_neither_spent_nor_held_goes_back",),
    ),
    Guard(
        name="payments: a bonus goes back with its money",
        file=_PAYMENT_VERBS,
        text="v_bonus := licensing.bonus_of(v, p_amount);",
        gone="v_bonus := 0;",
        tests=(f"{_PAYMENTS}::test_taking_a_bonus_spending_it_and_asking_for_the_money_back_earns_nothing",),
    ),
    Guard(
        name="payments: another amount than was asked for is not booked",
        file=_PAYMENT_VERBS,
        text=(
            "ELSIF (v.amount, v.currency) <> (p_amount, p_currency) THEN\n"
            "        RETURN licensing.refused('conflict', 'what', format(\n"
            "            'Payment"
        ),
        gone="ELSIF false THEN\n        RETURN licensing.refused('conflict', 'what', format(\n            'Payment",
        tests=(f"{_PAYMENTS}::test_what_does_not_fit_a_payment_books_nothing",),
    ),
    Guard(
        name="payments: what arrived stays",
        file=_PAYMENT_VERBS,
        text="IF v.state = 'pending' AND p_state = 'failed' THEN\n        UPDATE licensing.payment",
        gone="IF p_state = 'failed' THEN\n        UPDATE licensing.payment",
        tests=(f"{_PAYMENTS}::test_in_whatever_order_it_is_told_a_payment_goes_forwards_only",),
    ),
    Guard(
        name="payments: one who waits for a payment sees how it ended",
        file=_PAYMENT_VERBS,
        text="p_payment IS NULL AND reference = p_reference)\n        FOR UPDATE;",
        gone="p_payment IS NULL AND reference = p_reference);",
        tests=(f"{_PAYMENTS}::test_of_all_who_tell_of_a_payment_at_once_one_books_it",),
    ),
    Guard(
        name="payments: a chargeback ends once",
        file=_PAYMENT_VERBS,
        text="IF v.state = 'open' AND p_state IN ('won', 'lost') THEN",
        gone="IF p_state IN ('won', 'lost') THEN",
        tests=(f"{_PAYMENTS}::test_in_whatever_order_it_is_told_a_chargeback_ends_once",),
    ),
    Guard(
        name="payments: accounts are locked before budgets",
        file=_PAYMENT_VERBS,
        text="    PERFORM licensing.lock_owed(v_payment.client_id, v_payment.currency);\n",
        gone="",
        tests=(
            f"{_PAYMENTS}::test_payments_and_chargebacks_of_one_client_at_once_wait_for_each_other_and_never_in_a_circle",
        ),
    ),
    Guard(
        name="payments: no statement takes one back",
        file="licensing/sql/guards.sql",
        text="('pending', 'succeeded'), ('pending', 'failed'), ('failed', 'succeeded')) THEN",
        gone=(
            "('pending', 'succeeded'), ('pending', 'failed'), ('failed', 'succeeded'), ('succeeded', "
            "'failed'),\n"
            "            ('succeeded', 'pending')) THEN"
        ),
        tests=(f"{_PAYMENTS}::test_no_statement_takes_a_payment_or_an_event_back",),
    ),
    Guard(
        name="payments: what a client forgot does not come back",
        file=_PAYMENT_VERBS,
        text="UPDATE licensing.payment_setup SET state = 'failed', ended_at = p_now WHERE client_id",
        gone="UPDATE licensing.payment_setup SET state = state WHERE client_id",
        tests=(f"{_PAYMENTS}::test_what_a_client_forgets_is_not_saved_again_by_what_comes_late",),
    ),
    Guard(
        name="payments: an old id is not asked again",
        file="licensing/billing/payments.py",
        text="return provider.repeats_within is not None and now - begun_at > provider.repeats_within",
        gone="return False",
        tests=(f"{_PROVIDERS}::test_a_payment_that_never_reached_its_provider_ends_when_it_cannot_any_more",),
    ),
    Guard(
        name="stripe: an event is signed",
        file="licensing/payments/stripe/__init__.py",
        text="stripe.WebhookSignature.verify_header(text, signature, secret)",
        gone="return text, datetime.now(UTC)",
        tests=(f"{_PROVIDERS}::test_an_event_with_a_bad_signature_is_refused",),
    ),
    Guard(
        name="stripe: an event is not old",
        file="licensing/payments/stripe/__init__.py",
        text="if now - signed_at > timedelta(seconds=EVENT_AGE_MAX_S):",
        gone="if False:",
        tests=(f"{_PROVIDERS}::test_an_event_that_its_provider_signed_is_refused_where_it_was_changed_or_is_too_old",),
    ),
    Guard(
        name="stripe: the same payment has the same key",
        file="licensing/payments/stripe/__init__.py",
        text='return {"idempotency_key": f"ownhand-{what}-{our_id}"}',
        gone="return {}",
        tests=(
            f"{_PROVIDERS}::test_the_same_payment_asked_twice_is_one_charge",
            f"{_STRIPE}::test_a_creator_opens_an_account_and_is_paid_once",
        ),
    ),
)
