-- What computing costs a creator: taken from earnings, never asked for in advance.

-- Book the price of a training once. `repeated` in the detail if it was booked before. The creator's balance may fall
-- below zero; the next sales fill it up.
CREATE OR REPLACE FUNCTION licensing.charge_training(
    p_training text, p_style text, p_creator text, p_amount bigint, p_currency text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_body CONSTANT jsonb := jsonb_build_object('style', p_style, 'amount', p_amount, 'currency', p_currency);
    v_known jsonb;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('compute', p_training));
    SELECT body INTO v_known FROM licensing.entry_group WHERE kind = 'compute' AND subject = p_training;
    IF v_known IS NULL THEN
        PERFORM licensing.post('compute', p_training, v_body, p_now,
            ARRAY['payable:' || p_creator || ':' || p_currency, 'fee:operator:' || p_currency],
            ARRAY[-p_amount, p_amount]);
    END IF;
    RETURN ROW('charged', NULL, jsonb_build_object(
        'amount', coalesce((v_known ->> 'amount')::bigint, p_amount),
        'currency', coalesce(v_known ->> 'currency', p_currency), 'repeated', v_known IS NOT NULL), NULL)::licensing.answer;
END $$;
