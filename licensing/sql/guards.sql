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
                              'checkpoint', 'rules', 'rate', 'author', 'output_share', 'coupon_use', 'invoice_line',
                              'invoice_tax', 'invoice_group', 'psp_event', 'dues_price', 'dues_consent', 'dues']
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I_is_append_only BEFORE UPDATE OR DELETE ON licensing.%I
                        FOR EACH ROW EXECUTE FUNCTION licensing.refuse_change()', name, name);
        EXECUTE format('CREATE OR REPLACE TRIGGER %I_is_not_truncated BEFORE TRUNCATE ON licensing.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION licensing.refuse_change()', name, name);
    END LOOP;
END $$;

-- Of rules nothing but who was erased is taken out, by `forget_in_rules` alone.
CREATE OR REPLACE FUNCTION licensing.keep_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed licensing.rules := OLD;
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('licensing.replacing', true) = 'yes' THEN
        allowed.rules := NEW.rules;
        IF allowed IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'licensing.rules is append-only: % refused; correct it with a new row', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER rules_is_append_only BEFORE UPDATE OR DELETE ON licensing.rules
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_rules();

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

-- Of an invoice nothing is written any more but what of it was paid.
CREATE OR REPLACE FUNCTION licensing.keep_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed licensing.invoice := OLD;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.settled > OLD.settled THEN
        allowed.settled := NEW.settled;
        IF allowed IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'invoice % was issued: % refused; correct it with a credit note', OLD.number, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER invoice_is_kept BEFORE UPDATE OR DELETE ON licensing.invoice
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_invoice();

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

-- A payment is never forgotten, is for ever what it was begun as, and goes forwards only.
CREATE OR REPLACE FUNCTION licensing.keep_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (OLD.payment_id, OLD.client_id, OLD.provider, OLD.purpose, OLD.subject, OLD.amount, OLD.bonus,
                            OLD.currency, OLD.method, OLD.created_at)
        IS DISTINCT FROM (NEW.payment_id, NEW.client_id, NEW.provider, NEW.purpose, NEW.subject, NEW.amount, NEW.bonus,
                          NEW.currency, NEW.method, NEW.created_at)
        OR OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
            ('pending', 'succeeded'), ('pending', 'failed'), ('failed', 'succeeded')) THEN
        RAISE EXCEPTION 'payment % is %: % refused', OLD.payment_id, OLD.state, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER payment_is_kept BEFORE UPDATE OR DELETE ON licensing.payment
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_payment();

-- Certificates signed anew because a party was erased. Nothing else of the outputs changes.
CREATE OR REPLACE FUNCTION licensing.replace_certificates(p_outputs text[], p_certificates text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    PERFORM set_config('licensing.replacing', 'yes', true);
    UPDATE licensing.output o SET certificate = made.certificate
        FROM unnest(p_outputs, p_certificates) AS made (output_id, certificate) WHERE o.output_id = made.output_id;
    PERFORM set_config('licensing.replacing', '', true);
END $$;

-- An erased creator's rules say nothing any more; in others' the id stands where the address of an erased client stood.
CREATE OR REPLACE FUNCTION licensing.forget_in_rules(p_account text, p_email text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    PERFORM set_config('licensing.replacing', 'yes', true);
    UPDATE licensing.rules SET rules = '{}' WHERE creator_id = p_account AND rules IS NOT NULL;
    UPDATE licensing.rules SET rules = rules || jsonb_build_object(
            'only_clients', licensing.renamed(rules -> 'only_clients', p_email, p_account),
            'blocked_clients', licensing.renamed(rules -> 'blocked_clients', p_email, p_account))
        WHERE strpos(lower(rules::text), lower(p_email)) > 0;
    PERFORM set_config('licensing.replacing', '', true);
END $$;

CREATE OR REPLACE FUNCTION licensing.renamed(p_names jsonb, p_before text, p_after text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_agg(CASE WHEN lower(name) = lower(p_before) THEN p_after ELSE name END ORDER BY number), '[]')
    FROM jsonb_array_elements_text(p_names) WITH ORDINALITY AS names (name, number)
$$;
