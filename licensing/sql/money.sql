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
        PERFORM licensing.grant_prepaid(p_client, p_currency, p_amount);
        PERFORM licensing.post('credit', p_reference, v_body, p_now,
            ARRAY[p_by || ':operator:' || p_currency, v_prepaid], ARRAY[-p_amount, p_amount]);
    END IF;
    SELECT granted - posted - pending INTO STRICT v_left FROM licensing.budget WHERE budget_id = v_prepaid;
    RETURN ROW('credited', NULL, jsonb_build_object('left', v_left, 'repeated', v_known IS NOT NULL), NULL)::licensing.answer;
END $$;

-- Prepaid money comes to a client.
CREATE OR REPLACE FUNCTION licensing.grant_prepaid(p_client text, p_currency text, p_amount bigint) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
        SELECT 'prepaid:' || p_client || ':' || p_currency, p_client, 'prepaid', p_currency, p_amount WHERE p_amount > 0
        ON CONFLICT (budget_id) DO UPDATE SET granted = budget.granted + p_amount
$$;

-- What of an output's worth its client paid, before tax: all of it, but where a quota paid that was cheaper by a discount.
CREATE OR REPLACE FUNCTION licensing.paid_for(p licensing.output) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN a.price > 0 THEN (p.share + p.fee) * (a.price - a.discount) / a.price ELSE p.share + p.fee END
    FROM licensing.hold h LEFT JOIN licensing.allowance a ON a.allowance_id = h.allowance_id AND h.units > 0
    WHERE h.order_id = p.order_id
$$;

-- The tax that goes back with a price that was taxed. In the month of the sale it is the very tax that was taken, for the
-- invoice is to come; later it is rounded down, and a credit note makes it exact.
CREATE OR REPLACE FUNCTION licensing.tax_refunded(p licensing.output, p_now timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p.tax = 0 THEN 0
        WHEN date_trunc('month', p.settled_at, 'UTC') = date_trunc('month', p_now, 'UTC') THEN p.tax
        ELSE licensing.tax_back(p.share + p.fee, p.tax_bps) END
$$;

-- Reverse the sale of one output; the money becomes prepaid money again, whichever purse had paid.
CREATE OR REPLACE FUNCTION licensing.refund_output(p_output text, p_reason text, p_by text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.output;
    v_detail jsonb;
    v_to record;
    v_net bigint;
    v_tax bigint;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.output WHERE output_id = p_output FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'output', 'id', p_output);
    END IF;
    v_net := licensing.paid_for(v);
    v_tax := CASE WHEN v.tax > 0 THEN licensing.tax_refunded(v, coalesce(v.revoked_at, p_now))
                  ELSE licensing.tax_back(v_net, v.tax_bps) END;
    v_detail := jsonb_build_object('amount', v_net + v_tax, 'currency', v.currency, 'repeated', v.revoked_at IS NOT NULL);
    IF v.revoked_at IS NOT NULL THEN
        RETURN ROW('refunded', NULL, v_detail, NULL)::licensing.answer;
    END IF;
    IF v.price > 0 THEN
        SELECT array_agg('payable:' || part.creator_id || ':' || v.currency ORDER BY part.creator_id) AS accounts,
               array_agg(-part.amount ORDER BY part.creator_id) AS amounts INTO v_to
            FROM licensing.holders_of(p_output, v.share) part;
        PERFORM licensing.grant_prepaid(v.client_id, v.currency, v_net + v_tax);
        PERFORM licensing.post('refund', p_output, jsonb_build_object('reason', p_reason, 'by', p_by, 'net', v_net), p_now,
            ARRAY['prepaid:' || v.client_id || ':' || v.currency] || v_to.accounts
            || ARRAY['fee:operator:' || v.currency, 'tax:operator:' || v.currency, 'promo:operator:' || v.currency],
            ARRAY[v_net + v_tax] || v_to.amounts || ARRAY[-v.fee, -v_tax, v.share + v.fee - v_net]);
    END IF;
    UPDATE licensing.output SET revoked_at = p_now, revoked_reason = p_reason WHERE output_id = p_output;
    RETURN ROW('refunded', NULL, v_detail, NULL)::licensing.answer;
END $$;

-- Between which groups of each account everything lies that happened from `p_since` until before `p_until`, found by
-- looking at one in `p_stride` of them: what is older or newer need not be read. Groups of an account are numbered in the order
-- in which they were committed, which is that of their times, but for clocks that differ: by less than a day.
CREATE OR REPLACE FUNCTION licensing.stretch_of(
    p_accounts text[], p_since timestamptz, p_until timestamptz, p_stride integer
) RETURNS TABLE (account_id text, after bigint, upto bigint) LANGUAGE plpgsql STABLE ROWS 2 AS $$
DECLARE
    v_group bigint;
    v_at timestamptz;
BEGIN
    FOREACH account_id IN ARRAY p_accounts LOOP
        after := 0;
        upto := 9223372036854775807;
        v_group := upto;
        LOOP
            SELECT e.group_no INTO v_group FROM licensing.entry e
                WHERE e.account_id = stretch_of.account_id AND e.group_no < v_group
                ORDER BY e.group_no DESC OFFSET p_stride - 1 LIMIT 1;
            EXIT WHEN NOT FOUND;
            SELECT g.at INTO v_at FROM licensing.entry_group g WHERE g.group_no = v_group;
            IF v_at >= p_until + interval '1 day' THEN
                upto := v_group;
            ELSIF v_at < p_since - interval '1 day' THEN
                after := v_group;
                EXIT;
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;

-- Whose rows entries are is a question about their account. Asked for each of ten thousand entries it takes longer than the
-- sum, so these two ask once, and run with their owner's rights.
CREATE OR REPLACE FUNCTION licensing.require_owner(p_accounts text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_party(a.owner_id) FROM licensing.account a WHERE a.account_id = ANY (p_accounts);
END $$;

-- What was posted to accounts, `p_since` <= at < `p_until`.
CREATE OR REPLACE FUNCTION licensing.booked(p_accounts text[], p_since timestamptz, p_until timestamptz)
RETURNS TABLE (account_id text, group_no bigint, kind text, subject text, body jsonb, at timestamptz, amount bigint)
LANGUAGE plpgsql STABLE ROWS 100 AS $$
BEGIN
    PERFORM licensing.require_owner(p_accounts);
    RETURN QUERY
        SELECT e.account_id, e.group_no, g.kind, g.subject, g.body, g.at, e.amount
        FROM licensing.stretch_of(p_accounts, p_since, p_until, 100) part
        JOIN licensing.entry e ON e.account_id = part.account_id AND e.group_no > part.after AND e.group_no < part.upto
        CROSS JOIN LATERAL (SELECT * FROM licensing.entry_group o WHERE o.group_no = e.group_no LIMIT 1) g
        WHERE g.at >= p_since AND g.at < p_until;
END $$;

-- What an account came to just before a moment: a sum over an index, and of what lies near the moment group by group.
CREATE OR REPLACE FUNCTION licensing.balance_at(p_account text, p_moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_part record;
    v_old bigint;
    v_near bigint;
BEGIN
    PERFORM licensing.require_owner(ARRAY[p_account]);
    SELECT * INTO v_part FROM licensing.stretch_of(ARRAY[p_account], p_moment, p_moment, 100);
    IF p_moment = 'infinity' THEN
        v_part.after := v_part.upto;
    END IF;
    SELECT sum(e.amount) INTO v_old FROM licensing.entry e
        WHERE e.account_id = p_account AND e.group_no <= v_part.after;
    SELECT sum(e.amount) INTO v_near FROM licensing.entry e
        CROSS JOIN LATERAL (SELECT * FROM licensing.entry_group o WHERE o.group_no = e.group_no LIMIT 1) g
        WHERE e.account_id = p_account AND e.group_no > v_part.after AND e.group_no < v_part.upto AND g.at < p_moment;
    RETURN coalesce(v_old, 0) + coalesce(v_near, 0);
END $$;
