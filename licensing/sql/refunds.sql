-- Refunds by bank transfer: where to, in which file, and by whom they were sent.

-- Where a payment came from; the first that is told is kept.
CREATE OR REPLACE FUNCTION licensing.note_payer(p_payment text, p_holder text, p_iban text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    INSERT INTO licensing.payer (payment_id, client_id, holder, iban)
        SELECT payment_id, client_id, p_holder, p_iban FROM licensing.payment WHERE payment_id = p_payment
        ON CONFLICT (payment_id) DO NOTHING;
END $$;

-- An erased client's accounts are forgotten, but for those that a refund is still on its way to.
CREATE OR REPLACE FUNCTION licensing.forget_payer(p_client text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    UPDATE licensing.payer p SET holder = '', iban = ''
        WHERE client_id = p_client AND iban <> '' AND NOT EXISTS (
            SELECT FROM licensing.payment_refund r WHERE r.payment_id = p.payment_id AND r.state = 'pending');
END $$;

-- All refunds by transfer that wait, whose account is known and that are in no file yet, become one file. Made once: what
-- is begun later waits for the next, so no bank is told twice of one.
CREATE OR REPLACE FUNCTION licensing.make_refund_file(p_file text, p_currency text, p_by text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_made integer;
    v_known text;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('refund_file', ''));
    SELECT currency INTO v_known FROM licensing.refund_file WHERE file_id = p_file;
    IF v_known <> p_currency THEN
        RETURN licensing.refused('conflict', 'what', format('File id %s is taken; make a new id', p_file));
    ELSIF v_known IS NULL THEN
        INSERT INTO licensing.refund_file (file_id, currency, made_by, made_at) VALUES (p_file, p_currency, p_by, p_now);
        UPDATE licensing.payment_refund r SET file_id = p_file FROM licensing.payer p
            WHERE r.state = 'pending' AND r.provider = 'manual' AND r.currency = p_currency AND r.file_id IS NULL
              AND p.payment_id = r.payment_id AND p.iban <> '';
        GET DIAGNOSTICS v_made = ROW_COUNT;
        IF v_made = 0 THEN
            DELETE FROM licensing.refund_file WHERE file_id = p_file;
            RETURN licensing.refused('conflict', 'what', format(
                'No refund in %s waits for a bank file whose account is known; send the others by hand', p_currency));
        END IF;
    END IF;
    RETURN ROW('made', NULL, jsonb_build_object('repeated', v_known IS NOT NULL), NULL)::licensing.answer;
END $$;

-- A person says that a refund by transfer was sent. Said again it changes nothing: the first who said it stays.
CREATE OR REPLACE FUNCTION licensing.send_refund(p_refund text, p_by text, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment_refund;
    v_done licensing.answer;
BEGIN
    PERFORM licensing.require_house();
    v := licensing.lock_refund(p_refund);
    IF v.refund_id IS NULL THEN
        RETURN licensing.refused('not_found', 'what', 'refund', 'id', p_refund);
    ELSIF v.provider <> 'manual' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Whether refund %s was sent is said by %s, not by a person', p_refund, v.provider));
    ELSIF v.state = 'failed' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Refund %s came back and the money is its client''s again; give it back anew', p_refund));
    ELSIF v.state = 'succeeded' THEN
        RETURN ROW('sent', NULL, jsonb_build_object('repeated', true), NULL)::licensing.answer;
    END IF;
    v_done := licensing.end_payment_refund(
        v.provider, p_refund, v.reference, 'succeeded', v.amount, v.currency, NULL, p_now);
    UPDATE licensing.payment_refund SET sent_by = p_by WHERE refund_id = p_refund;
    RETURN ROW('sent', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- The bank sent a refund back after it was sent: the money is prepaid money again. Nothing else takes the word back that it
-- was sent.
CREATE OR REPLACE FUNCTION licensing.return_refund(p_refund text, p_reason text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment_refund;
    v_done licensing.answer;
BEGIN
    PERFORM licensing.require_house();
    v := licensing.lock_refund(p_refund);
    IF v.refund_id IS NULL THEN
        RETURN licensing.refused('not_found', 'what', 'refund', 'id', p_refund);
    ELSIF v.provider <> 'manual' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Whether refund %s came back is said by %s, not by a person', p_refund, v.provider));
    ELSIF v.state = 'pending' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Refund %s was not sent yet, so it cannot have come back', p_refund));
    ELSIF v.state = 'failed' THEN
        RETURN ROW('returned', NULL, jsonb_build_object('repeated', true), NULL)::licensing.answer;
    END IF;
    v_done := licensing.end_payment_refund(
        v.provider, p_refund, v.reference, 'failed', v.amount, v.currency, p_reason, p_now);
    RETURN ROW('returned', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- A refund whose payment's row is locked to the end of the transaction: whoever says something of it waits.
CREATE OR REPLACE FUNCTION licensing.lock_refund(p_refund text) RETURNS licensing.payment_refund LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment_refund;
BEGIN
    PERFORM licensing.require_read_committed();
    PERFORM FROM licensing.payment
        WHERE payment_id = (SELECT payment_id FROM licensing.payment_refund WHERE refund_id = p_refund) FOR UPDATE;
    SELECT * INTO v FROM licensing.payment_refund WHERE refund_id = p_refund;
    RETURN v;
END $$;

-- A refund is for ever what it was begun as, goes forwards only, and who sent it stays.
CREATE OR REPLACE FUNCTION licensing.keep_payment_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
        OR (OLD.refund_id, OLD.payment_id, OLD.client_id, OLD.provider, OLD.amount, OLD.bonus, OLD.currency, OLD.created_at)
            IS DISTINCT FROM
           (NEW.refund_id, NEW.payment_id, NEW.client_id, NEW.provider, NEW.amount, NEW.bonus, NEW.currency, NEW.created_at)
        OR OLD.sent_by IS NOT NULL AND NEW.sent_by IS DISTINCT FROM OLD.sent_by
        OR OLD.file_id IS NOT NULL AND NEW.file_id IS DISTINCT FROM OLD.file_id
        OR OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
            ('pending', 'succeeded'), ('pending', 'failed'), ('succeeded', 'failed')) THEN
        RAISE EXCEPTION 'refund % is %: % refused', OLD.refund_id, OLD.state, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER payment_refund_is_kept BEFORE UPDATE OR DELETE ON licensing.payment_refund
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_payment_refund();
