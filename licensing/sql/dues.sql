-- What creators owe for a month. A debt of its own: nothing else reads the account `dues`, and no payout waits for it.

-- A change counts for months that begin so long after it was said, if it makes them dearer.
CREATE OR REPLACE FUNCTION licensing.dues_notice() RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    -- Hours: 30 days of a session's own time zone may be an hour more or less.
    SELECT interval '720 hours'
$$;

CREATE OR REPLACE FUNCTION licensing.month_begins(p_month date) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT p_month::timestamp AT TIME ZONE 'UTC'
$$;

-- What a month costs: the least that was the operator's word at any moment of the notice before it begins. So who makes
-- it dearer waits that long, and who makes it cheaper does not. A word in another currency asks for nothing in this one.
CREATE OR REPLACE FUNCTION licensing.dues_of_month(p_month date, p_currency text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    WITH word AS (
        SELECT CASE WHEN currency = p_currency THEN amount ELSE 0 END AS amount, said_at,
               lead(said_at, 1, 'infinity') OVER (ORDER BY said_at, price_no) AS until
        FROM licensing.dues_price WHERE said_at <= licensing.month_begins(p_month))
    SELECT CASE WHEN min(said_at) <= licensing.month_begins(p_month) - licensing.dues_notice()
                THEN min(amount) FILTER (WHERE until > licensing.month_begins(p_month) - licensing.dues_notice())
                ELSE 0 END
    FROM word
$$;

-- The operator's word on what a month costs. The same again is no other word.
CREATE OR REPLACE FUNCTION licensing.say_dues(p_amount bigint, p_currency text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dues_price;
    v_same boolean;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('dues_price', ''));
    SELECT * INTO v FROM licensing.dues_price ORDER BY price_no DESC LIMIT 1;
    -- Nobody has to be told that nothing goes on costing nothing.
    v_same := (coalesce(v.amount, 0), coalesce(v.currency, p_currency)) = (p_amount, p_currency);
    IF NOT v_same THEN
        INSERT INTO licensing.dues_price (amount, currency, said_at) VALUES (p_amount, p_currency, p_now);
    END IF;
    RETURN ROW('said', NULL, jsonb_build_object('repeated', v_same), NULL)::licensing.answer;
END $$;

-- A creator lets what is owed be taken from earnings, or does not any more.
CREATE OR REPLACE FUNCTION licensing.let_dues_be_taken(p_creator text, p_takes boolean, p_by text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dues_consent;
BEGIN
    PERFORM licensing.require_party(p_creator);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('dues_consent', p_creator));
    SELECT * INTO v FROM licensing.dues_consent WHERE creator_id = p_creator ORDER BY version DESC LIMIT 1;
    IF coalesce(v.takes, false) <> p_takes THEN
        INSERT INTO licensing.dues_consent (creator_id, version, takes, actor, said_at)
            VALUES (p_creator, coalesce(v.version, 0) + 1, p_takes, p_by, p_now);
    END IF;
    RETURN ROW('said', NULL, jsonb_build_object('repeated', coalesce(v.takes, false) = p_takes), NULL)::licensing.answer;
END $$;

-- Post a creator's month, once. It costs what `dues_of_month` says, or nothing where the creator has not been here for as
-- long as a notice. With the creator's yes what is owed is taken from what is payable, never more than is there.
CREATE OR REPLACE FUNCTION licensing.post_dues(
    p_creator text, p_month date, p_currency text, p_here_since timestamptz, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_dues CONSTANT text := 'dues:' || p_creator || ':' || p_currency;
    v_payable CONSTANT text := 'payable:' || p_creator || ':' || p_currency;
    v_subject CONSTANT text := p_creator || '/' || to_char(p_month, 'YYYY-MM');
    v_free bigint;
    v licensing.dues;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    IF licensing.month_begins(p_month) > p_now THEN
        RETURN licensing.refused('conflict', 'what', format(
            '%s has not begun; post it on its first day', to_char(p_month, 'YYYY-MM')));
    END IF;
    PERFORM licensing.lock_earnings(ARRAY[v_payable]);
    SELECT * INTO v FROM licensing.dues WHERE creator_id = p_creator AND month = p_month;
    IF NOT FOUND THEN
        v.amount := CASE WHEN p_here_since <= licensing.month_begins(p_month) - licensing.dues_notice()
                         THEN licensing.dues_of_month(p_month, p_currency) ELSE 0 END;
        v.taken := 0;
        IF licensing.lets_dues_be_taken(p_creator) THEN
            SELECT coalesce(sum(amount), 0) INTO v_free FROM licensing.entry WHERE account_id = v_payable;
            v.taken := greatest(0, least(v_free, v.amount + licensing.dues_owed(v_dues)));
        END IF;
        INSERT INTO licensing.dues (creator_id, month, amount, taken, currency, posted_at)
            VALUES (p_creator, p_month, v.amount, v.taken, p_currency, p_now);
        PERFORM licensing.post('dues', v_subject, '{}', p_now, ARRAY[v_dues, 'fee:operator:' || p_currency],
            ARRAY[-v.amount, v.amount]) WHERE v.amount > 0;
        PERFORM licensing.post('dues_taken', v_subject, '{}', p_now, ARRAY[v_payable, v_dues], ARRAY[-v.taken, v.taken])
            WHERE v.taken > 0;
    END IF;
    RETURN ROW('posted', NULL, jsonb_build_object(
        'amount', v.amount, 'taken', v.taken, 'repeated', v.month IS NOT NULL), NULL)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.lets_dues_be_taken(p_creator text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT takes FROM licensing.dues_consent WHERE creator_id = p_creator
                     ORDER BY version DESC LIMIT 1), false)
$$;

-- What an account `dues` owes; below zero where more was paid than is owed, which counts for the months to come.
CREATE OR REPLACE FUNCTION licensing.dues_owed(p_account text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(-sum(amount), 0)::bigint FROM licensing.entry WHERE account_id = p_account
$$;

-- Less is owed, once a reference: `paid`, money arrived; `waived`, the operator asks for that much no more, and for no more
-- than is owed.
CREATE OR REPLACE FUNCTION licensing.lower_dues(
    p_how text, p_creator text, p_amount bigint, p_currency text, p_reference text, p_why text, p_by text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_dues CONSTANT text := 'dues:' || p_creator || ':' || p_currency;
    v_body CONSTANT jsonb := jsonb_build_object('creator', p_creator, 'amount', p_amount, 'currency', p_currency);
    v_known jsonb;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM licensing.lock_earnings(ARRAY['payable:' || p_creator || ':' || p_currency]);
    PERFORM pg_advisory_xact_lock(licensing.lock_no('dues_' || p_how, p_reference));
    SELECT body INTO v_known FROM licensing.entry_group WHERE kind = 'dues_' || p_how AND subject = p_reference;
    IF v_known @> v_body THEN
        RETURN ROW('lowered', NULL, jsonb_build_object('repeated', true, 'owed', licensing.dues_owed(v_dues)), NULL)::licensing.answer;
    ELSIF v_known IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Reference %s was booked for another creator or amount; look at it again', p_reference));
    ELSIF p_how = 'waived' AND p_amount > licensing.dues_owed(v_dues) THEN
        RETURN licensing.refused('conflict', 'what', format(
            '%s owes %s %s minor units; no more than that can be waived', p_creator,
            greatest(0, licensing.dues_owed(v_dues)), p_currency));
    END IF;
    PERFORM licensing.post('dues_' || p_how, p_reference, v_body || jsonb_build_object('by', p_by, 'why', p_why), p_now,
        ARRAY[CASE p_how WHEN 'paid' THEN 'cash:operator:' ELSE 'fee:operator:' END || p_currency, v_dues],
        ARRAY[-p_amount, p_amount]);
    RETURN ROW('lowered', NULL, jsonb_build_object('repeated', false, 'owed', licensing.dues_owed(v_dues)), NULL)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.problems_of_dues() RETURNS TABLE (rule text, place text, detail text)
LANGUAGE sql STABLE AS $$
    SELECT 'a month''s dues are posted once, and as its row says', coalesce(posted.place, said.place),
           format('%s owed and %s taken in its row, %s and %s posted', said.amount, said.taken, posted.amount, posted.taken)
    FROM (SELECT creator_id || '/' || to_char(month, 'YYYY-MM') AS place, amount, taken FROM licensing.dues
          WHERE amount > 0 OR taken > 0) said
    FULL JOIN (SELECT g.subject AS place, coalesce(sum(-e.amount) FILTER (WHERE g.kind = 'dues'), 0) AS amount,
                      coalesce(sum(e.amount) FILTER (WHERE g.kind = 'dues_taken'), 0) AS taken
               FROM licensing.entry_group g JOIN licensing.entry e USING (group_no)
               WHERE g.kind IN ('dues', 'dues_taken')
                 AND split_part(e.account_id, ':', 1) = 'dues'
                 AND split_part(e.account_id, ':', 2) = split_part(g.subject, '/', 1)
               GROUP BY g.subject) posted USING (place)
    WHERE (said.amount, said.taken) IS DISTINCT FROM (posted.amount, posted.taken)
UNION ALL
    SELECT 'nothing is taken for dues without a yes', format('%s/%s', d.creator_id, d.month), format('%s taken', d.taken)
    FROM licensing.dues d WHERE d.taken > 0 AND NOT EXISTS (
        SELECT FROM licensing.dues_consent c WHERE c.creator_id = d.creator_id AND c.takes)
$$;
