-- What may never happen to a row, said once and kept by triggers.

CREATE OR REPLACE FUNCTION licensing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'licensing.% is append-only: % refused; correct it with a new row', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['entry', 'entry_group', 'link', 'switch_event', 'signing', 'terms', 'tier', 'account',
                              'checkpoint', 'rules']
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I_is_append_only BEFORE UPDATE OR DELETE ON licensing.%I
                        FOR EACH ROW EXECUTE FUNCTION licensing.refuse_change()', name, name);
        EXECUTE format('CREATE OR REPLACE TRIGGER %I_is_not_truncated BEFORE TRUNCATE ON licensing.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION licensing.refuse_change()', name, name);
    END LOOP;
END $$;

-- A hold resolves once: after its end nothing about it changes, and it is never deleted.
CREATE OR REPLACE FUNCTION licensing.keep_ended_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'open' THEN
        RAISE EXCEPTION 'hold % is %: % refused', OLD.order_id, OLD.state, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER hold_resolves_once BEFORE UPDATE OR DELETE ON licensing.hold
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_ended_hold();

-- Of a sold output only its revocation may be written, once; and its certificate, by `replace_certificates` alone.
CREATE OR REPLACE FUNCTION licensing.keep_output() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed licensing.output := OLD;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.revoked_at IS NULL THEN
        allowed.revoked_at := NEW.revoked_at;
        allowed.revoked_reason := NEW.revoked_reason;
        IF allowed IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' AND current_setting('licensing.replacing', true) = 'yes' THEN
        allowed := OLD;
        allowed.certificate := NEW.certificate;
        IF allowed IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'output % was sold: % refused', OLD.output_id, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER output_is_kept BEFORE UPDATE OR DELETE ON licensing.output
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_output();

-- Certificates signed anew because a party was erased. Nothing else of the outputs changes.
CREATE OR REPLACE FUNCTION licensing.replace_certificates(p_outputs text[], p_certificates text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('licensing.replacing', 'yes', true);
    UPDATE licensing.output o SET certificate = made.certificate
        FROM unnest(p_outputs, p_certificates) AS made (output_id, certificate) WHERE o.output_id = made.output_id;
    PERFORM set_config('licensing.replacing', '', true);
END $$;
