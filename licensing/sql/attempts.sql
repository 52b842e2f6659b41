-- Attempts at an order: begin, requeue, renew, sign, cancel, and every end without a charge.

-- Why an order that is over refuses what was asked.
CREATE OR REPLACE FUNCTION licensing.over(p_hold licensing.hold) RETURNS licensing.answer LANGUAGE sql STABLE AS $$
    SELECT ROW('refused',
        CASE WHEN p_hold.reason = 'withdrawn' THEN 'style_off' ELSE 'conflict' END,
        jsonb_build_object(
            'what', format('Order %s is %s; place a new order', p_hold.order_id,
                CASE WHEN p_hold.state = 'open' THEN 'being canceled' ELSE coalesce(p_hold.reason, p_hold.state) END),
            'style_id', p_hold.style_id, 'state', p_hold.state,
            'reason', CASE WHEN p_hold.state = 'open' THEN 'canceled' ELSE p_hold.reason END),
        p_hold)::licensing.answer
$$;

-- The hold of an order, locked together with its switches, or the refusal that it is not there.
CREATE OR REPLACE FUNCTION licensing.take_hold(p_order text) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.hold;
BEGIN
    SELECT * INTO v FROM licensing.hold WHERE order_id = p_order;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'order', 'id', p_order);
    END IF;
    PERFORM licensing.share_switches(v.creator_id, v.style_id);
    SELECT * INTO STRICT v FROM licensing.hold WHERE order_id = p_order FOR UPDATE;
    RETURN ROW('taken', NULL, NULL, v)::licensing.answer;
END $$;

-- The slug with which the switch forbids to go on with a hold, or NULL. A cut above the hold's epochs means that the
-- style was off since, however it is set now.
CREATE OR REPLACE FUNCTION licensing.stop_of(p_hold licensing.hold, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_level text := (licensing.governing(p_hold.creator_id, p_hold.style_id, p_hold.client_id, p_now)).level;
BEGIN
    IF v_level = 'destroyed' THEN
        RETURN 'style_destroyed';
    ELSIF v_level = 'off' OR EXISTS (
        SELECT FROM licensing.switch s
        WHERE s.creator_id = p_hold.creator_id AND s.style_id IN ('', p_hold.style_id)
          AND s.client_id IN ('', p_hold.client_id)
          AND s.cut > CASE WHEN s.style_id = '' THEN p_hold.creator_epoch
                           WHEN s.client_id = '' THEN p_hold.style_epoch
                           ELSE p_hold.client_epoch END) THEN
        RETURN 'style_off';
    ELSIF v_level = 'paused' AND NOT p_hold.running THEN
        RETURN 'style_paused';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION licensing.begin_attempt(p_order text, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v_answer licensing.answer := licensing.take_hold(p_order);
    v_hold licensing.hold := v_answer.hold;
    v_stop text;
BEGIN
    PERFORM licensing.require_house();
    IF v_answer.outcome = 'refused' THEN
        RETURN v_answer;
    ELSIF v_hold.state <> 'open' OR v_hold.cancel_requested THEN
        RETURN licensing.over(v_hold);
    END IF;
    v_stop := licensing.stop_of(v_hold, p_now);
    IF v_stop IS NOT NULL THEN
        RETURN licensing.refused(v_stop, 'style_id', v_hold.style_id);
    END IF;
    UPDATE licensing.hold
        SET fence = fence + 1, running = true, paused_at = NULL, lease_until = p_now + make_interval(secs => hold_s)
        WHERE order_id = p_order RETURNING * INTO v_hold;
    RETURN ROW('held', NULL, NULL, v_hold)::licensing.answer;
END $$;

-- A queued order of a paused style is held for this long.
CREATE OR REPLACE FUNCTION licensing.pause_limit() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '24 hours' $$;

CREATE OR REPLACE FUNCTION licensing.followed(p_hold licensing.hold, p_fence integer) RETURNS licensing.answer
LANGUAGE sql AS $$
    SELECT licensing.refused('conflict', 'what', format(
        'Attempt %s of order %s was followed by attempt %s; leave the order to that one',
        p_fence, p_hold.order_id, p_hold.fence), 'state', p_hold.state, 'reason', 'fence')
$$;

CREATE OR REPLACE FUNCTION licensing.requeue(p_order text, p_fence integer, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v_answer licensing.answer := licensing.take_hold(p_order);
    v_hold licensing.hold := v_answer.hold;
    v_paused boolean;
BEGIN
    PERFORM licensing.require_house();
    IF v_answer.outcome = 'refused' THEN
        RETURN v_answer;
    ELSIF v_hold.state <> 'open' THEN
        RETURN licensing.over(v_hold);
    ELSIF v_hold.fence <> p_fence THEN
        RETURN licensing.followed(v_hold, p_fence);
    END IF;
    v_paused := (licensing.governing(v_hold.creator_id, v_hold.style_id, v_hold.client_id, p_now)).level = 'paused';
    UPDATE licensing.hold
        SET running = false, paused_at = CASE WHEN v_paused THEN p_now END,
            lease_until = p_now + CASE WHEN v_paused THEN licensing.pause_limit() ELSE make_interval(secs => hold_s) END
        WHERE order_id = p_order RETURNING * INTO v_hold;
    RETURN ROW('held', NULL, NULL, v_hold)::licensing.answer;
END $$;

-- An attempt that has made and sealed its pictures waits for somebody until a moment: the end of its lease, but for
-- who renews it when that somebody has said yes.
CREATE OR REPLACE FUNCTION licensing.keep_until(p_order text, p_fence integer, p_until timestamptz, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_answer licensing.answer := licensing.take_hold(p_order);
    v_hold licensing.hold := v_answer.hold;
    v_stop text;
BEGIN
    PERFORM licensing.require_house();
    IF v_answer.outcome = 'refused' THEN
        RETURN v_answer;
    ELSIF v_hold.state <> 'open' OR v_hold.cancel_requested THEN
        RETURN licensing.over(v_hold);
    ELSIF v_hold.fence <> p_fence OR p_fence = 0 THEN
        RETURN licensing.followed(v_hold, p_fence);
    END IF;
    v_stop := licensing.stop_of(v_hold, p_now);
    IF v_stop IS NOT NULL THEN
        RETURN licensing.refused(v_stop, 'style_id', v_hold.style_id, 'state', 'open', 'reason', 'withdrawn');
    END IF;
    UPDATE licensing.hold SET lease_until = p_until WHERE order_id = p_order RETURNING * INTO v_hold;
    RETURN ROW('held', NULL, NULL, v_hold)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.renew(p_orders text[], p_now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    PERFORM FROM licensing.hold WHERE order_id = ANY (p_orders) AND state = 'open' ORDER BY order_id FOR UPDATE;
    RETURN QUERY UPDATE licensing.hold
        SET lease_until = CASE WHEN paused_at IS NULL THEN greatest(lease_until, p_now + make_interval(secs => hold_s))
                               ELSE lease_until END
        WHERE order_id = ANY (p_orders) AND state = 'open' RETURNING order_id;
END $$;

-- NULL if the picture may be signed, and then it is recorded; else why not.
CREATE OR REPLACE FUNCTION licensing.may_sign(p_order text, p_fence integer, p_digest text, p_now timestamptz)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_answer licensing.answer := licensing.take_hold(p_order);
    v_hold licensing.hold := v_answer.hold;
    v_signed integer;
BEGIN
    PERFORM licensing.require_house();
    IF v_answer.outcome = 'refused' THEN
        RETURN 'there is no such order';
    ELSIF v_hold.state <> 'open' THEN
        RETURN 'it is ' || v_hold.state;
    ELSIF v_hold.cancel_requested THEN
        RETURN 'its client canceled it';
    ELSIF v_hold.fence <> p_fence OR p_fence = 0 THEN
        RETURN format('attempt %s is not its attempt %s', p_fence, v_hold.fence);
    ELSIF licensing.stop_of(v_hold, p_now) IS NOT NULL THEN
        RETURN 'its style is switched off';
    END IF;
    SELECT count(*) INTO v_signed FROM licensing.signing
        WHERE order_id = p_order AND fence = p_fence AND digest <> p_digest;
    IF v_signed >= v_hold.count THEN
        RETURN format('%s of %s pictures held are signed', v_signed, v_hold.count);
    END IF;
    INSERT INTO licensing.signing (order_id, fence, digest, at) VALUES (p_order, p_fence, p_digest, p_now)
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- End open holds, which the caller has locked, without a charge.
CREATE OR REPLACE FUNCTION licensing.end_holds(p_orders text[], p_state text, p_reason text, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.lock_budgets(ARRAY(
        SELECT c.budget_id FROM licensing.hold h, licensing.claims(h) c WHERE h.order_id = ANY (p_orders)));
    UPDATE licensing.budget b SET pending = b.pending - freed.held
        FROM (SELECT c.budget_id, sum(c.held) AS held FROM licensing.hold h, licensing.claims(h) c
              WHERE h.order_id = ANY (p_orders) GROUP BY c.budget_id) freed
        WHERE b.budget_id = freed.budget_id;
    UPDATE licensing.hold SET state = p_state, reason = p_reason, ended_at = p_now, running = false
        WHERE order_id = ANY (p_orders);
END $$;

CREATE OR REPLACE FUNCTION licensing.void(p_order text, p_fence integer, p_reason text, p_now timestamptz)
RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.hold;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.hold WHERE order_id = p_order FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'order', 'id', p_order);
    ELSIF v.fence <> p_fence THEN
        RETURN licensing.followed(v, p_fence);
    ELSIF v.state <> 'open' THEN
        RETURN ROW('ended', NULL, NULL, v)::licensing.answer;
    END IF;
    PERFORM licensing.end_holds(
        ARRAY[p_order], CASE WHEN p_reason = 'expired' THEN 'expired' ELSE 'voided' END, p_reason, p_now);
    SELECT * INTO v FROM licensing.hold WHERE order_id = p_order;
    RETURN ROW('voided', NULL, NULL, v)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.request_cancel(p_order text, p_client text) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.hold;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.hold WHERE order_id = p_order AND client_id = p_client FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'order', 'id', p_order);
    ELSIF v.state <> 'open' THEN
        RETURN ROW('ended', NULL, NULL, v)::licensing.answer;
    END IF;
    UPDATE licensing.hold SET cancel_requested = true WHERE order_id = p_order RETURNING * INTO v;
    RETURN ROW('requested', NULL, NULL, v)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.expire_due(p_now timestamptz, p_limit integer) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    v_due text[];
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    v_due := ARRAY(SELECT order_id FROM licensing.hold WHERE state = 'open' AND lease_until <= p_now
                   ORDER BY lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED);
    PERFORM licensing.end_holds(v_due, 'expired', 'expired', p_now);
    RETURN v_due;
END $$;
