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
$$;
