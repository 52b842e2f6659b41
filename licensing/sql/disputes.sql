-- Disputes about what was sold: the share is held from the opening to the end, and each step is one commit.
--
-- Order of locks: outputs by their ids, then the dispute, then what takes money. A refund goes the same way.

-- What is left of a sale after what earlier disputes changed about it; `net` is share and fee together.
CREATE OR REPLACE FUNCTION licensing.left_of(p_output text, OUT net bigint, OUT share bigint, OUT fee bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.share + o.fee - coalesce(sum(d.to_client), 0), o.share - coalesce(sum(d.from_share), 0),
           o.fee - coalesce(sum(d.from_fee), 0)
    FROM licensing.output o LEFT JOIN licensing.disputed d ON d.output_id = o.output_id AND d.undone_at IS NULL
    WHERE o.output_id = p_output GROUP BY o.output_id
$$;

-- The entries by which what a dispute holds (of one output, or of all) goes from payable to held, or back with `p_sign` -1.
CREATE OR REPLACE FUNCTION licensing.hold_lines(
    p_dispute text, p_output text, p_sign integer, OUT accounts text[], OUT amounts bigint[]
) LANGUAGE sql STABLE AS $$
    SELECT array_agg('payable:' || creator_id || ':' || currency ORDER BY creator_id)
               || array_agg('held:' || creator_id || ':' || currency ORDER BY creator_id),
           array_agg(-p_sign * amount ORDER BY creator_id) || array_agg(p_sign * amount ORDER BY creator_id)
    FROM (SELECT h.creator_id, s.currency, sum(h.amount)::bigint AS amount
          FROM licensing.disputed d JOIN licensing.dispute s USING (dispute_id), licensing.holders_of(d.output_id, d.held) h
          WHERE d.dispute_id = p_dispute AND (p_output IS NULL OR d.output_id = p_output)
          GROUP BY h.creator_id, s.currency) parts
$$;

-- Dispute one output, or all outputs of an order that were not taken back. Their share goes from payable to held, also
-- where it was paid out before: then payable falls below zero by no more than that share, and the next sales fill it up.
-- What is on its way to the creator is not called back.
CREATE OR REPLACE FUNCTION licensing.open_dispute(
    p_dispute text, p_order text, p_output text, p_opener text, p_party text, p_ground text, p_words text, p_refs text[],
    p_contact text, p_sold_from timestamptz, p_closed_from timestamptz, p_answer_due timestamptz,
    p_decide_due timestamptz, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_outputs licensing.output[];
    v_answer licensing.answer;
    v licensing.output;
    v_lines record;
BEGIN
    PERFORM licensing.require_party(CASE p_opener WHEN 'operator' THEN 'house' ELSE p_party END);
    PERFORM licensing.require_read_committed();
    v_outputs := ARRAY(
        SELECT o FROM licensing.output o
        WHERE (o.order_id = p_order OR o.output_id = p_output) AND NOT o.test
          AND p_party = CASE p_opener WHEN 'client' THEN o.client_id WHEN 'creator' THEN o.creator_id ELSE p_party END
        ORDER BY o.output_id FOR UPDATE);
    v_answer := licensing.known_dispute(p_dispute, p_order, p_output, p_opener, v_outputs);
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    END IF;
    v_outputs := ARRAY(SELECT o FROM unnest(v_outputs) o WHERE o.revoked_at IS NULL ORDER BY o.output_id);
    v_answer := licensing.dispute_refusal(v_outputs, p_order, p_output, p_opener, p_sold_from, p_closed_from, p_now);
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    END IF;
    v := v_outputs[1];
    INSERT INTO licensing.dispute (
        dispute_id, order_id, creator_id, client_id, opener, ground, currency, opened_at, answer_due_at, decide_due_at)
    VALUES (p_dispute, v.order_id, v.creator_id, CASE WHEN p_opener <> 'creator' THEN v.client_id END, p_opener, p_ground,
            v.currency, p_now, p_answer_due, p_decide_due);
    INSERT INTO licensing.disputed (dispute_id, output_id, opener, held)
        SELECT p_dispute, o.output_id, p_opener, (licensing.left_of(o.output_id)).share FROM unnest(v_outputs) o;
    INSERT INTO licensing.dispute_contact (dispute_id, contact) SELECT p_dispute, p_contact WHERE p_contact IS NOT NULL;
    PERFORM licensing.note_in_dispute(p_dispute, p_dispute, p_opener, 'opened', p_words, p_refs, NULL, NULL, p_now);
    v_lines := licensing.hold_lines(p_dispute, NULL, 1);
    PERFORM licensing.lock_earnings(v_lines.accounts);
    PERFORM licensing.post('dispute', p_dispute, jsonb_build_object('opener', p_opener, 'ground', p_ground,
        'outputs', ARRAY(SELECT output_id FROM licensing.disputed WHERE dispute_id = p_dispute ORDER BY output_id)),
        p_now, v_lines.accounts, v_lines.amounts);
    RETURN ROW('disputed', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- The answer where a dispute of this id was opened before, or where its opener bought or made no such thing.
CREATE OR REPLACE FUNCTION licensing.known_dispute(
    p_dispute text, p_order text, p_output text, p_opener text, p_outputs licensing.output[]
) RETURNS licensing.answer LANGUAGE plpgsql STABLE AS $$
DECLARE
    v licensing.dispute;
BEGIN
    IF cardinality(p_outputs) = 0 THEN
        RETURN licensing.refused('not_found', 'what', CASE WHEN p_output IS NULL THEN 'sold order' ELSE 'sold output' END,
                                 'id', coalesce(p_output, p_order));
    END IF;
    SELECT * INTO v FROM licensing.dispute WHERE dispute_id = p_dispute;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF v.opener = p_opener AND v.order_id = (p_outputs[1]).order_id AND (p_output IS NULL OR EXISTS (
        SELECT FROM licensing.disputed WHERE dispute_id = p_dispute AND output_id = p_output)) THEN
        RETURN ROW('disputed', NULL, jsonb_build_object('repeated', true), NULL)::licensing.answer;
    END IF;
    RETURN licensing.refused('conflict', 'what', format('Dispute id %s is taken; make a new id', p_dispute));
END $$;

-- Why these outputs cannot be disputed now, or NULL. The days of a side count from the sale, and from the end of a
-- dispute of another side about the same output, so that nobody keeps the others out by disputing first.
CREATE OR REPLACE FUNCTION licensing.dispute_refusal(
    p_outputs licensing.output[], p_order text, p_output text, p_opener text, p_sold_from timestamptz,
    p_closed_from timestamptz, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_ids CONSTANT text[] := ARRAY(SELECT o.output_id FROM unnest(p_outputs) o);
    v_settled CONSTANT timestamptz := (p_outputs[1]).settled_at;
    v_other licensing.disputed;
BEGIN
    IF cardinality(p_outputs) = 0 THEN
        RETURN licensing.refused('conflict', 'what', format(
            'The sale of %s was taken back already; there is nothing to dispute', coalesce(p_output, p_order)));
    END IF;
    SELECT * INTO v_other FROM licensing.disputed
        WHERE output_id = ANY (v_ids) AND (ended_at IS NULL OR (opener = p_opener AND p_opener <> 'operator'))
        ORDER BY ended_at IS NULL DESC, output_id LIMIT 1;
    IF v_other.ended_at IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Output %s was disputed by this side before, and once is final; write to the operator', v_other.output_id));
    ELSIF v_other.output_id IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Output %s is disputed already; wait until that is closed', v_other.output_id));
    ELSIF p_opener <> 'operator' AND v_settled < p_sold_from AND NOT EXISTS (
        SELECT FROM licensing.disputed WHERE output_id = ANY (v_ids) AND ended_at >= p_closed_from) THEN
        RETURN licensing.refused('conflict', 'what', format(
            '%s was sold on %s and could be disputed until %s; write to the operator', coalesce(p_output, p_order),
            licensing.moment(v_settled), licensing.moment(v_settled + (p_now - p_sold_from))));
    END IF;
    RETURN NULL;
END $$;

-- A dispute, locked, if the side that acts is a party of it; a row of NULLs if not.
CREATE OR REPLACE FUNCTION licensing.lock_dispute(p_dispute text, p_side text, p_party text) RETURNS licensing.dispute
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute;
BEGIN
    PERFORM licensing.require_party(CASE p_side WHEN 'operator' THEN 'house' ELSE p_party END);
    PERFORM licensing.require_read_committed();
    PERFORM FROM licensing.output
        WHERE output_id IN (SELECT output_id FROM licensing.disputed WHERE dispute_id = p_dispute)
        ORDER BY output_id FOR UPDATE;
    SELECT * INTO v FROM licensing.dispute WHERE dispute_id = p_dispute
        AND CASE p_side WHEN 'client' THEN client_id = p_party WHEN 'creator' THEN creator_id = p_party ELSE true END
        FOR UPDATE;
    RETURN v;
END $$;

CREATE OR REPLACE FUNCTION licensing.note_in_dispute(
    p_note text, p_dispute text, p_side text, p_act text, p_words text, p_refs text[], p_outcome text, p_amount bigint,
    p_now timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO licensing.dispute_note (note_id, dispute_id, side, act, words, refs, outcome, amount, at)
        VALUES (p_note, p_dispute, p_side, p_act, p_words, p_refs, p_outcome, p_amount, p_now)
$$;

-- The answer that every step of a dispute gives before its own: there is none, or this very step was taken before.
CREATE OR REPLACE FUNCTION licensing.known_step(p_note text, p_dispute text, v licensing.dispute) RETURNS licensing.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_of text;
BEGIN
    IF v.dispute_id IS NULL THEN
        RETURN licensing.refused('not_found', 'what', 'dispute', 'id', p_dispute);
    END IF;
    SELECT dispute_id INTO v_of FROM licensing.dispute_note WHERE note_id = p_note;
    RETURN CASE
        WHEN v_of = p_dispute THEN
            ROW('repeated', NULL, jsonb_build_object('repeated', true), NULL)::licensing.answer
        WHEN v_of IS NOT NULL THEN
            licensing.refused('conflict', 'what', format('Note id %s is taken; make a new id', p_note)) END;
END $$;

-- Something said in a dispute. The first that the other side says in its time is its answer, and the operator's days count
-- from there.
CREATE OR REPLACE FUNCTION licensing.say_in_dispute(
    p_note text, p_dispute text, p_side text, p_party text, p_words text, p_refs text[], p_notes_max integer,
    p_decide_due timestamptz, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute := licensing.lock_dispute(p_dispute, p_side, p_party);
    v_answer licensing.answer := licensing.known_step(p_note, p_dispute, v);
    v_is_answer CONSTANT boolean := v.state = 'open' AND v.answered_at IS NULL AND p_now <= v.answer_due_at
        AND p_side = 'creator';
BEGIN
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    ELSIF v.state NOT IN ('open', 'appealed') THEN
        RETURN licensing.refused('conflict', 'what', format('Dispute %s was decided; %s', p_dispute, CASE v.state
            WHEN 'closed' THEN 'nothing more can be said'
            ELSE 'until ' || licensing.moment(v.appeal_due_at) || ' it can be appealed' END));
    ELSIF (SELECT count(*) FROM licensing.dispute_note WHERE dispute_id = p_dispute AND side = p_side) >= p_notes_max THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Dispute %s holds %s notes of this side, the most there can be; write to the operator', p_dispute, p_notes_max));
    END IF;
    PERFORM licensing.note_in_dispute(p_note, p_dispute, p_side, CASE WHEN v_is_answer THEN 'answer' ELSE 'evidence' END,
                                      p_words, p_refs, NULL, NULL, p_now);
    IF v_is_answer THEN
        UPDATE licensing.dispute SET answered_at = p_now, decide_due_at = least(decide_due_at, p_decide_due)
            WHERE dispute_id = p_dispute;
    END IF;
    RETURN ROW('said', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- The operator's word. The first takes effect when nobody has appealed in time (`close_dispute`), the one after an appeal
-- at once.
CREATE OR REPLACE FUNCTION licensing.decide_dispute(
    p_note text, p_dispute text, p_outcome text, p_amount bigint, p_reason text, p_appeal_due timestamptz,
    p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute := licensing.lock_dispute(p_dispute, 'operator', 'house');
    v_answer licensing.answer := licensing.known_step(p_note, p_dispute, v);
BEGIN
    v_answer := CASE WHEN v_answer.outcome IS NULL
        THEN licensing.decision_refusal(v, p_outcome, p_amount, p_now) ELSE v_answer END;
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    END IF;
    PERFORM licensing.note_in_dispute(
        p_note, p_dispute, 'operator', 'decision', p_reason, '{}', p_outcome, p_amount, p_now);
    UPDATE licensing.dispute SET state = 'decided', decided_at = p_now, outcome = p_outcome, amount = p_amount,
            reason = p_reason, appeal_due_at = CASE WHEN v.state = 'open' THEN p_appeal_due ELSE appeal_due_at END
        WHERE dispute_id = p_dispute;
    IF v.state = 'appealed' THEN
        PERFORM licensing.carry_out(p_dispute, p_now);
    END IF;
    RETURN ROW('decided', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- Why a dispute cannot be decided so now, or NULL. `beyond` carries the most that could be given.
CREATE OR REPLACE FUNCTION licensing.decision_refusal(
    v licensing.dispute, p_outcome text, p_amount bigint, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_allowed CONSTANT text[] := CASE v.opener WHEN 'creator' THEN ARRAY['released', 'corrected']
                                              ELSE ARRAY['refunded', 'released', 'partly'] END;
    v_most bigint;
BEGIN
    IF v.state IN ('decided', 'closed') THEN
        RETURN licensing.refused('conflict', 'what', format('Dispute %s was decided on %s: %s', v.dispute_id,
            licensing.moment(coalesce(v.decided_at, v.closed_at)), v.outcome));
    ELSIF v.state = 'open' AND v.answered_at IS NULL AND v.answer_due_at >= p_now THEN
        RETURN licensing.refused('conflict', 'what', format(
            'The other side of dispute %s may answer until %s; decide after that', v.dispute_id,
            licensing.moment(v.answer_due_at)));
    ELSIF p_outcome <> ALL (v_allowed) THEN
        RETURN licensing.refused('invalid_request', 'what', format(
            'Dispute %s was opened by its %s and cannot end %s; choose one of %s', v.dispute_id, v.opener, p_outcome,
            array_to_string(v_allowed, ', ')));
    ELSIF p_amount IS NOT NULL THEN
        -- All of the price would be a refund, which also revokes the certificate.
        SELECT CASE p_outcome WHEN 'partly' THEN sum(l.net) - 1 ELSE sum(l.fee) END INTO v_most
            FROM licensing.disputed d, licensing.left_of(d.output_id) l
            WHERE d.dispute_id = v.dispute_id AND d.ended_at IS NULL;
        IF p_amount > v_most THEN
            RETURN ROW('beyond', NULL, jsonb_build_object('most', v_most, 'currency', v.currency), NULL)::licensing.answer;
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- A side does not agree, once, in time: the operator looks again, and what is decided then is final. Whoever claims from
-- outside has the operator for a voice.
CREATE OR REPLACE FUNCTION licensing.appeal_dispute(
    p_note text, p_dispute text, p_side text, p_party text, p_words text, p_refs text[], p_final_due timestamptz,
    p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute := licensing.lock_dispute(p_dispute, p_side, p_party);
    v_answer licensing.answer := licensing.known_step(p_note, p_dispute, v);
BEGIN
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    ELSIF p_side = 'operator' AND v.opener <> 'operator' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Dispute %s is between others than the operator, who decides; its parties may appeal', p_dispute));
    ELSIF v.state <> 'decided' OR p_now > v.appeal_due_at THEN
        RETURN licensing.refused('conflict', 'what', format('Dispute %s cannot be appealed; %s', p_dispute, CASE
            WHEN v.state = 'open' THEN 'nothing is decided yet'
            WHEN v.state = 'appealed' THEN 'it was appealed already'
            WHEN v.appealed_at IS NOT NULL THEN 'what was decided after an appeal is final'
            ELSE coalesce('there was time until ' || licensing.moment(v.appeal_due_at), 'it is closed') END));
    END IF;
    PERFORM licensing.note_in_dispute(p_note, p_dispute, p_side, 'appeal', p_words, p_refs, NULL, NULL, p_now);
    UPDATE licensing.dispute SET state = 'appealed', appealed_at = p_now, final_due_at = p_final_due
        WHERE dispute_id = p_dispute;
    RETURN ROW('appealed', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- Whoever opened a dispute lets it go before it is decided; all that was held is released.
CREATE OR REPLACE FUNCTION licensing.withdraw_dispute(
    p_note text, p_dispute text, p_side text, p_party text, p_words text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute := licensing.lock_dispute(p_dispute, p_side, p_party);
    v_answer licensing.answer := licensing.known_step(p_note, p_dispute, v);
BEGIN
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    ELSIF v.opener <> p_side OR v.state <> 'open' THEN
        RETURN licensing.refused('conflict', 'what', format('Dispute %s cannot be withdrawn; %s', p_dispute,
            CASE WHEN v.opener <> p_side THEN 'only who opened it may do that' ELSE 'it was decided' END));
    END IF;
    PERFORM licensing.note_in_dispute(p_note, p_dispute, p_side, 'withdrawal', p_words, '{}', NULL, NULL, p_now);
    UPDATE licensing.dispute SET outcome = 'withdrawn', reason = 'Who opened it withdrew it.' WHERE dispute_id = p_dispute;
    PERFORM licensing.carry_out(p_dispute, p_now);
    RETURN ROW('withdrawn', NULL, jsonb_build_object('repeated', false), NULL)::licensing.answer;
END $$;

-- A decision that nobody appealed against in time takes effect; `unchanged` where there is none.
CREATE OR REPLACE FUNCTION licensing.close_dispute(p_dispute text, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute := licensing.lock_dispute(p_dispute, 'operator', 'house');
BEGIN
    IF v.state IS DISTINCT FROM 'decided' OR v.appeal_due_at >= p_now THEN
        RETURN ROW('unchanged', NULL, NULL, NULL)::licensing.answer;
    END IF;
    PERFORM licensing.carry_out(p_dispute, p_now);
    RETURN ROW('closed', NULL, NULL, NULL)::licensing.answer;
END $$;

-- Do what the outcome of a locked dispute says, and close it. First all that is held goes back to payable; what the
-- client gets is taken from there, by the same way as every refund.
CREATE OR REPLACE FUNCTION licensing.carry_out(p_dispute text, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v licensing.dispute;
    v_answer licensing.answer;
    v_one record;
BEGIN
    UPDATE licensing.dispute SET state = 'closed', closed_at = p_now WHERE dispute_id = p_dispute RETURNING * INTO v;
    FOR v_one IN
        SELECT d.output_id, given.*
        FROM licensing.disputed d JOIN licensing.dispute_parts(p_dispute, v.outcome, v.amount) given USING (output_id)
        WHERE d.dispute_id = p_dispute AND d.ended_at IS NULL ORDER BY d.output_id
    LOOP
        PERFORM licensing.release(p_dispute, v_one.output_id, v.outcome, p_now);
        IF v.outcome = 'refunded' THEN
            v_answer := licensing.refund_output(v_one.output_id, v.reason, 'dispute ' || p_dispute, p_now);
            IF v_answer.outcome IS DISTINCT FROM 'refunded' THEN
                RAISE EXCEPTION 'output % of dispute % was not refunded: %', v_one.output_id, p_dispute, v_answer.detail;
            END IF;
        ELSIF v_one.from_fee <> 0 OR v_one.from_share <> 0 THEN
            UPDATE licensing.disputed d
                SET to_client = v_one.to_client, from_share = v_one.from_share, from_fee = v_one.from_fee,
                    tax = licensing.tax_back(v_one.to_client, o.tax_bps)
                FROM licensing.output o
                WHERE d.dispute_id = p_dispute AND d.output_id = v_one.output_id AND o.output_id = v_one.output_id;
            PERFORM licensing.post_adjustment('adjustment', p_dispute, v_one.output_id, 1, p_now);
        END IF;
    END LOOP;
END $$;

-- What each output of a dispute gives: `partly` in proportion to share and fee together, and of each by its share and its
-- fee (largest remainder, a tie is the operator's to give); `corrected` from the fees to the creator. The parts sum to the
-- amount.
CREATE OR REPLACE FUNCTION licensing.dispute_parts(p_dispute text, p_outcome text, p_amount bigint)
RETURNS TABLE (output_id text, to_client bigint, from_share bigint, from_fee bigint) LANGUAGE sql STABLE AS $$
    SELECT cut.output_id, CASE p_outcome WHEN 'partly' THEN cut.part ELSE 0 END,
           CASE p_outcome WHEN 'partly' THEN cut.part ELSE 0 END - fee.part, fee.part
    FROM (SELECT open.output_id, open.net, open.fee, CASE WHEN p_amount IS NULL OR open.total = 0 THEN 0 ELSE
                 licensing.worth_of(least(p_amount, open.total), open.total, open.upto - open.weight, open.upto) END AS part
          FROM (SELECT d.output_id, l.net, l.fee, w.weight, sum(w.weight) OVER (ORDER BY d.output_id)::bigint AS upto,
                       sum(w.weight) OVER ()::bigint AS total
                FROM licensing.disputed d, licensing.left_of(d.output_id) l,
                    LATERAL (SELECT CASE p_outcome WHEN 'corrected' THEN l.fee ELSE l.net END AS weight) w
                WHERE d.dispute_id = p_dispute AND d.ended_at IS NULL) open) cut,
        LATERAL (SELECT CASE WHEN p_outcome = 'corrected' OR cut.part = 0 THEN cut.part
                             ELSE (2 * cut.part * cut.fee + cut.net) / (2 * cut.net) END AS part) fee
$$;

-- What is held of one output is payable again.
CREATE OR REPLACE FUNCTION licensing.release(p_dispute text, p_output text, p_outcome text, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_lines CONSTANT record := licensing.hold_lines(p_dispute, p_output, -1);
BEGIN
    UPDATE licensing.disputed SET ended_at = p_now WHERE dispute_id = p_dispute AND output_id = p_output;
    PERFORM licensing.post('dispute_end', p_dispute || '/' || p_output, jsonb_build_object(
        'dispute', p_dispute, 'output', p_output, 'outcome', p_outcome), p_now, v_lines.accounts, v_lines.amounts);
END $$;

-- Post what a dispute changed about the sale of an output, or take it back with `p_sign` -1.
CREATE OR REPLACE FUNCTION licensing.post_adjustment(
    p_kind text, p_dispute text, p_output text, p_sign integer, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v licensing.output;
    v_part licensing.disputed;
    v_prepaid text;
    v_tax bigint;
    v_to record;
BEGIN
    SELECT * INTO STRICT v FROM licensing.output WHERE output_id = p_output;
    SELECT * INTO STRICT v_part FROM licensing.disputed WHERE dispute_id = p_dispute AND output_id = p_output;
    v_tax := CASE p_sign WHEN 1 THEN v_part.tax ELSE v_part.undone_tax END;
    v_prepaid := 'prepaid:' || v.client_id || ':' || v.currency;
    IF v_part.to_client > 0 THEN
        INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
            VALUES (v_prepaid, v.client_id, 'prepaid', v.currency, 0) ON CONFLICT (budget_id) DO NOTHING;
        UPDATE licensing.budget SET granted = granted + p_sign * (v_part.to_client + v_tax) WHERE budget_id = v_prepaid;
    END IF;
    SELECT array_agg('payable:' || h.creator_id || ':' || v.currency ORDER BY h.creator_id) AS accounts,
           array_agg(-p_sign * h.amount ORDER BY h.creator_id) AS amounts
        INTO v_to FROM licensing.holders_of(p_output, v_part.from_share) h;
    PERFORM licensing.post(p_kind, p_dispute || '/' || p_output, jsonb_build_object(
        'dispute', p_dispute, 'output', p_output, 'style', v.style_id, 'tier', v.tier, 'net', v_part.to_client), p_now,
        ARRAY[v_prepaid] || v_to.accounts || ARRAY['fee:operator:' || v.currency, 'tax:operator:' || v.currency],
        ARRAY[p_sign * (v_part.to_client + v_tax)] || v_to.amounts || ARRAY[-p_sign * v_part.from_fee, -p_sign * v_tax]);
END $$;

-- Whoever takes a sale back takes all of it back: what earlier disputes changed about it is undone, for the client got the
-- whole price, and a dispute about it that still runs has nothing left to decide.
CREATE OR REPLACE FUNCTION licensing.leave_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_dispute text;
BEGIN
    FOR v_dispute IN SELECT dispute_id FROM licensing.disputed
        WHERE output_id = NEW.output_id AND undone_at IS NULL AND (from_share <> 0 OR from_fee <> 0) ORDER BY dispute_id
    LOOP
        UPDATE licensing.disputed SET undone_at = NEW.revoked_at, undone_tax = licensing.tax_on(to_client, NEW.tax_bps)
            WHERE dispute_id = v_dispute AND output_id = NEW.output_id;
        PERFORM licensing.post_adjustment('adjustment_undone', v_dispute, NEW.output_id, -1, NEW.revoked_at);
    END LOOP;
    SELECT dispute_id INTO v_dispute FROM licensing.disputed WHERE output_id = NEW.output_id AND ended_at IS NULL;
    IF FOUND THEN
        PERFORM licensing.release(v_dispute, NEW.output_id, 'refunded', NEW.revoked_at);
        IF NOT EXISTS (SELECT FROM licensing.disputed WHERE dispute_id = v_dispute AND ended_at IS NULL) THEN
            PERFORM licensing.note_in_dispute(v_dispute || '/refunded', v_dispute, 'operator', 'decision',
                NEW.revoked_reason, '{}', 'refunded', NULL, NEW.revoked_at);
            UPDATE licensing.dispute SET state = 'closed', closed_at = NEW.revoked_at, outcome = 'refunded', amount = NULL,
                    decided_at = NEW.revoked_at, reason = NEW.revoked_reason
                WHERE dispute_id = v_dispute;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER output_leaves_its_dispute AFTER UPDATE OF revoked_at ON licensing.output
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION licensing.leave_dispute();

-- Of what an erased party said in disputes nothing is left but that it said something.
CREATE OR REPLACE FUNCTION licensing.forget_in_disputes(p_account text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    PERFORM set_config('licensing.replacing', 'yes', true);
    UPDATE licensing.dispute_note n SET words = '', refs = '{}' FROM licensing.dispute d
        WHERE d.dispute_id = n.dispute_id AND n.words <> ''
          AND p_account = CASE n.side WHEN 'client' THEN d.client_id WHEN 'creator' THEN d.creator_id END;
    PERFORM set_config('licensing.replacing', '', true);
END $$;

CREATE OR REPLACE FUNCTION licensing.keep_dispute_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed licensing.dispute_note := OLD;
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('licensing.replacing', true) = 'yes' THEN
        allowed.words := ''; allowed.refs := '{}';
        IF allowed IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'licensing.dispute_note is append-only: % refused; correct it with a new row', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE OR REPLACE TRIGGER dispute_note_is_append_only BEFORE UPDATE OR DELETE ON licensing.dispute_note
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_dispute_note();

CREATE OR REPLACE FUNCTION licensing.keep_closed_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state = 'closed' THEN
        RAISE EXCEPTION 'dispute % is %: % refused', OLD.dispute_id, OLD.state, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER dispute_closes_once BEFORE UPDATE OR DELETE ON licensing.dispute
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_closed_dispute();

-- What is held of an output never changes, it ends once, and what the end changed is undone once.
CREATE OR REPLACE FUNCTION licensing.keep_disputed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
        OR (NEW.dispute_id, NEW.output_id, NEW.opener, NEW.held) <> (OLD.dispute_id, OLD.output_id, OLD.opener, OLD.held)
        OR OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at
        OR OLD.undone_at IS NOT NULL THEN
        RAISE EXCEPTION 'output % in dispute %: % refused', OLD.output_id, OLD.dispute_id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER disputed_is_kept BEFORE UPDATE OR DELETE ON licensing.disputed
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_disputed();
