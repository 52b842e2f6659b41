-- Every rule of the ledger, recomputed from the rows. One line per place where a rule does not hold.

CREATE OR REPLACE FUNCTION licensing.problems() RETURNS TABLE (rule text, place text, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'the entries of a group sum to zero', format('group %s', e.group_no), format('%s %s', sum(e.amount), e.unit)
    FROM licensing.entry e GROUP BY e.group_no, e.unit HAVING sum(e.amount) <> 0
UNION ALL
    SELECT 'every entry is in the account it names, in that account''s unit', format('group %s', e.group_no), e.account_id
    FROM licensing.entry e LEFT JOIN licensing.account a USING (account_id)
    WHERE a.unit IS DISTINCT FROM e.unit
UNION ALL
    SELECT 'every group is linked into the chain', format('group %s', g.group_no), format('commit %s', g.commit_no)
    FROM licensing.entry_group g LEFT JOIN licensing.link l USING (commit_no) WHERE l.commit_no IS NULL
UNION ALL
    SELECT 'every link is the hash of its groups', format('lane %s link %s', l.lane, l.seq), format('commit %s', l.commit_no)
    FROM licensing.link l
    WHERE l.hash <> licensing.link_hash(l.prev_hash, l.commit_no)
       OR l.groups <> (SELECT count(*) FROM licensing.entry_group g WHERE g.commit_no = l.commit_no)
UNION ALL
    SELECT 'every link follows the one before it', format('lane %s link %s', lane, seq), format('after %s', seq_before)
    FROM (SELECT l.*, lag(hash, 1, sha256(convert_to('licensing lane ' || lane, 'UTF8'))) OVER w AS hash_before,
                 lag(seq, 1, 0::bigint) OVER w AS seq_before
          FROM licensing.link l WINDOW w AS (PARTITION BY lane ORDER BY seq)) linked
    WHERE prev_hash <> hash_before OR seq <> seq_before + 1
UNION ALL
    SELECT 'a budget has left what its account has', b.budget_id,
           format('%s left, entries sum to %s', b.granted - b.posted, coalesce(sum(e.amount), 0))
    FROM licensing.budget b LEFT JOIN licensing.entry e ON e.account_id = b.budget_id
    WHERE b.kind IN ('prepaid', 'units') GROUP BY b.budget_id HAVING b.granted - b.posted <> coalesce(sum(e.amount), 0)
UNION ALL
    SELECT 'what is pending is what open orders hold', b.budget_id,
           format('%s pending, %s held', b.pending, coalesce(sum(c.held), 0))
    FROM licensing.budget b
    LEFT JOIN (SELECT claim.* FROM licensing.hold h, licensing.claims(h) claim WHERE h.state = 'open') c USING (budget_id)
    GROUP BY b.budget_id HAVING b.pending <> coalesce(sum(c.held), 0)
UNION ALL
    SELECT 'what a cap counts is what its orders cost', b.budget_id,
           format('%s posted, %s charged', b.posted, coalesce(sum(c.charged), 0))
    FROM licensing.budget b
    LEFT JOIN (SELECT claim.* FROM licensing.hold h, licensing.claims(h) claim WHERE h.state = 'settled') c USING (budget_id)
    WHERE b.kind IN ('cap', 'overage') GROUP BY b.budget_id HAVING b.posted <> coalesce(sum(c.charged), 0)
UNION ALL
    SELECT 'a settled order has its outputs and its price', h.order_id,
           format('%s made, %s outputs; %s charged, %s in prices', h.made, count(o.*), h.charged, sum(o.price))
    FROM licensing.hold h LEFT JOIN licensing.output o USING (order_id)
    WHERE h.state = 'settled' OR o.order_id IS NOT NULL
    GROUP BY h.order_id
    HAVING count(o.*) <> h.made OR (h.units = 0 AND sum(o.price) <> h.charged)
UNION ALL
    SELECT 'a sale posts to the creator what its outputs share', s.subject,
           format('%s posted, %s shared', s.posted, coalesce(o.shared, 0))
    FROM (SELECT g.subject, coalesce(sum(e.amount) FILTER (WHERE e.account_id LIKE 'payable:%'), 0) AS posted
          FROM licensing.entry_group g LEFT JOIN licensing.entry e USING (group_no)
          WHERE g.kind = 'sale' GROUP BY g.group_no) s
    FULL JOIN (SELECT order_id, sum(share) AS shared FROM licensing.output WHERE NOT test GROUP BY order_id) o
        ON o.order_id = s.subject
    WHERE s.posted IS DISTINCT FROM o.shared
UNION ALL
    SELECT 'a quota''s money waits until its units are used', a.allowance_id,
           format('%s deferred, %s unused', coalesce(sum(e.amount), 0), waiting.amount)
    FROM licensing.allowance a
    JOIN licensing.budget b ON b.budget_id = 'units:' || a.allowance_id || ':unit'
    CROSS JOIN LATERAL (SELECT CASE WHEN a.state IN ('active', 'ending')
        THEN a.price - licensing.worth_of(a.price, a.units, 0, b.posted) ELSE 0 END AS amount) waiting
    LEFT JOIN licensing.entry e ON e.account_id = 'deferred:' || a.allowance_id || ':' || a.currency
    GROUP BY a.allowance_id, waiting.amount HAVING coalesce(sum(e.amount), 0) <> waiting.amount
UNION ALL
    SELECT 'a training is charged once', g.subject, format('%s times', count(*))
    FROM licensing.entry_group g WHERE g.kind = 'compute' GROUP BY g.subject HAVING count(*) > 1
UNION ALL
    SELECT 'authors share what is theirs', o.output_id, format('%s shared, %s in parts', o.share, coalesce(sum(s.share), 0))
    FROM licensing.output o LEFT JOIN licensing.output_share s USING (output_id)
    WHERE o.shared OR s.output_id IS NOT NULL
    GROUP BY o.output_id HAVING coalesce(sum(s.share), 0) <> o.share OR NOT o.shared
UNION ALL
    SELECT 'an invoice says what was posted', i.number, format('%s posted, %s on the paper', posted.amount, i.total)
    FROM licensing.invoice i, LATERAL (
        SELECT coalesce(-sum(e.amount), 0) AS amount
        FROM licensing.invoice_group g JOIN licensing.entry e USING (group_no) JOIN licensing.account a USING (account_id)
        WHERE g.number = i.number AND a.owner_id = i.client_id AND a.kind IN ('prepaid', 'receivable')) posted
    WHERE posted.amount <> CASE i.kind WHEN 'invoice' THEN i.total ELSE -i.total END
UNION ALL
    SELECT 'an invoice is the sum of its lines', i.number, format('%s in lines, %s net; %s in taxes, %s tax',
           lines.net, i.net, taxes.tax, i.tax)
    FROM licensing.invoice i,
         LATERAL (SELECT coalesce(sum(net), 0) AS net FROM licensing.invoice_line WHERE number = i.number) lines,
         LATERAL (SELECT coalesce(sum(net), 0) AS net, coalesce(sum(tax), 0) AS tax
                  FROM licensing.invoice_tax WHERE number = i.number) taxes
    WHERE lines.net <> i.net OR taxes.net <> i.net OR taxes.tax <> i.tax
UNION ALL
    SELECT 'numbers of invoices have no gaps', s.series, format('%s papers, the last is %s', count(i.number), s.last)
    FROM licensing.series s LEFT JOIN licensing.invoice i USING (series)
    GROUP BY s.series HAVING count(i.number) <> s.last OR coalesce(max(i.no), 0) <> s.last
UNION ALL
    SELECT 'a revoked output was refunded', o.output_id, format('price %s', o.price)
    FROM licensing.output o LEFT JOIN licensing.entry_group g ON g.kind = 'refund' AND g.subject = o.output_id
    WHERE o.price > 0 AND (o.revoked_at IS NULL) <> (g.group_no IS NULL)
UNION ALL
    SELECT * FROM licensing.problems_of_payouts()
UNION ALL
    SELECT * FROM licensing.problems_of_dues()
UNION ALL
    SELECT * FROM licensing.problems_of_disputes()
UNION ALL
    SELECT * FROM licensing.problems_of_payments()
$$;

CREATE OR REPLACE FUNCTION licensing.problems_of_payouts() RETURNS TABLE (rule text, place text, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'what is on its way is what open payouts carry', account_id,
           format('%s on its way, %s in payouts', coalesce(e.amount, 0), coalesce(p.amount, 0))
    FROM (SELECT account_id, sum(amount) AS amount FROM licensing.entry WHERE account_id LIKE 'paying:%' GROUP BY 1) e
    FULL JOIN (SELECT 'paying:' || creator_id || ':' || currency AS account_id, sum(amount) AS amount
               FROM licensing.payout WHERE state = 'open' GROUP BY 1) p USING (account_id)
    WHERE coalesce(e.amount, 0) <> coalesce(p.amount, 0)
UNION ALL
    SELECT 'a payout is posted once for each of its steps', p.payout_id, format('%s: %s', p.state, array_agg(g.kind))
    FROM licensing.payout p LEFT JOIN licensing.entry_group g ON g.subject = p.payout_id
        AND g.kind IN ('payout', 'payout_paid', 'payout_failed', 'payout_reversed')
    GROUP BY p.payout_id
    HAVING array_agg(g.kind ORDER BY g.kind) IS DISTINCT FROM CASE p.state
               WHEN 'open' THEN ARRAY['payout'] WHEN 'paid' THEN ARRAY['payout', 'payout_paid']
               WHEN 'failed' THEN ARRAY['payout', 'payout_failed']
               ELSE ARRAY['payout', 'payout_paid', 'payout_reversed'] END
        OR bool_or(NOT EXISTS (
               SELECT FROM licensing.entry e WHERE e.group_no = g.group_no AND e.amount = p.amount))
UNION ALL
    SELECT 'what was earned and not paid out is payable, held or on its way', format('%s %s', owner_id, unit),
           format('%s kept, %s earned, %s paid out', kept, earned, coalesce(paid.amount, 0))
    FROM (SELECT a.owner_id, a.unit, sum(e.amount) AS kept, coalesce(sum(e.amount) FILTER (WHERE g.kind NOT IN (
                     'payout', 'payout_paid', 'payout_failed', 'payout_reversed', 'dispute', 'dispute_end')), 0) AS earned
          FROM licensing.account a JOIN licensing.entry e USING (account_id) JOIN licensing.entry_group g USING (group_no)
          WHERE a.kind IN ('payable', 'held', 'paying') GROUP BY a.owner_id, a.unit) sums
    LEFT JOIN (SELECT creator_id AS owner_id, currency AS unit, sum(amount) AS amount
               FROM licensing.payout WHERE state = 'paid' GROUP BY 1, 2) paid USING (owner_id, unit)
    WHERE kept <> earned - coalesce(paid.amount, 0)
$$;

CREATE OR REPLACE FUNCTION licensing.problems_of_disputes() RETURNS TABLE (rule text, place text, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'what is held is what open disputes hold', account_id,
           format('%s held, %s in disputes', coalesce(e.amount, 0), coalesce(d.amount, 0))
    FROM (SELECT account_id, sum(amount) AS amount FROM licensing.entry WHERE account_id LIKE 'held:%' GROUP BY 1) e
    FULL JOIN (SELECT 'held:' || h.creator_id || ':' || s.currency AS account_id, sum(h.amount) AS amount
               FROM licensing.disputed o JOIN licensing.dispute s USING (dispute_id),
                    licensing.holders_of(o.output_id, o.held) h
               WHERE o.ended_at IS NULL GROUP BY 1) d
        USING (account_id)
    WHERE coalesce(e.amount, 0) <> coalesce(d.amount, 0)
UNION ALL
    SELECT 'a dispute runs while it has outputs to decide about', dispute_id, state
    FROM licensing.dispute d
    WHERE (state = 'closed') = EXISTS (
        SELECT FROM licensing.disputed o WHERE o.dispute_id = d.dispute_id AND o.ended_at IS NULL)
UNION ALL
    SELECT 'what a dispute changed about a sale is posted, and undone with the sale',
           format('%s/%s', d.dispute_id, d.output_id), format('%s to the client, posted %s', d.to_client, done.amounts)
    FROM licensing.disputed d JOIN licensing.output o USING (output_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(g.kind, jsonb_build_array(
            (SELECT coalesce(sum(e.amount), 0) FROM licensing.entry e
             WHERE e.group_no = g.group_no AND e.account_id LIKE 'payable:%'),
            (SELECT coalesce(sum(e.amount), 0) FROM licensing.entry e
             WHERE e.group_no = g.group_no AND e.account_id LIKE 'fee:%'))), '{}') AS amounts
        FROM licensing.entry_group g WHERE g.kind IN ('adjustment', 'adjustment_undone')
             AND g.subject = d.dispute_id || '/' || d.output_id) done
    WHERE done.amounts <> CASE WHEN (d.from_share, d.from_fee) = (0, 0) THEN '{}'::jsonb ELSE
              jsonb_build_object('adjustment', jsonb_build_array(-d.from_share, -d.from_fee))
              || CASE WHEN d.undone_at IS NULL THEN '{}'::jsonb ELSE
                     jsonb_build_object('adjustment_undone', jsonb_build_array(d.from_share, d.from_fee)) END END
       OR (o.revoked_at IS NOT NULL AND (d.ended_at IS NULL
           OR (d.undone_at IS NULL AND (d.from_share, d.from_fee) <> (0, 0))))
UNION ALL
    SELECT 'no more of a sale is given back than it had', o.output_id, format('%s of %s', sum(d.to_client), o.share + o.fee)
    FROM licensing.output o JOIN licensing.disputed d USING (output_id) WHERE d.undone_at IS NULL
    GROUP BY o.output_id
    HAVING sum(d.to_client) > o.share + o.fee OR sum(d.from_share) > o.share OR sum(d.from_fee) > o.fee
$$;

CREATE OR REPLACE FUNCTION licensing.problems_of_payments() RETURNS TABLE (rule text, place text, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'what arrived is booked once, and nothing else', p.payment_id,
           format('%s, %s %s booked', p.state, coalesce(sum(-e.amount), 0), p.currency)
    FROM licensing.payment p
    LEFT JOIN licensing.entry_group g ON g.kind = 'credit' AND g.subject = p.payment_id
    LEFT JOIN licensing.entry e ON e.group_no = g.group_no AND e.account_id = 'cash:operator:' || p.currency
    GROUP BY p.payment_id
    HAVING coalesce(sum(-e.amount), 0) <> CASE p.state WHEN 'succeeded' THEN p.amount ELSE 0 END
UNION ALL
    SELECT 'a payment knows what went back of it', p.payment_id,
           format('%s given, %s charged, %s of its bonus', p.given_back, p.charged_back, p.bonus_back)
    FROM licensing.payment p
    LEFT JOIN (SELECT payment_id, sum(amount) AS amount, sum(bonus) AS bonus FROM licensing.payment_refund
               WHERE state <> 'failed' GROUP BY payment_id) r USING (payment_id)
    LEFT JOIN (SELECT payment_id, sum(amount) AS amount, sum(bonus) AS bonus FROM licensing.chargeback
               WHERE state <> 'won' GROUP BY payment_id) c USING (payment_id)
    WHERE (p.given_back, p.charged_back, p.bonus_back)
        <> (coalesce(r.amount, 0), coalesce(c.amount, 0), coalesce(r.bonus, 0) + coalesce(c.bonus, 0))
UNION ALL
    SELECT 'a refund''s money is where its state says', r.refund_id,
           format('%s: %s on its way, %s %s out', r.state, coalesce(sum(e.amount) FILTER (WHERE e.account_id LIKE 'returning:%'), 0),
                  coalesce(sum(e.amount) FILTER (WHERE e.account_id LIKE 'cash:%'), 0), r.currency)
    FROM licensing.payment_refund r
    LEFT JOIN licensing.entry_group g ON g.subject = r.refund_id
        AND g.kind IN ('payment_refund', 'payment_refund_paid', 'payment_refund_failed')
    LEFT JOIN licensing.entry e USING (group_no)
    GROUP BY r.refund_id
    HAVING coalesce(sum(e.amount) FILTER (WHERE e.account_id LIKE 'returning:%'), 0)
            <> CASE r.state WHEN 'pending' THEN r.amount ELSE 0 END
        OR coalesce(sum(e.amount) FILTER (WHERE e.account_id LIKE 'cash:%'), 0)
            <> CASE r.state WHEN 'succeeded' THEN r.amount ELSE 0 END
UNION ALL
    SELECT 'what a bank took back left the cash, and came back where that was won', c.reference,
           format('%s: %s %s out', c.state, coalesce(sum(e.amount), 0), c.currency)
    FROM licensing.chargeback c
    LEFT JOIN licensing.entry_group g ON g.kind IN ('chargeback', 'chargeback_won')
        AND g.subject = c.provider || ':' || c.reference
    LEFT JOIN licensing.entry e ON e.group_no = g.group_no AND e.account_id = 'cash:operator:' || c.currency
    GROUP BY c.provider, c.reference
    HAVING coalesce(sum(e.amount), 0) <> CASE c.state WHEN 'won' THEN 0 ELSE c.amount END
$$;
