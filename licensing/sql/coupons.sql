-- Discounts that the operator gives.

-- What a coupon takes off a plan's first period, as columns of the period. A refusal instead where it does not hold for
-- this plan, is used up, or is over. Its row is locked: who opens the period with it writes down the use.
CREATE OR REPLACE FUNCTION licensing.take_coupon(p_code text, p licensing.allowance, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.coupon;
    v_uses bigint;
    v_why text;
BEGIN
    SELECT * INTO v FROM licensing.coupon WHERE code = upper(trim(p_code)) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'coupon', 'id', left(p_code, 40));
    END IF;
    SELECT count(*) INTO v_uses FROM licensing.coupon_use WHERE code = v.code;
    v_why := CASE
        WHEN v.ended_at IS NOT NULL OR v.expires_at <= p_now THEN 'is over'
        WHEN v_uses >= v.uses_most THEN 'has been used as often as it may be'
        WHEN EXISTS (SELECT FROM licensing.coupon_use WHERE code = v.code AND client_id = p.client_id)
            THEN 'was used by you before'
        WHEN v.plan <> p.name THEN 'is for plan ' || v.plan
        WHEN p.trial_days IS NOT NULL THEN 'cannot be used for a trial, which costs nothing'
    END;
    IF v_why IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', format('Coupon %s %s; subscribe without it', v.code, v_why));
    END IF;
    RETURN ROW('taken', NULL, jsonb_build_object('coupon', v.code, 'discount', p.price * v.percent / 100,
                                                 'discounts', v.periods - 1), NULL)::licensing.answer;
END $$;
