-- Double entries and their hash chain.
--
-- Amounts are signed: positive is value that the account gains. An account's name is kind:owner:unit.
--
-- The chain. A transaction's groups share a commit number. When the transaction commits, a deferred trigger makes one
-- link for all of them: hash = sha256(hash before || content). Whoever makes a link holds its lane from reading the
-- last link to the end of the commit; there are 8 lanes, each a chain of its own, and a transaction takes the first
-- free one, so commits do not queue behind each other.

-- The number that all groups of this transaction share.
CREATE OR REPLACE FUNCTION licensing.commit_of_transaction() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_commit bigint := NULLIF(current_setting('licensing.commit_no', true), '')::bigint;
BEGIN
    IF v_commit IS NULL THEN
        v_commit := nextval('licensing.commit_no');
        PERFORM set_config('licensing.commit_no', v_commit::text, true);
    END IF;
    RETURN v_commit;
END $$;

CREATE OR REPLACE FUNCTION licensing.post(
    p_kind text, p_subject text, p_body jsonb, p_at timestamptz, p_accounts text[], p_amounts bigint[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_group bigint;
BEGIN
    INSERT INTO licensing.entry_group (kind, subject, body, at, commit_no)
        VALUES (p_kind, p_subject, p_body, p_at, licensing.commit_of_transaction()) RETURNING group_no INTO v_group;
    INSERT INTO licensing.entry (group_no, line, account_id, unit, amount)
        SELECT v_group, line, account, split_part(account, ':', 3), amount
        FROM unnest(p_accounts, p_amounts) WITH ORDINALITY AS lines (account, amount, line)
        WHERE amount <> 0;
    INSERT INTO licensing.account (account_id, kind, owner_id, unit)
        SELECT account, split_part(account, ':', 1), split_part(account, ':', 2), split_part(account, ':', 3)
        FROM unnest(p_accounts) AS account
        WHERE NOT EXISTS (SELECT FROM licensing.account known WHERE known.account_id = account)
        ORDER BY account
        ON CONFLICT DO NOTHING;
    RETURN v_group;
END $$;

CREATE OR REPLACE FUNCTION licensing.commit_content(p_commit bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(
        jsonb_build_array(
            g.group_no, g.kind, g.subject, g.body, (extract(epoch FROM g.at) * 1000000)::bigint,
            (SELECT jsonb_agg(jsonb_build_array(e.line, e.account_id, e.unit, e.amount) ORDER BY e.line)
             FROM licensing.entry e WHERE e.group_no = g.group_no)
        )::text, E'\n' ORDER BY g.group_no)
    FROM licensing.entry_group g WHERE g.commit_no = p_commit
$$;

CREATE OR REPLACE FUNCTION licensing.link_hash(p_prev bytea, p_commit bigint) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(p_prev || convert_to(coalesce(licensing.commit_content(p_commit), ''), 'UTF8'))
$$;

CREATE OR REPLACE FUNCTION licensing.take_lane() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    lanes CONSTANT integer := 8;
    space CONSTANT integer := 1819240302;
    v_lane integer;
BEGIN
    FOR step IN 0 .. lanes - 1 LOOP
        v_lane := (pg_backend_pid() + step) % lanes;
        IF pg_try_advisory_xact_lock(space, v_lane) THEN
            RETURN v_lane;
        END IF;
    END LOOP;
    v_lane := pg_backend_pid() % lanes;
    PERFORM pg_advisory_xact_lock(space, v_lane);
    RETURN v_lane;
END $$;

CREATE OR REPLACE FUNCTION licensing.link_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_lane integer;
    v_seq bigint;
    v_prev bytea;
    v_uneven record;
BEGIN
    IF EXISTS (SELECT FROM licensing.link WHERE commit_no = NEW.commit_no) THEN
        RETURN NULL;
    END IF;
    -- Group by group, from those of this commit: asked for any uneven sum, Postgres would go through all groups there are
    -- in the order in which it expects to sum them up.
    WITH made AS MATERIALIZED (
        SELECT group_no, kind, subject FROM licensing.entry_group WHERE commit_no = NEW.commit_no
    )
    SELECT made.kind, made.subject, uneven.unit, uneven.total INTO v_uneven
        FROM made, LATERAL (
            SELECT e.unit, sum(e.amount) AS total FROM licensing.entry e
            WHERE e.group_no = made.group_no GROUP BY e.unit HAVING sum(e.amount) <> 0) uneven
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entries of % % sum to % %, not to 0', v_uneven.kind, v_uneven.subject, v_uneven.total,
            v_uneven.unit USING ERRCODE = 'check_violation';
    END IF;
    PERFORM licensing.require_read_committed();
    v_lane := licensing.take_lane();
    SELECT seq, hash INTO v_seq, v_prev FROM licensing.link WHERE lane = v_lane ORDER BY seq DESC LIMIT 1;
    v_prev := coalesce(v_prev, sha256(convert_to('licensing lane ' || v_lane, 'UTF8')));
    INSERT INTO licensing.link (lane, seq, commit_no, groups, prev_hash, hash)
        SELECT v_lane, coalesce(v_seq, 0) + 1, NEW.commit_no, count(*), v_prev,
               licensing.link_hash(v_prev, NEW.commit_no)
        FROM licensing.entry_group WHERE commit_no = NEW.commit_no;
    RETURN NULL;
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'entry_group_is_linked_at_commit') THEN
        CREATE CONSTRAINT TRIGGER entry_group_is_linked_at_commit AFTER INSERT ON licensing.entry_group
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION licensing.link_commit();
    END IF;
END $$;
