-- What creators earned leaves the house: where to, when, and how each transfer ended.

-- Whoever sets earnings aside (a payout, a dispute) does it one by one for each of these accounts, so that no payout takes
-- what a dispute holds; sales and refunds go beside them. Other accounts than payable ones are left alone.
CREATE OR REPLACE FUNCTION licensing.lock_earnings(p_accounts text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(no) FROM (
        SELECT DISTINCT licensing.lock_no('earnings', account) AS no FROM unnest(p_accounts) AS account
        WHERE account LIKE 'payable:%' ORDER BY no) locks;
END $$;

CREATE OR REPLACE FUNCTION licensing.payee_now(p_creator text) RETURNS licensing.payee LANGUAGE sql STABLE AS $$
    SELECT * FROM licensing.payee WHERE creator_id = p_creator ORDER BY version DESC LIMIT 1
$$;

-- Where a creator is paid from now on, as another row. Another destination pays out only after `p_delay_s` seconds: who
-- has stolen a session cannot take the money before somebody has had the time to see it.
CREATE OR REPLACE FUNCTION licensing.put_payee(
    p_creator text, p_method text, p_holder text, p_account text, p_bic text, p_minimum bigint, p_currency text,
    p_schedule text, p_delay_s integer, p_by text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payee;
    v_same_place boolean;
    v_same_wish boolean;
BEGIN
    PERFORM licensing.require_party(p_creator);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('payee', p_creator));
    v := licensing.payee_now(p_creator);
    v_same_place := (v.method, v.holder, v.account, v.bic) IS NOT DISTINCT FROM (p_method, p_holder, p_account, p_bic);
    v_same_wish := (v.minimum, v.currency, v.schedule) IS NOT DISTINCT FROM (p_minimum, p_currency, p_schedule);
    IF NOT v_same_place OR NOT v_same_wish THEN
        INSERT INTO licensing.payee (
            creator_id, version, method, holder, account, bic, minimum, currency, schedule, pays_from, actor, created_at)
        VALUES (p_creator, coalesce(v.version, 0) + 1, p_method, p_holder, p_account, p_bic, p_minimum, p_currency,
                p_schedule, CASE WHEN v_same_place THEN v.pays_from ELSE p_now + make_interval(secs => p_delay_s) END,
                p_by, p_now);
    END IF;
    RETURN ROW('put', NULL, jsonb_build_object('repeated', v_same_place AND v_same_wish), NULL)::licensing.answer;
END $$;

-- What a creator may see of where money goes, newest first: never the whole account, for whoever looks over a shoulder
-- or holds a stolen session.
CREATE OR REPLACE FUNCTION licensing.payees_of(p_creator text) RETURNS TABLE (
    version integer, method text, holder text, account text, minimum bigint, currency text, schedule text,
    pays_from timestamptz, actor text, created_at timestamptz
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM licensing.require_party(p_creator);
    RETURN QUERY
        SELECT p.version, p.method, p.holder,
               CASE p.method WHEN 'manual' THEN left(p.account, 2) ELSE '' END || '••••' || right(p.account, 4),
               p.minimum, p.currency, p.schedule, p.pays_from, p.actor, p.created_at
        FROM licensing.payee p WHERE p.creator_id = p_creator ORDER BY p.version DESC;
END $$;

-- Take all that is free of a creator's earnings on its way. `too_little` where that is less than `p_at_least`.
CREATE OR REPLACE FUNCTION licensing.open_payout(
    p_payout text, p_creator text, p_at_least bigint, p_currency text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_payable CONSTANT text := 'payable:' || p_creator || ':' || p_currency;
    v_payee licensing.payee;
    v licensing.payout;
    v_free bigint;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM licensing.lock_earnings(ARRAY[v_payable]);
    v_payee := licensing.payee_now(p_creator);
    SELECT * INTO v FROM licensing.payout WHERE payout_id = p_payout
        OR (creator_id = p_creator AND currency = p_currency AND state = 'open') ORDER BY payout_id = p_payout DESC LIMIT 1;
    IF v.payout_id = p_payout AND (v.creator_id, v.currency) = (p_creator, p_currency) THEN
        RETURN ROW('opened', NULL, jsonb_build_object('repeated', true), NULL)::licensing.answer;
    ELSIF v.payout_id = p_payout THEN
        RETURN licensing.refused('conflict', 'what', format('Payout id %s is taken; make a new id', p_payout));
    ELSIF v.payout_id IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Payout %s to %s is still on its way; wait until it has ended', v.payout_id, p_creator));
    ELSIF v_payee.creator_id IS NULL OR v_payee.account = '' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Nobody has said where %s is to be paid; give an account first', p_creator));
    ELSIF v_payee.currency <> p_currency THEN
        RETURN licensing.refused('conflict', 'what', format(
            '%s is paid in %s and not in %s; change where the money goes', p_creator, v_payee.currency, p_currency));
    ELSIF v_payee.pays_from > p_now THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Where %s is paid was changed on %s; for safety the next payout can leave after %s', p_creator,
            licensing.moment(v_payee.created_at), licensing.moment(v_payee.pays_from)));
    END IF;
    SELECT coalesce(sum(amount), 0) INTO v_free FROM licensing.entry WHERE account_id = v_payable;
    IF v_free < greatest(p_at_least, 1) THEN
        RETURN ROW('too_little', NULL, jsonb_build_object('free', v_free), NULL)::licensing.answer;
    END IF;
    INSERT INTO licensing.payout (payout_id, creator_id, payee_version, method, amount, currency, opened_at)
        VALUES (p_payout, p_creator, v_payee.version, v_payee.method, v_free, p_currency, p_now);
    PERFORM licensing.post('payout', p_payout, jsonb_build_object('payee', v_payee.version, 'method', v_payee.method),
        p_now, ARRAY[v_payable, 'paying:' || p_creator || ':' || p_currency], ARRAY[-v_free, v_free]);
    RETURN ROW('opened', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.moment(p_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
$$;

-- A payout arrived (`paid`, with the transfer's reference), did not (`failed`, with the reason), or came back after it
-- had arrived (`reversed`, with the reason). The same word again changes nothing, also where another has followed it.
CREATE OR REPLACE FUNCTION licensing.move_payout(p_payout text, p_to text, p_detail text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payout;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.payout WHERE payout_id = p_payout FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'payout', 'id', p_payout);
    ELSIF p_detail = (CASE WHEN p_to = 'paid' THEN v.reference WHEN p_to = v.state THEN v.reason END) THEN
        RETURN ROW('moved', NULL, jsonb_build_object('repeated', true), NULL)::licensing.answer;
    ELSIF v.state <> (CASE p_to WHEN 'reversed' THEN 'paid' ELSE 'open' END) THEN
        RETURN licensing.refused('conflict', 'what', CASE v.state
            WHEN 'open' THEN format('Payout %s is still on its way and cannot come back; end it as failed', p_payout)
            WHEN 'paid' THEN format('Payout %s was paid as %s; if the money came back, reverse it', p_payout, v.reference)
            ELSE format('Payout %s has %s and the money is the creator''s again; open another one', p_payout,
                        CASE v.state WHEN 'failed' THEN 'failed' ELSE 'come back' END) END);
    END IF;
    PERFORM licensing.post_payout(v, p_to, p_detail, p_now);
    RETURN ROW('moved', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- Write a step of a payout that is locked, and post it.
CREATE OR REPLACE FUNCTION licensing.post_payout(v licensing.payout, p_to text, p_detail text, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_payable CONSTANT text := 'payable:' || v.creator_id || ':' || v.currency;
    v_paying CONSTANT text := 'paying:' || v.creator_id || ':' || v.currency;
    v_cash CONSTANT text := 'cash:operator:' || v.currency;
BEGIN
    UPDATE licensing.payout SET state = p_to,
            reference = CASE p_to WHEN 'paid' THEN p_detail ELSE reference END,
            reason = CASE p_to WHEN 'paid' THEN reason ELSE p_detail END,
            ended_at = coalesce(ended_at, p_now),
            reversed_at = CASE p_to WHEN 'reversed' THEN p_now END
        WHERE payout_id = v.payout_id;
    PERFORM licensing.post('payout_' || p_to, v.payout_id, '{}', p_now,
        CASE p_to WHEN 'paid' THEN ARRAY[v_paying, v_cash] WHEN 'failed' THEN ARRAY[v_paying, v_payable]
                  ELSE ARRAY[v_cash, v_payable] END,
        ARRAY[-v.amount, v.amount]);
END $$;

-- All payouts by bank that are on their way and in no file yet become one run. Made once: what is opened later waits for
-- the next, so the file of a run never lacks what a confirmation of the run would end.
CREATE OR REPLACE FUNCTION licensing.make_run(p_run text, p_currency text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_made integer;
    v_known text;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('payout_run', ''));
    SELECT currency INTO v_known FROM licensing.payout_run WHERE run_id = p_run;
    IF v_known <> p_currency THEN
        RETURN licensing.refused('conflict', 'what', format('Run id %s is taken; make a new id', p_run));
    ELSIF v_known IS NULL THEN
        INSERT INTO licensing.payout_run (run_id, currency, made_at) VALUES (p_run, p_currency, p_now);
        UPDATE licensing.payout SET run_id = p_run
            WHERE state = 'open' AND method = 'manual' AND currency = p_currency AND run_id IS NULL;
        GET DIAGNOSTICS v_made = ROW_COUNT;
        IF v_made = 0 THEN
            DELETE FROM licensing.payout_run WHERE run_id = p_run;
            RETURN licensing.refused('conflict', 'what', format(
                'No payout in %s waits for a bank file; open payouts first', p_currency));
        END IF;
    END IF;
    RETURN ROW('made', NULL, jsonb_build_object('repeated', v_known IS NOT NULL), NULL)::licensing.answer;
END $$;

-- The bank carried out a run: whatever of it is still on its way has arrived.
CREATE OR REPLACE FUNCTION licensing.confirm_run(p_run text, p_reference text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payout;
    v_paid text[] := '{}';
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    IF NOT EXISTS (SELECT FROM licensing.payout_run WHERE run_id = p_run) THEN
        RETURN licensing.refused('not_found', 'what', 'run of payouts', 'id', p_run);
    END IF;
    FOR v IN SELECT * FROM licensing.payout WHERE run_id = p_run AND state = 'open' ORDER BY payout_id FOR UPDATE LOOP
        PERFORM licensing.post_payout(v, 'paid', p_reference, p_now);
        v_paid := v_paid || v.payout_id;
    END LOOP;
    RETURN ROW('confirmed', NULL, jsonb_build_object('payout_ids', v_paid), NULL)::licensing.answer;
END $$;

-- An erased creator's accounts are forgotten, but for one that a payout is still on its way to.
CREATE OR REPLACE FUNCTION licensing.forget_payee(p_creator text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    PERFORM set_config('licensing.replacing', 'yes', true);
    UPDATE licensing.payee p SET holder = '', account = '', bic = NULL
        WHERE creator_id = p_creator AND account <> '' AND NOT EXISTS (
            SELECT FROM licensing.payout o
            WHERE o.creator_id = p_creator AND o.payee_version = p.version AND o.state = 'open');
    PERFORM set_config('licensing.replacing', '', true);
END $$;

CREATE OR REPLACE FUNCTION licensing.keep_payee() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed licensing.payee := OLD;
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('licensing.replacing', true) = 'yes' THEN
        allowed.holder := ''; allowed.account := ''; allowed.bic := NULL;
        IF allowed IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'licensing.payee is append-only: % refused; correct it with a new row', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER payee_is_append_only BEFORE UPDATE OR DELETE ON licensing.payee
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_payee();

-- A payout goes on from open to paid or failed, and from paid to reversed; who gets how much never changes.
CREATE OR REPLACE FUNCTION licensing.keep_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
        OR (NEW.payout_id, NEW.creator_id, NEW.payee_version, NEW.method, NEW.amount, NEW.currency, NEW.opened_at)
            IS DISTINCT FROM
           (OLD.payout_id, OLD.creator_id, OLD.payee_version, OLD.method, OLD.amount, OLD.currency, OLD.opened_at)
        OR OLD.run_id IS NOT NULL AND NEW.run_id IS DISTINCT FROM OLD.run_id
        OR (OLD.state, NEW.state) NOT IN (
            ('open', 'open'), ('open', 'paid'), ('open', 'failed'), ('paid', 'reversed')) THEN
        RAISE EXCEPTION 'payout % is %: % refused', OLD.payout_id, OLD.state, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER payout_goes_on BEFORE UPDATE OR DELETE ON licensing.payout
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_payout();
