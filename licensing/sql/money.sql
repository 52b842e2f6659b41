-- Money in and money back.

-- Book prepaid money once per reference. `repeated` in the detail if it was booked before.
CREATE OR REPLACE FUNCTION licensing.credit(
    p_client text, p_amount bigint, p_currency text, p_reference text, p_by text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_prepaid CONSTANT text := 'prepaid:' || p_client || ':' || p_currency;
    v_body CONSTANT jsonb := jsonb_build_object('client', p_client, 'amount', p_amount, 'currency', p_currency);
    v_known jsonb;
    v_left bigint;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('credit', p_reference));
    SELECT body INTO v_known FROM licensing.entry_group WHERE kind = 'credit' AND subject = p_reference;
    IF v_known <> v_body THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Reference %s was booked as %s %s for %s; use another reference', p_reference, v_known ->> 'amount',
            v_known ->> 'currency', v_known ->> 'client'));
    ELSIF v_known IS NULL THEN
        INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
            VALUES (v_prepaid, p_client, 'prepaid', p_currency, p_amount)
            ON CONFLICT (budget_id) DO UPDATE SET granted = budget.granted + p_amount;
        PERFORM licensing.post('credit', p_reference, v_body, p_now,
            ARRAY[p_by || ':operator:' || p_currency, v_prepaid], ARRAY[-p_amount, p_amount]);
    END IF;
    SELECT granted - posted - pending INTO STRICT v_left FROM licensing.budget WHERE budget_id = v_prepaid;
    RETURN ROW('credited', NULL, jsonb_build_object('left', v_left, 'repeated', v_known IS NOT NULL), NULL)::licensing.answer;
END $$;

-- Reverse the sale of one output; the money becomes prepaid money again, whichever purse had paid.
CREATE OR REPLACE FUNCTION licensing.refund_output(p_output text, p_reason text, p_by text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.output;
    v_detail jsonb;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.output WHERE output_id = p_output FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'output', 'id', p_output);
    END IF;
    v_detail := jsonb_build_object('amount', v.price, 'currency', v.currency, 'repeated', v.revoked_at IS NOT NULL);
    IF v.revoked_at IS NOT NULL THEN
        RETURN ROW('refunded', NULL, v_detail, NULL)::licensing.answer;
    END IF;
    IF v.price > 0 THEN
        INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
            VALUES ('prepaid:' || v.client_id || ':' || v.currency, v.client_id, 'prepaid', v.currency, v.price)
            ON CONFLICT (budget_id) DO UPDATE SET granted = budget.granted + v.price;
        PERFORM licensing.post('refund', p_output, jsonb_build_object('reason', p_reason, 'by', p_by), p_now,
            ARRAY['prepaid:' || v.client_id || ':' || v.currency, 'payable:' || v.creator_id || ':' || v.currency,
                  'fee:operator:' || v.currency],
            ARRAY[v.price, -v.share, -v.fee]);
    END IF;
    UPDATE licensing.output SET revoked_at = p_now, revoked_reason = p_reason WHERE output_id = p_output;
    RETURN ROW('refunded', NULL, v_detail, NULL)::licensing.answer;
END $$;
