-- Papers about what a client was charged: everything in a month on one invoice, what is given back of an earlier invoice's
-- on a credit note of that invoice. A group of entries is on one paper, for ever.

-- What concerns a client's purse and is on no paper yet: `net` and `tax` are what was charged, below 0 what was given back;
-- `owed` what of it came on account. `corrects`: the invoice that has the charge which a group gives back.
CREATE OR REPLACE FUNCTION licensing.to_invoice(p_client text, p_currency text, p_until timestamptz)
RETURNS TABLE (group_no bigint, kind text, subject text, at timestamptz, net bigint, tax bigint, owed bigint, corrects text)
LANGUAGE sql STABLE AS $$
    WITH purse AS (
        SELECT e.group_no, -sum(e.amount)::bigint AS charged,
               -coalesce(sum(e.amount) FILTER (WHERE e.account_id LIKE 'receivable:%'), 0)::bigint AS owed
        FROM licensing.entry e
        WHERE e.account_id IN ('prepaid:' || p_client || ':' || p_currency, 'receivable:' || p_client || ':' || p_currency)
          AND NOT EXISTS (SELECT FROM licensing.invoice_group known WHERE known.group_no = e.group_no)
        GROUP BY e.group_no
    )
    SELECT g.group_no, g.kind, g.subject, g.at, p.charged - taxed.tax, taxed.tax, p.owed, (
        SELECT listed.number FROM licensing.charge_behind(g.kind, g.subject) charge
        JOIN licensing.entry_group origin ON origin.kind = charge.kind AND origin.subject = charge.subject
        JOIN licensing.invoice_group listed ON listed.group_no = origin.group_no)
    FROM purse p JOIN licensing.entry_group g USING (group_no),
         LATERAL (SELECT coalesce(sum(e.amount), 0)::bigint AS tax FROM licensing.entry e
                  WHERE e.group_no = g.group_no AND e.account_id = 'tax:operator:' || p_currency) taxed
    WHERE g.kind IN ('sale', 'plan', 'licence', 'refund', 'plan_end', 'licence_end', 'adjustment', 'adjustment_undone')
      AND g.at < p_until AND p.charged <> 0
$$;

-- What was charged of which a group gives back: the sale of a picture, or the quota that paid for it; a quota's purchase.
CREATE OR REPLACE FUNCTION licensing.charge_behind(p_kind text, p_subject text, OUT kind text, OUT subject text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_kind IN ('plan_end', 'licence_end') THEN
        kind := replace(p_kind, '_end', ''); subject := p_subject;
    ELSIF p_kind IN ('refund', 'adjustment', 'adjustment_undone') THEN
        SELECT coalesce(a.kind, 'sale'), coalesce(a.allowance_id, h.order_id) INTO kind, subject
            FROM licensing.output o JOIN licensing.hold h USING (order_id)
            LEFT JOIN licensing.allowance a ON a.allowance_id = h.allowance_id AND h.units > 0
            -- An adjustment is named by its dispute and its output.
            WHERE o.output_id = split_part(p_subject, '/', CASE p_kind WHEN 'refund' THEN 1 ELSE 2 END);
    END IF;
END $$;

-- The lines that these groups make: pictures of one style, tier and price are one line.
CREATE OR REPLACE FUNCTION licensing.lines_of(p_groups bigint[])
RETURNS TABLE (kind text, name text, style_id text, tier text, quantity bigint, unit bigint, tax_category text, tax_bps integer)
LANGUAGE sql STABLE AS $$
    SELECT one.kind, one.name, one.style_id, one.tier, sum(one.quantity)::bigint, one.unit, one.tax_category, one.tax_bps
    FROM (
        SELECT 'pictures' AS kind, NULL AS name, o.style_id, o.tier, 1 AS quantity, o.share + o.fee AS unit, o.tax_category,
               o.tax_bps
        FROM licensing.entry_group g JOIN licensing.output o ON o.order_id = g.subject
        WHERE g.group_no = ANY (p_groups) AND g.kind = 'sale'
        UNION ALL
        SELECT 'taken_back', NULL, o.style_id, o.tier, -1, (g.body ->> 'net')::bigint, o.tax_category, o.tax_bps
        FROM licensing.entry_group g JOIN licensing.output o ON o.output_id = g.subject
        WHERE g.group_no = ANY (p_groups) AND g.kind = 'refund'
        UNION ALL
        SELECT 'taken_back_in_part', NULL, o.style_id, o.tier, CASE g.kind WHEN 'adjustment' THEN -1 ELSE 1 END,
               (g.body ->> 'net')::bigint, o.tax_category, o.tax_bps
        FROM licensing.entry_group g JOIN licensing.output o ON o.output_id = g.body ->> 'output'
        WHERE g.group_no = ANY (p_groups) AND g.kind IN ('adjustment', 'adjustment_undone')
        UNION ALL
        SELECT a.kind, a.name, a.style_id, a.tier, 1, a.price, a.tax_category, a.tax_bps
        FROM licensing.entry_group g JOIN licensing.allowance a ON a.allowance_id = g.subject
        WHERE g.group_no = ANY (p_groups) AND g.kind IN ('plan', 'licence')
        UNION ALL
        SELECT 'discount', coalesce(a.coupon, a.name), NULL, NULL, -1, a.discount, a.tax_category, a.tax_bps
        FROM licensing.entry_group g JOIN licensing.allowance a ON a.allowance_id = g.subject
        WHERE g.group_no = ANY (p_groups) AND g.kind IN ('plan', 'licence') AND a.discount > 0
        UNION ALL
        SELECT 'unused', a.name, a.style_id, a.tier, -1, (g.body ->> 'refund')::bigint, a.tax_category, a.tax_bps
        FROM licensing.entry_group g JOIN licensing.allowance a ON a.allowance_id = g.subject
        WHERE g.group_no = ANY (p_groups) AND g.kind IN ('plan_end', 'licence_end') AND (g.body ->> 'refund')::bigint > 0
    ) one
    GROUP BY one.kind, one.name, one.style_id, one.tier, one.unit, one.tax_category, one.tax_bps
    HAVING sum(one.quantity) <> 0
$$;

-- The next number of a series. Nobody else gets one before this transaction has ended, so a number that was given and taken
-- back is given again.
CREATE OR REPLACE FUNCTION licensing.next_number(p_series text) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO licensing.series AS s (series, last) VALUES (p_series, 1)
        ON CONFLICT (series) DO UPDATE SET last = s.last + 1 RETURNING last
$$;

-- The tax of a paper, exact over the sum of each rate. Credit notes of one invoice are exact together.
CREATE OR REPLACE FUNCTION licensing.taxes_of(p_groups bigint[], p_corrects text)
RETURNS TABLE (tax_category text, tax_bps integer, net bigint, tax bigint) LANGUAGE sql STABLE AS $$
    SELECT rate.tax_category, rate.tax_bps, rate.net,
           licensing.tax_exactly(rate.net + coalesce(before.net, 0), rate.tax_bps) - coalesce(before.tax, 0)
    FROM (
        SELECT l.tax_category, l.tax_bps,
               sum(l.quantity * l.unit)::bigint * CASE WHEN p_corrects IS NULL THEN 1 ELSE -1 END AS net
        FROM licensing.lines_of(p_groups) l GROUP BY l.tax_category, l.tax_bps
    ) rate LEFT JOIN LATERAL (
        SELECT sum(t.net)::bigint AS net, sum(t.tax)::bigint AS tax
        FROM licensing.invoice i JOIN licensing.invoice_tax t USING (number)
        WHERE i.corrects = p_corrects AND t.tax_category = rate.tax_category AND t.tax_bps = rate.tax_bps
    ) before ON true
$$;

-- What of a month's charges is not on a paper yet, put on papers: an invoice, and a credit note for each invoice of which
-- something was given back. What was taken too much in tax is given back with them. Returns their numbers.
-- p_seller, p_buyer: how the parties are named; a buyer who told more is named by that. p_names: what styles are called. p_until: the first moment after.
CREATE OR REPLACE FUNCTION licensing.issue_papers(
    p_client text, p_currency text, p_until timestamptz, p_seller text, p_buyer text, p_names text, p_prefix text,
    p_payment_days integer, p_now timestamptz
) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_paper licensing.invoice;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('papers', p_client));
    PERFORM licensing.lock_budgets(ARRAY['prepaid:' || p_client || ':' || p_currency]);
    v_paper.client_id := p_client; v_paper.currency := p_currency; v_paper.seller := p_seller::jsonb;
    v_paper.buyer := coalesce((SELECT party FROM licensing.buyer WHERE client_id = p_client), p_buyer::jsonb);
    v_paper.series := p_prefix || to_char(p_now AT TIME ZONE 'UTC', 'YYYY');
    v_paper.issued_at := p_now; v_paper.settled := 0;
    v_paper.until := ((p_until AT TIME ZONE 'UTC') - interval '1 microsecond')::date;
    FOR v IN
        SELECT g.corrects, array_agg(g.group_no ORDER BY g.group_no) AS groups, sum(g.net)::bigint AS net,
               sum(g.tax)::bigint AS tax, sum(g.owed)::bigint AS owed, min(g.at) AS first_at
        FROM licensing.to_invoice(p_client, p_currency, p_until) g GROUP BY g.corrects ORDER BY g.corrects NULLS FIRST
    LOOP
        v_paper.corrects := v.corrects;
        v_paper.kind := CASE WHEN v.corrects IS NULL THEN 'invoice' ELSE 'credit_note' END;
        v_paper.since := least(date_trunc('month', v_paper.until)::date, (v.first_at AT TIME ZONE 'UTC')::date);
        v_paper.due_on := (p_now AT TIME ZONE 'UTC')::date + CASE WHEN v.owed > 0 THEN p_payment_days ELSE 0 END;
        RETURN NEXT licensing.write_paper(v_paper, v.groups, v.net, v.tax, greatest(v.owed, 0), p_names::jsonb);
    END LOOP;
END $$;

-- p_net, p_tax, p_owed: what these groups charged, below 0 where they gave back.
CREATE OR REPLACE FUNCTION licensing.write_paper(
    p licensing.invoice, p_groups bigint[], p_net bigint, p_tax bigint, p_owed bigint, p_names jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_sign CONSTANT integer := CASE p.kind WHEN 'invoice' THEN 1 ELSE -1 END;
    v_over bigint;
    v_purse text := 'prepaid';
    v_group bigint;
BEGIN
    p.no := licensing.next_number(p.series);
    p.number := p.series || '-' || lpad(p.no::text, 5, '0');
    p.net := p_net * v_sign;
    SELECT sum(t.tax) INTO STRICT p.tax FROM licensing.taxes_of(p_groups, p.corrects) t;
    p.total := p.net + p.tax;
    v_over := p_tax - p.tax * v_sign;
    IF v_over < 0 OR p.total < 0 THEN
        RAISE EXCEPTION 'paper % of % would ask for % more tax and be about %', p.number, p.client_id, -v_over, p.total
            USING ERRCODE = 'check_violation';
    END IF;
    p.due := p_owed;
    IF v_over > 0 THEN
        IF p.due >= v_over THEN
            v_purse := 'receivable';
            p.due := p.due - v_over;
        ELSE
            PERFORM licensing.grant_prepaid(p.client_id, p.currency, v_over);
        END IF;
        v_group := licensing.post('tax_rounding', p.number, '{}', p.issued_at,
            ARRAY['tax:operator:' || p.currency, v_purse || ':' || p.client_id || ':' || p.currency],
            ARRAY[-v_over, v_over]);
    END IF;
    p.due := least(p.due, p.total);
    p.paid := p.total - p.due;
    INSERT INTO licensing.invoice VALUES (p.*);
    INSERT INTO licensing.invoice_line (
            number, line, kind, name, style_id, style_name, tier, quantity, unit, net, tax_category, tax_bps)
        SELECT p.number, row_number() OVER (ORDER BY l.quantity * v_sign < 0, l.kind, l.style_id, l.tier, l.unit, l.name),
               l.kind, l.name, l.style_id, p_names ->> l.style_id, l.tier, l.quantity * v_sign, l.unit, l.quantity * v_sign * l.unit,
               l.tax_category, l.tax_bps
        FROM licensing.lines_of(p_groups) l;
    INSERT INTO licensing.invoice_tax (number, tax_category, tax_bps, why, net, tax)
        SELECT p.number, t.tax_category, t.tax_bps, CASE WHEN t.tax_category = client.category THEN client.why ELSE '' END,
               t.net, t.tax
        FROM licensing.taxes_of(p_groups, p.corrects) t, licensing.tax_of(p.client_id) client;
    INSERT INTO licensing.invoice_group (group_no, number)
        SELECT no, p.number FROM unnest(p_groups || v_group) AS no WHERE no IS NOT NULL;
    RETURN p.number;
END $$;

-- Clients who were charged something before this moment that is on no paper yet.
CREATE OR REPLACE FUNCTION licensing.clients_to_invoice(p_until timestamptz)
RETURNS TABLE (client_id text, currency text) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT a.owner_id, a.unit
    FROM licensing.entry_group g JOIN licensing.entry e USING (group_no) JOIN licensing.account a USING (account_id)
    WHERE a.kind IN ('prepaid', 'receivable') AND g.at < p_until
      AND g.kind IN ('sale', 'plan', 'licence', 'refund', 'plan_end', 'licence_end', 'adjustment', 'adjustment_undone')
      AND NOT EXISTS (SELECT FROM licensing.invoice_group known WHERE known.group_no = g.group_no)
    ORDER BY 1, 2
$$;

-- What an invoice still asks for, out of prepaid money: all of it or nothing. True where nothing is due any more.
CREATE OR REPLACE FUNCTION licensing.pay_invoice(p_number text, p_now timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v licensing.invoice;
    v_prepaid text;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO STRICT v FROM licensing.invoice WHERE number = p_number FOR UPDATE;
    v_prepaid := 'prepaid:' || v.client_id || ':' || v.currency;
    PERFORM licensing.lock_owed(v.client_id, v.currency);
    PERFORM licensing.lock_budgets(ARRAY[v_prepaid]);
    IF v.due = v.settled THEN
        RETURN true;
    ELSIF licensing.free_of(v_prepaid) < v.due - v.settled THEN
        RETURN false;
    END IF;
    UPDATE licensing.budget SET posted = posted + v.due - v.settled WHERE budget_id = v_prepaid;
    PERFORM licensing.post('invoice_paid', p_number, '{}', p_now,
        ARRAY[v_prepaid, 'receivable:' || v.client_id || ':' || v.currency],
        ARRAY[v.settled - v.due, v.due - v.settled]);
    UPDATE licensing.invoice SET settled = due WHERE number = p_number;
    RETURN true;
END $$;
