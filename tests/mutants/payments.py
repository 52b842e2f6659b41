"""The guards of money that goes in and out: payees, payouts, disputes, payments and their provider."""

from tests.mutants.guard import Guard

_PAYDAYS = "tests/licensing/test_paydays.py"
_PAYEES = "tests/licensing/test_payees.py"
_PAYMENTS = "tests/licensing/test_payments.py"
_PROVIDERS = "tests/contracts/test_payments.py"
_STRIPE = "tests/licensing/test_stripe.py"
_PAYMENT_TABLES = "licensing/migrations/0008_payments.sql"
_PAYMENT_VERBS = "licensing/sql/payments.sql"
_PAYOUTS = "tests/licensing/test_payouts.py"
_DISPUTES = "tests/licensing/disputes"
_METHODS = "tests/licensing/test_methods.py"
_BACK = "tests/licensing/test_transfers_back.py"
_BANK = "tests/licensing/test_bank_booking.py"
_DUES = "tests/licensing/test_dues.py"
_DUES_VERBS = "licensing/sql/dues.sql"


PAYMENTS = (
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
        name="refund: what came back is not sent",
        file="licensing/sql/refunds.sql",
        text="    ELSIF v.state = 'failed' THEN\n        RETURN licensing.refused(",
        gone="    ELSIF false THEN\n        RETURN licensing.refused(",
        tests=(f"{_BACK}::test_it_comes_back_by_the_banks_word_alone_and_once",),
    ),
    Guard(
        name="refund: it stands in one bank file",
        file="licensing/sql/refunds.sql",
        text=" AND r.currency = p_currency AND r.file_id IS NULL\n",
        gone=" AND r.currency = p_currency\n",
        tests=(f"{_BACK}::test_a_file_has_what_waits_and_is_known_and_nothing_joins_it",),
    ),
    Guard(
        name="refund: no statement takes back that it was sent",
        file="licensing/sql/refunds.sql",
        text="BEFORE UPDATE OR DELETE ON licensing.payment_refund\n",
        gone="BEFORE DELETE ON licensing.payment_refund\n",
        tests=(f"{_BACK}::test_no_statement_takes_a_refund_back_and_accounts_are_the_houses_alone",),
    ),
    Guard(
        name="bank: a line that was there before does nothing again",
        file="licensing/bank_booking.py",
        text="found.append(again or _match(line, known, sums))",
        gone="found.append(_match(line, known, sums))",
        tests=(f"{_BANK}::test_another_line_under_a_name_that_was_there_is_not_taken_for_it",),
    ),
    Guard(
        name="bank: more than was asked for is a person's to see",
        file="licensing/bank_booking.py",
        text="    if total.amount > amount.amount:\n",
        gone="    if False:\n",
        tests=(f"{_BANK}::test_what_was_booked_by_hand_is_known_and_more_than_was_asked_is_a_persons_to_see",),
    ),
    Guard(
        name="dues: nothing is taken from earnings without a yes",
        file=_DUES_VERBS,
        text="IF licensing.lets_dues_be_taken(p_creator) THEN",
        gone="IF true THEN",
        tests=(f"{_DUES}::test_a_creator_who_never_paid_anything_is_paid_out_in_full_and_in_time",),
    ),
    Guard(
        name="dues: no more is taken than is there",
        file=_DUES_VERBS,
        text="v.taken := greatest(0, least(v_free, v.amount + licensing.dues_owed(v_dues)));",
        gone="v.taken := v.amount + licensing.dues_owed(v_dues);",
        tests=(f"{_DUES}::test_with_a_yes_it_is_taken_on_the_first_and_never_more_than_is_there",),
    ),
    Guard(
        name="dues: a payout beside them sees what they took",
        file=_DUES_VERBS,
        text="    PERFORM licensing.lock_earnings(ARRAY[v_payable]);\n",
        gone="    PERFORM pg_advisory_xact_lock(licensing.lock_no('dues', p_creator));\n",
        tests=(f"{_DUES}::test_of_a_payout_and_the_dues_at_once_each_takes_what_the_other_left",),
    ),
    Guard(
        name="dues: a dearer month is told of before",
        file=_DUES_VERBS,
        text="SELECT interval '720 hours'",
        gone="SELECT interval '0 hours'",
        tests=(f"{_DUES}::test_a_rise_waits_for_its_notice_and_a_fall_does_not",),
    ),
    Guard(
        name="dues: a month is owed once",
        file="licensing/migrations/0010_dues_and_transfers.sql",
        text="CONSTRAINT dues_once_a_month PRIMARY KEY (creator_id, month)",
        gone="CHECK (true)",
        tests=(f"{_DUES}::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="dispute: one about an output runs at a time",
        file="licensing/migrations/0009_payouts.sql",
        text="CREATE UNIQUE INDEX disputed_one_open",
        gone="CREATE INDEX disputed_one_open",
        tests=(f"{_DISPUTES}/test_notes.py::test_the_tables_refuse_what_must_never_be",),
    ),
    Guard(
        name="dispute: openers wait for each other",
        file="licensing/sql/disputes.sql",
        text="        ORDER BY o.output_id FOR UPDATE);",
        gone="        ORDER BY o.output_id);",
        tests=(f"{_DISPUTES}/test_dispute_races.py::test_a_second_opener_waits_for_the_first_and_is_refused",),
    ),
    Guard(
        name="dispute: no payout takes what it holds",
        file="licensing/sql/disputes.sql",
        text="    PERFORM licensing.lock_earnings(v_lines.accounts);\n",
        gone="",
        tests=(
            f"{_DISPUTES}/test_dispute_races.py::test_a_dispute_that_was_opened_is_not_paid_out_by_a_payout_beside_it",
        ),
    ),
    Guard(
        name="dispute: the other side may answer first",
        file="licensing/sql/disputes.sql",
        text="ELSIF v.state = 'open' AND v.answered_at IS NULL AND v.answer_due_at >= p_now THEN",
        gone="ELSIF false THEN",
        tests=(f"{_DISPUTES}/test_deadlines.py::test_nothing_is_decided_before_the_other_side_could_answer",),
    ),
    Guard(
        name="dispute: nothing takes effect before an appeal",
        file="licensing/sql/disputes.sql",
        text=" OR v.appeal_due_at >= p_now THEN",
        gone=" THEN",
        tests=(f"{_DISPUTES}/test_deadlines.py::test_a_decision_takes_effect_when_nobody_appealed_in_time",),
    ),
    Guard(
        name="dispute: a step that is told again is not another",
        file="licensing/sql/disputes.sql",
        text="        WHEN v_of = p_dispute THEN\n",
        gone="        WHEN false THEN\n",
        tests=(f"{_DISPUTES}/test_notes.py::test_a_step_that_is_taken_twice_happens_once",),
    ),
    Guard(
        name="dispute: a sale taken back gives its price back once",
        file="licensing/sql/disputes.sql",
        text="WHERE output_id = NEW.output_id AND undone_at IS NULL AND",
        gone="WHERE false AND undone_at IS NULL AND",
        tests=(f"{_DISPUTES}/test_outcomes.py::test_a_sale_taken_back_after_a_part_gives_the_price_back_once",),
    ),
    Guard(
        name="dispute: it is its parties'",
        file="licensing/sql/disputes.sql",
        text="CASE p_side WHEN 'client' THEN client_id = p_party",
        gone="CASE p_side WHEN 'client' THEN client_id <> ''",
        tests=(f"{_DISPUTES}/test_parties.py::test_a_party_acts_for_itself_and_the_house_for_everybody",),
    ),
    Guard(
        name="dispute: a stranger's address is the operator's alone",
        file="licensing/tenancy.py",
        text='"dispute_contact": Table(seen=NO_PARTY)',
        gone='"dispute_contact": Table(seen=EVERYBODY)',
        tests=(
            f"{_DISPUTES}/test_parties.py::test_both_parties_see_their_dispute_and_neither_how_to_reach_the_stranger",
        ),
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
        tests=(f"{_METHODS}::test_what_a_client_forgets_is_not_saved_again_by_what_comes_late",),
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
