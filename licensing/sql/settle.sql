-- Charge for what was made, split it, and register the outputs: one group of entries, one commit.

-- The operator's part of a price: exact share rounded to nearest, a tie to the creator (largest remainder of two).
CREATE OR REPLACE FUNCTION licensing.fee_of(p_price bigint, p_fee_bps integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (p_price * p_fee_bps + 4999) / 10000
$$;

-- What units number p_from + 1 to p_to of a quota are worth: over all units of a quota the values sum to its price.
CREATE OR REPLACE FUNCTION licensing.worth_of(p_price bigint, p_units bigint, p_from bigint, p_to bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_price * p_to / p_units - p_price * p_from / p_units
$$;

-- `p_near`: in how many bits two fingerprints may differ and still be the same picture to a person.
CREATE OR REPLACE FUNCTION licensing.settle(
    p_order text, p_fence integer, p_outputs text[], p_sha256s text[], p_phashes text[], p_certificates text[],
    p_near integer, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_answer licensing.answer := licensing.take_hold(p_order);
    v_hold licensing.hold := v_answer.hold;
    v_stop text;
    v_made integer := coalesce(cardinality(p_outputs), 0);
    v_taken text[];
BEGIN
    IF v_answer.outcome = 'refused' THEN
        RETURN v_answer;
    ELSIF v_hold.state = 'settled' AND p_outputs = ARRAY(
        SELECT output_id FROM licensing.output WHERE order_id = p_order ORDER BY position) THEN
        RETURN licensing.sale_of(v_hold, 'repeated');
    ELSIF v_hold.state <> 'open' OR v_hold.cancel_requested THEN
        RETURN licensing.over(v_hold);
    ELSIF v_hold.fence <> p_fence OR p_fence = 0 THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Attempt %s of order %s is not its attempt %s; void what it made', p_fence, p_order, v_hold.fence),
            'state', 'open', 'reason', 'fence');
    ELSIF v_made NOT BETWEEN 1 AND v_hold.count THEN
        RETURN licensing.refused('invalid_request', 'what', format(
            '%s pictures cannot be settled on order %s, which holds %s; settle 1 to %s, or void it',
            v_made, p_order, v_hold.count, v_hold.count));
    END IF;
    v_stop := licensing.stop_of(v_hold, p_now);
    IF v_stop IS NOT NULL THEN
        RETURN licensing.refused(v_stop, 'style_id', v_hold.style_id, 'state', 'open', 'reason', 'withdrawn');
    END IF;
    v_taken := licensing.taken_by_others(v_hold, p_outputs, p_phashes, p_near);
    IF cardinality(v_taken) > 0 THEN
        RETURN licensing.refused('conflict', jsonb_build_object(
            'what', format('%s of %s pictures of order %s look like one that another client has alone, or has where these'
                || ' are to be its client''s alone; settle the others, or void it', cardinality(v_taken), v_made, p_order),
            'tier', v_hold.tier, 'state', 'open', 'reason', 'exclusive', 'outputs', v_taken));
    END IF;
    v_hold := licensing.charge(v_hold, v_made, p_now);
    PERFORM licensing.register_outputs(v_hold, p_outputs, p_sha256s, p_phashes, p_certificates, p_now);
    IF NOT v_hold.test THEN
        PERFORM licensing.post_sale(v_hold, p_now);
    END IF;
    RETURN licensing.sale_of(v_hold, 'settled');
END $$;

-- Move pending to posted for what was made, the rest of the hold is free again; the hold is settled.
CREATE OR REPLACE FUNCTION licensing.charge(p_hold licensing.hold, p_made integer, p_now timestamptz)
RETURNS licensing.hold LANGUAGE plpgsql AS $$
DECLARE
    v licensing.hold := p_hold;
BEGIN
    v.made := p_made;
    v.charged := v.unit_price * p_made;
    v.charged_units := v.units_each * p_made;
    PERFORM licensing.lock_budgets(ARRAY(SELECT budget_id FROM licensing.claims(v)));
    UPDATE licensing.budget b SET pending = b.pending - c.held, posted = b.posted + c.charged
        FROM licensing.claims(v) c WHERE b.budget_id = c.budget_id;
    UPDATE licensing.hold
        SET state = 'settled', running = false, ended_at = p_now, made = v.made, charged = v.charged,
            charged_units = v.charged_units
        WHERE order_id = v.order_id RETURNING * INTO v;
    RETURN v;
END $$;

-- A picture that money paid costs its price; one that a quota paid is worth its units' part of the quota's price.
CREATE OR REPLACE FUNCTION licensing.register_outputs(
    p_hold licensing.hold, p_outputs text[], p_sha256s text[], p_phashes text[], p_certificates text[], p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_quota licensing.allowance;
    v_before bigint;
BEGIN
    IF p_hold.units > 0 THEN
        SELECT * INTO STRICT v_quota FROM licensing.allowance WHERE allowance_id = p_hold.allowance_id;
        SELECT posted - p_hold.charged_units INTO STRICT v_before FROM licensing.budget
            WHERE budget_id = 'units:' || p_hold.allowance_id || ':unit';
    END IF;
    INSERT INTO licensing.output (
        output_id, order_id, position, client_id, creator_id, style_id, tier, test, sha256, phash, certificate,
        price, share, fee, tax, tax_category, tax_bps, shared, currency, settled_at)
    SELECT made.output_id, p_hold.order_id, made.position, p_hold.client_id, p_hold.creator_id, p_hold.style_id,
           p_hold.tier, p_hold.test, made.sha256, ('x' || made.phash)::bit(256), made.certificate,
           worth.price, worth.price - p_hold.unit_tax - worth.fee, worth.fee, p_hold.unit_tax,
           coalesce(v_quota.tax_category, p_hold.tax_category), coalesce(v_quota.tax_bps, p_hold.tax_bps),
           EXISTS (SELECT FROM licensing.author a WHERE a.style_id = p_hold.style_id AND a.version = p_hold.terms_version),
           p_hold.currency, p_now
    FROM unnest(p_outputs, p_sha256s, p_phashes, p_certificates)
            WITH ORDINALITY AS made (output_id, sha256, phash, certificate, position),
        LATERAL (SELECT CASE WHEN p_hold.units = 0 THEN p_hold.unit_price ELSE licensing.worth_of(
            v_quota.price, v_quota.units, v_before + (made.position - 1) * p_hold.units_each,
            v_before + made.position * p_hold.units_each) END AS price) cost,
        LATERAL (SELECT cost.price, licensing.fee_of(cost.price - p_hold.unit_tax, p_hold.fee_bps) AS fee) worth;
    INSERT INTO licensing.output_share (output_id, author_id, share)
        SELECT o.output_id, part.author_id, part.share
        FROM licensing.output o,
             licensing.parts_of(o.style_id, p_hold.terms_version, o.creator_id, o.share) part
        WHERE o.order_id = p_hold.order_id AND o.shared;
END $$;

CREATE OR REPLACE FUNCTION licensing.post_sale(p_hold licensing.hold, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_price bigint;
    v_fee bigint;
    v_tax bigint;
    v_body jsonb;
    v_to record;
    v_units CONSTANT boolean := p_hold.units > 0;
BEGIN
    SELECT sum(price), sum(fee), sum(tax), jsonb_build_object(
            'style', p_hold.style_id, 'tier', p_hold.tier, 'terms', p_hold.terms_version,
            'outputs', jsonb_agg(jsonb_build_array(output_id, sha256) ORDER BY position))
        INTO v_price, v_fee, v_tax, v_body FROM licensing.output WHERE order_id = p_hold.order_id;
    v_to := licensing.shares_of(p_hold.order_id);
    PERFORM licensing.post('sale', p_hold.order_id, v_body, p_now,
        ARRAY[CASE p_hold.pay WHEN 'prepaid' THEN 'prepaid:' || p_hold.client_id
                              WHEN 'overage' THEN 'receivable:' || p_hold.client_id
                              ELSE 'deferred:' || p_hold.allowance_id END || ':' || p_hold.currency]
        || v_to.accounts || ARRAY['fee:operator:' || p_hold.currency, 'tax:operator:' || p_hold.currency]
        || CASE WHEN v_units THEN ARRAY['units:' || p_hold.allowance_id || ':unit', 'taken:' || p_hold.style_id || ':unit']
                ELSE ARRAY[]::text[] END,
        ARRAY[-v_price] || v_to.amounts || ARRAY[v_fee, v_tax]
        || CASE WHEN v_units THEN ARRAY[-p_hold.charged_units, p_hold.charged_units] ELSE ARRAY[]::bigint[] END);
END $$;

-- The accounts of those whose work an order sold, with what each has of its outputs' shares.
CREATE OR REPLACE FUNCTION licensing.shares_of(p_order text, OUT accounts text[], OUT amounts bigint[])
LANGUAGE sql STABLE AS $$
    SELECT array_agg(part.account ORDER BY part.account), array_agg(part.share ORDER BY part.account) FROM (
        SELECT 'payable:' || coalesce(s.author_id, o.creator_id) || ':' || o.currency AS account,
               sum(coalesce(s.share, o.share))::bigint AS share
        FROM licensing.output o LEFT JOIN licensing.output_share s USING (output_id)
        WHERE o.order_id = p_order GROUP BY account) part
$$;

CREATE OR REPLACE FUNCTION licensing.sale_of(p_hold licensing.hold, p_outcome text) RETURNS licensing.answer
LANGUAGE sql STABLE AS $$
    SELECT ROW(p_outcome, NULL, jsonb_build_object(
               'share', coalesce(sum(share), 0), 'fee', coalesce(sum(fee), 0), 'tax', coalesce(sum(tax), 0)), p_hold)::licensing.answer
    FROM licensing.output WHERE order_id = p_hold.order_id
$$;

-- Whose so much of an output's share is. The same amount always falls into the same parts, so that what was moved can be
-- moved back.
CREATE OR REPLACE FUNCTION licensing.holders_of(p_output text, p_amount bigint)
RETURNS TABLE (creator_id text, amount bigint) LANGUAGE sql STABLE AS $$
    SELECT o.creator_id, p_amount FROM licensing.output o WHERE o.output_id = p_output AND (NOT o.shared OR o.share = 0)
    UNION ALL
    SELECT part.author_id, sign(p_amount)::bigint * part.amount
    FROM licensing.output o,
         LATERAL (SELECT array_agg(s.author_id ORDER BY s.author_id) AS ids, array_agg(s.share ORDER BY s.author_id) AS shares
                  FROM licensing.output_share s WHERE s.output_id = o.output_id) authors,
         LATERAL unnest(authors.ids, licensing.split(abs(p_amount), authors.shares)) AS part (author_id, amount)
    WHERE o.output_id = p_output AND o.shared AND o.share > 0
$$;

-- What of an output's share is this author's.
CREATE OR REPLACE FUNCTION licensing.part_of(p licensing.output, p_author text, OUT share bigint) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p.shared THEN coalesce(
        (SELECT s.share FROM licensing.output_share s WHERE s.output_id = p.output_id AND s.author_id = p_author), 0)
        ELSE p.share END
$$;

-- The outputs of whose share somebody has a part, by when they were sold.
-- Processes of the version before call it; it goes with the next change that has to wait for them.
CREATE OR REPLACE FUNCTION licensing.outputs_of(p_author text, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (output_id text) LANGUAGE sql STABLE AS $$
    SELECT o.output_id FROM licensing.output o
    WHERE o.creator_id = p_author AND NOT o.shared AND o.settled_at >= p_from AND o.settled_at < p_to
    UNION ALL
    SELECT s.output_id FROM licensing.output_share s JOIN licensing.output o USING (output_id)
    WHERE s.author_id = p_author AND o.settled_at >= p_from AND o.settled_at < p_to
$$;

CREATE OR REPLACE FUNCTION licensing.revoked_of(p_author text, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (output_id text) LANGUAGE sql STABLE AS $$
    SELECT o.output_id FROM licensing.output o
    WHERE o.creator_id = p_author AND NOT o.shared AND o.revoked_at >= p_from AND o.revoked_at < p_to
    UNION ALL
    SELECT s.output_id FROM licensing.output_share s JOIN licensing.output o USING (output_id)
    WHERE s.author_id = p_author AND o.revoked_at >= p_from AND o.revoked_at < p_to
$$;
