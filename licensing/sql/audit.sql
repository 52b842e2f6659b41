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
    WHERE b.kind <> 'cap' GROUP BY b.budget_id HAVING b.granted - b.posted <> coalesce(sum(e.amount), 0)
UNION ALL
    SELECT 'what is pending is what open orders hold', b.budget_id,
           format('%s pending, %s held', b.pending, coalesce(sum(c.held), 0))
    FROM licensing.budget b
    LEFT JOIN (SELECT claim.* FROM licensing.hold h, licensing.claims(h) claim WHERE h.state = 'open') c USING (budget_id)
    GROUP BY b.budget_id HAVING b.pending <> coalesce(sum(c.held), 0)
UNION ALL
    SELECT 'what a key''s cap counts is what its orders cost', b.budget_id,
           format('%s posted, %s charged', b.posted, coalesce(sum(c.charged), 0))
    FROM licensing.budget b
    LEFT JOIN (SELECT claim.* FROM licensing.hold h, licensing.claims(h) claim WHERE h.state = 'settled') c USING (budget_id)
    WHERE b.kind = 'cap' GROUP BY b.budget_id HAVING b.posted <> coalesce(sum(c.charged), 0)
UNION ALL
    SELECT 'a settled order has its outputs and its price', h.order_id,
           format('%s made, %s outputs; %s charged, %s in prices', h.made, count(o.*), h.charged, sum(o.price))
    FROM licensing.hold h LEFT JOIN licensing.output o USING (order_id)
    WHERE h.state = 'settled' OR o.order_id IS NOT NULL
    GROUP BY h.order_id
    HAVING count(o.*) <> h.made OR (h.allowance_id IS NULL AND sum(o.price) <> h.charged)
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
    SELECT 'a revoked output was refunded', o.output_id, format('price %s', o.price)
    FROM licensing.output o LEFT JOIN licensing.entry_group g ON g.kind = 'refund' AND g.subject = o.output_id
    WHERE o.price > 0 AND (o.revoked_at IS NULL) <> (g.group_no IS NULL)
UNION ALL
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
