-- Where creators are paid, what is on its way to them; what is disputed, and what was said of it.

-- A row for every change: who changed where money goes, and when. `account` is an IBAN, or what a provider calls the
-- account. Before `pays_from` nothing is paid out.
CREATE TABLE licensing.payee (
    creator_id text NOT NULL,
    version    integer NOT NULL CHECK (version >= 1),
    method     text NOT NULL CHECK (method IN ('manual', 'stripe')),
    holder     text NOT NULL,
    account    text NOT NULL,
    bic        text,
    minimum    bigint NOT NULL CHECK (minimum > 0),
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    schedule   text NOT NULL CHECK (schedule IN ('weekly', 'monthly', 'never')),
    pays_from  timestamptz NOT NULL,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (creator_id, version)
);

-- What stands together in one bank file: nothing joins a run after it was made.
CREATE TABLE licensing.payout_run (
    run_id   text PRIMARY KEY,
    currency text NOT NULL,
    made_at  timestamptz NOT NULL
);

CREATE TABLE licensing.payout (
    payout_id     text PRIMARY KEY,
    creator_id    text NOT NULL,
    payee_version integer NOT NULL,
    method        text NOT NULL,
    amount        bigint NOT NULL CHECK (amount > 0),
    currency      text NOT NULL,
    run_id        text REFERENCES licensing.payout_run,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'failed', 'reversed')),
    reference     text,
    reason        text,
    opened_at     timestamptz NOT NULL,
    ended_at      timestamptz,
    reversed_at   timestamptz,
    FOREIGN KEY (creator_id, payee_version) REFERENCES licensing.payee,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state IN ('paid', 'reversed')) = (reference IS NOT NULL)),
    CHECK ((state IN ('failed', 'reversed')) = (reason IS NOT NULL)),
    CHECK ((state = 'reversed') = (reversed_at IS NOT NULL))
);
CREATE UNIQUE INDEX payout_one_open ON licensing.payout (creator_id, currency) WHERE state = 'open';
CREATE INDEX payout_by_creator ON licensing.payout (creator_id, opened_at DESC, payout_id DESC);
CREATE INDEX payout_by_run ON licensing.payout (run_id) WHERE run_id IS NOT NULL;

-- `client_id` is NULL where the client is no party. `answer_due_at` is NULL where nobody but the operator has to answer.
CREATE TABLE licensing.dispute (
    dispute_id    text PRIMARY KEY,
    order_id      text NOT NULL REFERENCES licensing.hold,
    creator_id    text NOT NULL,
    client_id     text,
    opener        text NOT NULL CHECK (opener IN ('client', 'creator', 'operator')),
    ground        text NOT NULL,
    currency      text NOT NULL,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'decided', 'appealed', 'closed')),
    opened_at     timestamptz NOT NULL,
    answer_due_at timestamptz,
    answered_at   timestamptz,
    decide_due_at timestamptz NOT NULL,
    decided_at    timestamptz,
    outcome       text CHECK (outcome IN ('refunded', 'released', 'partly', 'corrected', 'withdrawn')),
    amount        bigint CHECK (amount > 0),
    reason        text,
    appeal_due_at timestamptz,
    appealed_at   timestamptz,
    final_due_at  timestamptz,
    closed_at     timestamptz,
    CHECK ((opener = 'creator') = (client_id IS NULL)),
    CHECK ((answer_due_at IS NULL) = (opener = 'creator')),
    CHECK (state NOT IN ('decided', 'closed') OR (outcome IS NOT NULL AND reason IS NOT NULL)),
    CHECK ((outcome IN ('partly', 'corrected')) = (amount IS NOT NULL)),
    CHECK ((appealed_at IS NULL) = (final_due_at IS NULL)),
    CHECK (state <> 'appealed' OR appealed_at IS NOT NULL),
    CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);
CREATE INDEX dispute_by_creator ON licensing.dispute (creator_id, opened_at DESC, dispute_id DESC);
CREATE INDEX dispute_by_client ON licensing.dispute (client_id, opened_at DESC, dispute_id DESC);
CREATE INDEX dispute_running ON licensing.dispute (decide_due_at) WHERE state <> 'closed';

-- The outputs of a dispute: the share that is held, and what its end changed about the sale, unless that was undone.
CREATE TABLE licensing.disputed (
    dispute_id text NOT NULL REFERENCES licensing.dispute,
    output_id  text NOT NULL REFERENCES licensing.output,
    opener     text NOT NULL,
    held       bigint NOT NULL CHECK (held >= 0),
    ended_at   timestamptz,
    to_client  bigint NOT NULL DEFAULT 0 CHECK (to_client >= 0),
    from_share bigint NOT NULL DEFAULT 0,
    from_fee   bigint NOT NULL DEFAULT 0 CHECK (from_fee >= 0),
    tax        bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
    undone_at  timestamptz,
    undone_tax bigint NOT NULL DEFAULT 0 CHECK (undone_tax >= 0),
    PRIMARY KEY (dispute_id, output_id),
    CHECK (to_client = from_share + from_fee)
);
CREATE INDEX disputed_by_output ON licensing.disputed (output_id);
CREATE UNIQUE INDEX disputed_one_open ON licensing.disputed (output_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX disputed_once_a_side ON licensing.disputed (output_id, opener) WHERE opener <> 'operator';

-- All that was said and done in a dispute, in order. `refs` are for others to resolve.
CREATE TABLE licensing.dispute_note (
    note_id    text PRIMARY KEY,
    note_no    bigint GENERATED ALWAYS AS IDENTITY,
    dispute_id text NOT NULL REFERENCES licensing.dispute,
    side       text NOT NULL CHECK (side IN ('client', 'creator', 'operator')),
    act        text NOT NULL CHECK (act IN ('opened', 'answer', 'evidence', 'decision', 'appeal', 'withdrawal')),
    words      text NOT NULL,
    refs       text[] NOT NULL,
    outcome    text,
    amount     bigint,
    at         timestamptz NOT NULL,
    CHECK ((act = 'decision') = (outcome IS NOT NULL))
);
CREATE INDEX dispute_note_by_dispute ON licensing.dispute_note (dispute_id, note_no);

-- How the operator reaches a stranger who claims something. A table of its own, for neither party sees it.
CREATE TABLE licensing.dispute_contact (
    dispute_id text PRIMARY KEY REFERENCES licensing.dispute,
    contact    text NOT NULL
);
