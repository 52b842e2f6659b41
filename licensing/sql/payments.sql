-- What clients pay by providers, what they get back, and what their banks take back. A provider's word comes by events, by
-- answers and by its list, in any order and more than once: every verb here says what it knows already and moves on only.
-- Locks: the payment's row, the invoice's, then the account `receivable`, then the budget.

-- Begin a payment; the same again is the same payment. Conflict: another payment has this id.
CREATE OR REPLACE FUNCTION licensing.begin_payment(
    p_payment text, p_client text, p_provider text, p_purpose text, p_subject text, p_amount bigint, p_bonus bigint,
    p_currency text, p_method text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    INSERT INTO licensing.payment (
            payment_id, client_id, provider, purpose, subject, amount, bonus, currency, method, created_at)
        VALUES (p_payment, p_client, p_provider, p_purpose, p_subject, p_amount, p_bonus, p_currency, p_method, p_now)
        ON CONFLICT (payment_id) DO NOTHING;
    SELECT * INTO STRICT v FROM licensing.payment WHERE payment_id = p_payment;
    IF (v.client_id, v.provider, v.purpose, v.subject, v.amount, v.bonus, v.currency)
        IS DISTINCT FROM (p_client, p_provider, p_purpose, p_subject, p_amount, p_bonus, p_currency) THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Payment %s was begun with another client, amount or purpose; make a new id', p_payment));
    END IF;
    RETURN ROW('begun', NULL, jsonb_build_object('payment_id', p_payment), NULL)::licensing.answer;
END $$;

-- What a provider says of a payment, known by our id or else by the provider's reference. Nothing goes backwards; that money
-- arrived counts more than that it was said not to come.
CREATE OR REPLACE FUNCTION licensing.end_payment(
    p_provider text, p_payment text, p_reference text, p_state text, p_amount bigint, p_currency text, p_reason text,
    p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment;
    v_refusal licensing.answer;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.payment
        WHERE provider = p_provider AND (payment_id = p_payment OR p_payment IS NULL AND reference = p_reference)
        FOR UPDATE;
    v_refusal := licensing.payment_refusal(v, p_payment, p_reference, p_amount, p_currency);
    IF v_refusal.outcome IS NOT NULL THEN
        RETURN v_refusal;
    END IF;
    v.reference := coalesce(v.reference, p_reference);
    IF v.state = 'pending' AND p_state = 'failed' THEN
        UPDATE licensing.payment SET state = 'failed', reason = p_reason, reference = v.reference, ended_at = p_now
            WHERE payment_id = v.payment_id;
    ELSIF v.state <> 'succeeded' AND p_state = 'succeeded' THEN
        PERFORM licensing.book_payment(v, p_now);
    ELSE
        UPDATE licensing.payment SET reference = v.reference
            WHERE payment_id = v.payment_id AND reference IS DISTINCT FROM v.reference;
    END IF;
    RETURN ROW('noted', NULL, jsonb_build_object('payment_id', v.payment_id), NULL)::licensing.answer;
END $$;

-- Why what a provider says is not of the payment `v`, or NULL.
CREATE OR REPLACE FUNCTION licensing.payment_refusal(
    v licensing.payment, p_payment text, p_reference text, p_amount bigint, p_currency text
) RETURNS licensing.answer LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF v.payment_id IS NULL THEN
        RETURN licensing.refused('not_found', 'what', 'payment', 'id', coalesce(p_payment, p_reference, ''));
    ELSIF v.reference <> p_reference THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Payment %s is %s at %s, not %s; look there why it was taken twice', v.payment_id, v.reference, v.provider,
            p_reference));
    ELSIF (v.amount, v.currency) <> (p_amount, p_currency) THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Payment %s is of %s %s minor units and %s tells of %s %s; give back what is too much, or ask for the rest',
            v.payment_id, v.amount, v.currency, v.provider, p_amount, p_currency));
    END IF;
    RETURN NULL;
END $$;

-- The payment `v`, whose row is locked, has arrived: one group, whatever it was for. Of an invoice's payment the client's
-- account takes what is owed, and the rest is prepaid money.
CREATE OR REPLACE FUNCTION licensing.book_payment(v licensing.payment, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_due CONSTANT bigint := CASE WHEN v.purpose = 'invoice' THEN licensing.lock_due(v.subject, v.client_id) ELSE 0 END;
BEGIN
    v.to_account := CASE WHEN v.purpose = 'invoice'
                         THEN least(v.amount, licensing.lock_billed(v.client_id, v.currency)) ELSE 0 END;
    UPDATE licensing.invoice SET settled = settled + least(v.to_account, v_due)
        WHERE number = v.subject AND least(v.to_account, v_due) > 0;
    PERFORM licensing.grant_prepaid(v.client_id, v.currency, v.amount - v.to_account + v.bonus);
    PERFORM licensing.post('credit', v.payment_id,
        jsonb_build_object('client', v.client_id, 'provider', v.provider, 'reference', v.reference, 'amount', v.amount,
                           'currency', v.currency, 'purpose', v.purpose, 'subject', v.subject, 'bonus', v.bonus),
        p_now,
        ARRAY['cash:operator:' || v.currency, 'receivable:' || v.client_id || ':' || v.currency,
              'prepaid:' || v.client_id || ':' || v.currency, 'promo:operator:' || v.currency],
        ARRAY[-v.amount, v.to_account, v.amount - v.to_account + v.bonus, -v.bonus]);
    UPDATE licensing.payment
        SET state = 'succeeded', reason = NULL, reference = v.reference, to_account = v.to_account, ended_at = p_now
        WHERE payment_id = v.payment_id;
END $$;

-- What an invoice of a client still asks for; 0 where there is no such invoice.
CREATE OR REPLACE FUNCTION licensing.lock_due(p_number text, p_client text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v licensing.invoice;
BEGIN
    SELECT * INTO v FROM licensing.invoice WHERE number = p_number AND client_id = p_client FOR UPDATE;
    RETURN coalesce(v.due - v.settled, 0);
END $$;

-- What a client owes that was asked for: on invoices, or because a bank took back what had paid one. What is on no invoice
-- yet is not.
CREATE OR REPLACE FUNCTION licensing.lock_billed(p_client text, p_currency text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_owed CONSTANT bigint := licensing.lock_owed(p_client, p_currency);
BEGIN
    RETURN greatest(0, v_owed - coalesce((
        SELECT sum(waiting.owed) FROM licensing.to_invoice(p_client, p_currency, 'infinity') waiting), 0));
END $$;

-- What a client owes on account, at least 0; nobody else here pays it meanwhile.
CREATE OR REPLACE FUNCTION licensing.lock_owed(p_client text, p_currency text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_account CONSTANT text := 'receivable:' || p_client || ':' || p_currency;
BEGIN
    PERFORM pg_advisory_xact_lock(licensing.lock_no('account', v_account));
    RETURN (SELECT greatest(0, -coalesce(sum(amount), 0)) FROM licensing.entry WHERE account_id = v_account);
END $$;

-- The prepaid money of a client that is neither spent nor held; it stays so to the end of the transaction.
CREATE OR REPLACE FUNCTION licensing.lock_free(p_client text, p_currency text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_free bigint;
BEGIN
    SELECT granted - posted - pending INTO v_free FROM licensing.budget
        WHERE budget_id = 'prepaid:' || p_client || ':' || p_currency FOR UPDATE;
    RETURN coalesce(v_free, 0);
END $$;

-- How much of a pack's bonus goes with `p_amount` more of it: together with what went before, its part rounded up.
CREATE OR REPLACE FUNCTION licensing.bonus_of(v licensing.payment, p_amount bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(0, least(v.bonus,
        (v.bonus * (v.given_back + v.charged_back + p_amount) + v.amount - 1) / v.amount) - v.bonus_back)
$$;

-- Take unspent money out of `prepaid` to send it back. It is on its way until the provider says how that ended.
CREATE OR REPLACE FUNCTION licensing.begin_payment_refund(
    p_refund text, p_payment text, p_amount bigint, p_currency text, p_why text, p_by text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment;
    v_known licensing.payment_refund;
    v_why text;
    v_bonus bigint;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.payment WHERE payment_id = p_payment FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'payment', 'id', p_payment);
    END IF;
    SELECT * INTO v_known FROM licensing.payment_refund WHERE refund_id = p_refund;
    IF NOT FOUND THEN
        v_bonus := licensing.bonus_of(v, p_amount);
        v_why := licensing.refund_refusal(v, p_amount, p_currency, v_bonus);
    ELSIF (v_known.payment_id, v_known.amount, v_known.currency) <> (p_payment, p_amount, p_currency) THEN
        v_why := format('Refund %s was begun with another payment or amount; make a new id', p_refund);
    ELSE
        RETURN ROW('begun', NULL, jsonb_build_object('refund_id', p_refund), NULL)::licensing.answer;
    END IF;
    IF v_why IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', v_why);
    END IF;
    INSERT INTO licensing.payment_refund (
            refund_id, payment_id, client_id, provider, amount, bonus, currency, why, actor, created_at)
        VALUES (p_refund, p_payment, v.client_id, v.provider, p_amount, v_bonus, v.currency, p_why, p_by, p_now);
    UPDATE licensing.payment SET given_back = given_back + p_amount, bonus_back = bonus_back + v_bonus
        WHERE payment_id = p_payment;
    UPDATE licensing.budget SET granted = granted - p_amount - v_bonus
        WHERE budget_id = 'prepaid:' || v.client_id || ':' || v.currency;
    PERFORM licensing.post('payment_refund', p_refund,
        jsonb_build_object('payment', p_payment, 'why', p_why, 'by', p_by), p_now,
        ARRAY['prepaid:' || v.client_id || ':' || v.currency, 'returning:' || v.client_id || ':' || v.currency,
              'promo:operator:' || v.currency],
        ARRAY[-p_amount - v_bonus, p_amount, v_bonus]);
    RETURN ROW('begun', NULL, jsonb_build_object('refund_id', p_refund), NULL)::licensing.answer;
END $$;

-- Why `p_amount` of the payment `v`, whose row is locked, cannot be given back together with `p_bonus`, or NULL.
CREATE OR REPLACE FUNCTION licensing.refund_refusal(v licensing.payment, p_amount bigint, p_currency text, p_bonus bigint)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_left CONSTANT bigint := greatest(0, v.amount - v.given_back - v.charged_back);
    v_free bigint;
BEGIN
    IF v.state <> 'succeeded' THEN
        RETURN format('Payment %s is %s: nothing arrived that could be given back; wait for it, or take none',
            v.payment_id, v.state);
    ELSIF p_currency <> v.currency OR p_amount > v_left THEN
        RETURN format('Of payment %s %s %s minor units can still be given back, not %s %s; give at most that',
            v.payment_id, v_left, v.currency, p_amount, p_currency);
    END IF;
    v_free := licensing.lock_free(v.client_id, v.currency);
    IF v_free < p_amount + p_bonus THEN
        RETURN format(
            '%s %s minor units of prepaid money are free and %s would have to be; give back less: what is spent is spent',
            v_free, v.currency, p_amount + p_bonus);
    END IF;
    RETURN NULL;
END $$;

-- What a provider says of a refund. Where it failed the money is prepaid money again, also after it was said to have
-- succeeded: a bank sent it back.
CREATE OR REPLACE FUNCTION licensing.end_payment_refund(
    p_provider text, p_refund text, p_reference text, p_state text, p_amount bigint, p_currency text, p_reason text,
    p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment_refund;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM FROM licensing.payment WHERE payment_id = (
        SELECT payment_id FROM licensing.payment_refund
        WHERE provider = p_provider AND (refund_id = p_refund OR p_refund IS NULL AND reference = p_reference)) FOR UPDATE;
    SELECT * INTO v FROM licensing.payment_refund
        WHERE provider = p_provider AND (refund_id = p_refund OR p_refund IS NULL AND reference = p_reference);
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'refund', 'id', coalesce(p_refund, p_reference, ''));
    ELSIF v.reference <> p_reference OR (v.amount, v.currency) <> (p_amount, p_currency) THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Refund %s of %s %s minor units is told of by %s as %s of %s %s; look there', v.refund_id, v.amount, v.currency,
            p_provider, p_reference, p_amount, p_currency));
    END IF;
    v.reference := coalesce(v.reference, p_reference);
    IF v.state = 'pending' AND p_state = 'succeeded' THEN
        PERFORM licensing.post('payment_refund_paid', v.refund_id, jsonb_build_object('payment', v.payment_id), p_now,
            ARRAY['returning:' || v.client_id || ':' || v.currency, 'cash:operator:' || v.currency],
            ARRAY[-v.amount, v.amount]);
    ELSIF v.state <> 'failed' AND p_state = 'failed' THEN
        PERFORM licensing.undo_payment_refund(v, p_reason, p_now);
    ELSE
        p_state := v.state; p_reason := v.reason; p_now := v.ended_at;
    END IF;
    UPDATE licensing.payment_refund SET state = p_state, reference = v.reference, ended_at = p_now,
            reason = CASE WHEN p_state = 'failed' THEN p_reason END
        WHERE refund_id = v.refund_id;
    RETURN ROW('noted', NULL, jsonb_build_object('refund_id', v.refund_id), NULL)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.undo_payment_refund(v licensing.payment_refund, p_reason text, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.grant_prepaid(v.client_id, v.currency, v.amount + v.bonus);
    PERFORM licensing.post('payment_refund_failed', v.refund_id,
        jsonb_build_object('payment', v.payment_id, 'reason', p_reason), p_now,
        ARRAY[CASE WHEN v.state = 'pending' THEN 'returning:' || v.client_id ELSE 'cash:operator' END || ':' || v.currency,
              'prepaid:' || v.client_id || ':' || v.currency, 'promo:operator:' || v.currency],
        ARRAY[-v.amount, v.amount + v.bonus, -v.bonus]);
    UPDATE licensing.payment SET given_back = given_back - v.amount, bonus_back = bonus_back - v.bonus
        WHERE payment_id = v.payment_id;
END $$;

-- What a provider says of money that the payer's bank took back from a payment, which is known by its reference. Who took
-- it back says that it had arrived. `open` and `lost` are the same money; `won` brings it back.
CREATE OR REPLACE FUNCTION licensing.note_chargeback(
    p_provider text, p_reference text, p_payment_reference text, p_state text, p_amount bigint, p_currency text,
    p_reason text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_payment licensing.payment;
    v licensing.chargeback;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v_payment FROM licensing.payment
        WHERE provider = p_provider AND reference = p_payment_reference FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'payment', 'id', p_payment_reference);
    END IF;
    PERFORM licensing.lock_owed(v_payment.client_id, v_payment.currency);
    IF v_payment.state <> 'succeeded' THEN
        PERFORM licensing.book_payment(v_payment, p_now);
        SELECT * INTO STRICT v_payment FROM licensing.payment WHERE payment_id = v_payment.payment_id;
    END IF;
    SELECT * INTO v FROM licensing.chargeback WHERE provider = p_provider AND reference = p_reference;
    IF NOT FOUND THEN
        IF p_currency <> v_payment.currency OR p_amount > v_payment.amount - v_payment.charged_back THEN
            RETURN licensing.refused('conflict', 'what', format(
                '%s tells of %s %s minor units charged back of payment %s, of which %s %s could be; look there',
                p_provider, p_amount, p_currency, v_payment.payment_id, v_payment.amount - v_payment.charged_back,
                v_payment.currency));
        END IF;
        v := licensing.open_chargeback(v_payment, p_reference, p_amount, p_reason, p_now);
    END IF;
    IF v.state = 'open' AND p_state IN ('won', 'lost') THEN
        IF p_state = 'won' THEN
            PERFORM licensing.undo_chargeback(v, p_now);
        END IF;
        UPDATE licensing.chargeback SET state = p_state, ended_at = p_now
            WHERE provider = p_provider AND reference = p_reference;
    END IF;
    RETURN ROW('noted', NULL, jsonb_build_object('payment_id', v_payment.payment_id), NULL)::licensing.answer;
END $$;

-- The bank took money: it is owed again where it had paid what was owed, else it comes out of what is free, else it is
-- owed. Of a pack's bonus goes what is still free: nobody owes more than the bank took.
CREATE OR REPLACE FUNCTION licensing.open_chargeback(
    p licensing.payment, p_reference text, p_amount bigint, p_reason text, p_now timestamptz
) RETURNS licensing.chargeback LANGUAGE plpgsql AS $$
DECLARE
    v_free CONSTANT bigint := licensing.lock_free(p.client_id, p.currency);
    v licensing.chargeback;
BEGIN
    v.provider := p.provider; v.reference := p_reference; v.payment_id := p.payment_id; v.client_id := p.client_id;
    v.amount := p_amount; v.currency := p.currency; v.state := 'open'; v.reason := p_reason; v.created_at := p_now;
    v.from_prepaid := least(v_free, p_amount - least(p_amount, greatest(0, p.to_account - p.charged_back)));
    v.from_account := p_amount - v.from_prepaid;
    v.bonus := least(licensing.bonus_of(p, p_amount), v_free - v.from_prepaid);
    INSERT INTO licensing.chargeback VALUES (v.*);
    UPDATE licensing.payment SET charged_back = charged_back + v.amount, bonus_back = bonus_back + v.bonus
        WHERE payment_id = p.payment_id;
    UPDATE licensing.budget SET granted = granted - v.from_prepaid - v.bonus
        WHERE budget_id = 'prepaid:' || p.client_id || ':' || p.currency AND v.from_prepaid + v.bonus > 0;
    PERFORM licensing.post('chargeback', p.provider || ':' || p_reference,
        jsonb_build_object('payment', p.payment_id, 'reason', p_reason), p_now,
        ARRAY['cash:operator:' || p.currency, 'prepaid:' || p.client_id || ':' || p.currency,
              'receivable:' || p.client_id || ':' || p.currency, 'promo:operator:' || p.currency],
        ARRAY[v.amount, -v.from_prepaid - v.bonus, -v.from_account, v.bonus]);
    RETURN v;
END $$;

-- The bank gave it back. What was owed for it is paid as far as it still is, and the rest is prepaid money.
CREATE OR REPLACE FUNCTION licensing.undo_chargeback(v licensing.chargeback, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_account CONSTANT bigint := least(v.from_account, licensing.lock_owed(v.client_id, v.currency));
    v_prepaid CONSTANT bigint := v.amount - v_account + v.bonus;
BEGIN
    PERFORM licensing.grant_prepaid(v.client_id, v.currency, v_prepaid);
    PERFORM licensing.post('chargeback_won', v.provider || ':' || v.reference,
        jsonb_build_object('payment', v.payment_id), p_now,
        ARRAY['cash:operator:' || v.currency, 'receivable:' || v.client_id || ':' || v.currency,
              'prepaid:' || v.client_id || ':' || v.currency, 'promo:operator:' || v.currency],
        ARRAY[-v.amount, v_account, v_prepaid, -v.bonus]);
    UPDATE licensing.payment SET charged_back = charged_back - v.amount, bonus_back = bonus_back - v.bonus
        WHERE payment_id = v.payment_id;
END $$;

-- A client goes to a provider's page to save a method. The same setup again is the same one.
CREATE OR REPLACE FUNCTION licensing.begin_setup(
    p_setup text, p_client text, p_provider text, p_reference text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_party(p_client);
    INSERT INTO licensing.payment_setup (setup_id, client_id, provider, reference, created_at)
        VALUES (p_setup, p_client, p_provider, p_reference, p_now)
        ON CONFLICT (setup_id) DO NOTHING;
    PERFORM FROM licensing.payment_setup
        WHERE (setup_id, client_id, provider, reference) = (p_setup, p_client, p_provider, p_reference);
    IF NOT FOUND THEN
        RETURN licensing.refused('conflict', 'what', format('Setup %s was begun before; make a new id', p_setup));
    END IF;
    RETURN ROW('begun', NULL, jsonb_build_object('setup_id', p_setup), NULL)::licensing.answer;
END $$;

-- How a setup ended, once. Of two setups the one that was begun later says by what is paid, whichever is told of first.
CREATE OR REPLACE FUNCTION licensing.end_setup(
    p_provider text, p_reference text, p_state text, p_method text, p_label text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.payment_setup;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO v FROM licensing.payment_setup
        WHERE provider = p_provider AND reference = p_reference FOR UPDATE;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'setup', 'id', p_reference);
    ELSIF v.state = 'pending' AND p_state IN ('succeeded', 'failed') THEN
        UPDATE licensing.payment_setup SET state = p_state, ended_at = p_now WHERE setup_id = v.setup_id;
        IF p_state = 'succeeded' THEN
            INSERT INTO licensing.payment_method (client_id, provider, reference, label, setup_at, saved_at)
                VALUES (v.client_id, p_provider, p_method, p_label, v.created_at, p_now)
                ON CONFLICT (client_id) DO UPDATE
                SET provider = p_provider, reference = p_method, label = p_label, setup_at = v.created_at, saved_at = p_now
                WHERE payment_method.setup_at <= v.created_at;
        END IF;
    END IF;
    RETURN ROW('noted', NULL, jsonb_build_object('setup_id', v.setup_id), NULL)::licensing.answer;
END $$;

-- A client takes back what it saved; no setup that it had begun before saves it again.
CREATE OR REPLACE FUNCTION licensing.forget_method(p_client text, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM FROM licensing.payment_setup WHERE client_id = p_client AND state = 'pending' ORDER BY setup_id FOR UPDATE;
    UPDATE licensing.payment_setup SET state = 'failed', ended_at = p_now WHERE client_id = p_client AND state = 'pending';
    DELETE FROM licensing.payment_method WHERE client_id = p_client;
    RETURN ROW('forgotten', NULL, NULL, NULL)::licensing.answer;
END $$;
