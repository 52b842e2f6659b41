-- What is one client's alone: a picture of the tier `exclusive`, and a style while a licence of that tier runs.

-- Whether a picture may be sold depends on what else is sold of its style. Exclusive sales of a style go one by one;
-- others go beside each other, but beside none of those. After the switches and before the holds.
CREATE OR REPLACE FUNCTION licensing.lock_sales(p_orders text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v record;
BEGIN
    FOR v IN
        SELECT licensing.lock_no('sales', style_id) AS no, bool_or(tier = 'exclusive') AS alone
        FROM licensing.hold WHERE order_id = ANY (p_orders) AND NOT test GROUP BY no ORDER BY no
    LOOP
        IF v.alone THEN
            PERFORM pg_advisory_xact_lock(v.no);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(v.no);
        END IF;
    END LOOP;
END $$;

-- Of the pictures of a hold those that look like one sold exclusively to another client; and where they are to be
-- exclusive themselves, like any that another client has. Such of next to one colour look like nothing.
CREATE OR REPLACE FUNCTION licensing.taken_by_others(
    p_hold licensing.hold, p_outputs text[], p_phashes text[], p_near integer
) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_hold.test THEN
        RETURN '{}';
    ELSIF p_hold.tier = 'exclusive' THEN
        -- Two queries, for each has an index of its own.
        RETURN ARRAY(
            SELECT made.output_id FROM licensing.looks_of(p_outputs, p_phashes, p_near) made
            WHERE EXISTS (SELECT FROM licensing.output sold
                          WHERE sold.style_id = p_hold.style_id AND NOT sold.test AND sold.revoked_at IS NULL
                            AND sold.client_id <> p_hold.client_id AND bit_count(sold.phash # made.phash) <= p_near));
    END IF;
    RETURN ARRAY(
        SELECT made.output_id FROM licensing.looks_of(p_outputs, p_phashes, p_near) made
        WHERE EXISTS (SELECT FROM licensing.output sold
                      WHERE sold.style_id = p_hold.style_id AND sold.tier = 'exclusive'
                        AND NOT sold.test AND sold.revoked_at IS NULL
                        AND sold.client_id <> p_hold.client_id AND bit_count(sold.phash # made.phash) <= p_near));
END $$;

CREATE OR REPLACE FUNCTION licensing.looks_of(p_outputs text[], p_phashes text[], p_near integer)
RETURNS TABLE (output_id text, phash bit(256)) LANGUAGE sql IMMUTABLE AS $$
    SELECT made.output_id, made.phash FROM (
        SELECT one.output_id, ('x' || one.phash)::bit(256) AS phash
        FROM unnest(p_outputs, p_phashes) AS one (output_id, phash)) made
    WHERE bit_count(made.phash) > p_near
$$;

-- Until when a style is another client's alone; NULL where it is not.
CREATE OR REPLACE FUNCTION licensing.closed_until(p_style text, p_client text, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    -- A pause stops its clock: the end moves on while it lasts.
    SELECT max(ends_at + coalesce(p_now - paused_since, interval '0')) FROM licensing.allowance
    WHERE kind = 'licence' AND style_id = p_style AND tier = 'exclusive' AND state = 'active'
      AND client_id <> p_client AND (ends_at > p_now OR paused_since IS NOT NULL)
$$;

-- Why a client cannot have a style to itself now, or NULL: others have it still. The caller holds the style's lock alone,
-- so that no order comes between this look and the sale.
CREATE OR REPLACE FUNCTION licensing.window_refusal(p_style text, p_client text, p_now timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_until timestamptz;
    v_open bigint;
BEGIN
    SELECT max(ends_at + coalesce(p_now - paused_since, interval '0')) INTO v_until FROM licensing.allowance
        WHERE kind = 'licence' AND style_id = p_style AND client_id <> p_client AND state = 'active'
          AND (ends_at > p_now OR paused_since IS NOT NULL OR renews);
    IF v_until IS NOT NULL THEN
        RETURN format('Another client has a licence of style %s until %s; have it to yourself after that', p_style,
            to_char(v_until AT TIME ZONE 'UTC', 'YYYY-MM-DD'));
    END IF;
    SELECT count(*) INTO v_open FROM licensing.hold h
        WHERE h.creator_id = (SELECT creator_id FROM licensing.style WHERE style_id = p_style)
          AND h.style_id = p_style AND h.client_id <> p_client AND h.state = 'open' AND NOT h.test;
    IF v_open > 0 THEN
        RETURN format('%s of other clients are being made with style %s; try again when they are done',
            CASE v_open WHEN 1 THEN '1 order' ELSE v_open || ' orders' END, p_style);
    END IF;
    RETURN NULL;
END $$;
