-- Locks on names. Advisory ones, held to the end of the transaction: readers queue behind a waiting writer, which row
-- locks do not promise, so `off` gets its turn under any load. Order: key, creator, style, sales of a style, hold,
-- payment, account, budget, chain.

-- The verbs take a lock and then read what is true under it; an older snapshot would show them what was true before.
CREATE OR REPLACE FUNCTION licensing.require_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'licensing needs a READ COMMITTED transaction, this one is %',
            upper(current_setting('transaction_isolation')) USING ERRCODE = 'invalid_transaction_state';
    END IF;
END $$;

-- The verbs run with their owner's rights, so they ask for whom the application acts; who is not the application owns the
-- tables and may do anything. What concerns several parties is done by the house, the rest by a party for itself.
CREATE OR REPLACE FUNCTION licensing.require_party(p_party text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_acting text := current_setting('ownhand.acting', true);
BEGIN
    IF session_user = 'ownhand_app' AND (v_acting IS NULL OR v_acting <> 'house' AND v_acting <> p_party) THEN
        RAISE EXCEPTION 'this is not for % to do', coalesce(nullif(v_acting, ''), 'nobody')
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION licensing.require_house() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_party('house');
END $$;

CREATE OR REPLACE FUNCTION licensing.lock_no(kind text, id text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended('licensing.' || kind || ':' || id, 0)
$$;

-- What every metered verb holds: nobody can change the switches above this style meanwhile.
CREATE OR REPLACE FUNCTION licensing.share_switches(p_creator text, p_style text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock_shared(licensing.lock_no('creator', p_creator));
    PERFORM pg_advisory_xact_lock_shared(licensing.lock_no('style', p_style));
END $$;

-- The same for many at once, creators before styles.
CREATE OR REPLACE FUNCTION licensing.share_all_switches(p_creators text[], p_styles text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(no) FROM (
        SELECT DISTINCT licensing.lock_no('creator', id) AS no FROM unnest(p_creators) AS id ORDER BY no) locks;
    PERFORM pg_advisory_xact_lock_shared(no) FROM (
        SELECT DISTINCT licensing.lock_no('style', id) AS no FROM unnest(p_styles) AS id ORDER BY no) locks;
END $$;

-- Budgets are locked together and in one order, so that no two transactions wait for each other.
CREATE OR REPLACE FUNCTION licensing.lock_budgets(p_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM licensing.budget WHERE budget_id = ANY (p_ids) ORDER BY budget_id FOR UPDATE;
END $$;
