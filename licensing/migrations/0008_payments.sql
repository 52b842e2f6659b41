-- What clients paid and got back, their saved methods, and the events of payment providers. `reference` is everywhere the
-- provider's own name of a thing.

-- One payment of a client. What arrived is one `credit` of the ledger: `to_account` of it went to `receivable`, the rest
-- and the bonus to `prepaid`. `given_back` and `bonus_back` are of all refunds that have not failed, `charged_back` of all
-- chargebacks that were not won.
CREATE TABLE licensing.payment (
    payment_id   text PRIMARY KEY,
    client_id    text NOT NULL,
    provider     text NOT NULL,
    purpose      text NOT NULL CHECK (purpose IN ('prepaid', 'pack', 'invoice')),
    subject      text,
    amount       bigint NOT NULL CHECK (amount > 0),
    bonus        bigint NOT NULL DEFAULT 0 CHECK (bonus >= 0),
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    method       text,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed')),
    reference    text,
    reason       text,
    to_account   bigint NOT NULL DEFAULT 0,
    given_back   bigint NOT NULL DEFAULT 0,
    bonus_back   bigint NOT NULL DEFAULT 0,
    charged_back bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    CONSTRAINT payment_of_reference UNIQUE (provider, reference),
    CONSTRAINT payment_says_what_for CHECK ((purpose = 'prepaid') = (subject IS NULL)),
    CONSTRAINT payment_bonus_of_packs CHECK (bonus = 0 OR purpose = 'pack'),
    CONSTRAINT payment_ends CHECK ((state = 'pending') = (ended_at IS NULL) AND (state = 'failed') = (reason IS NOT NULL)),
    CONSTRAINT payment_account_of_invoices CHECK (to_account BETWEEN 0 AND CASE purpose WHEN 'invoice' THEN amount ELSE 0 END),
    CONSTRAINT payment_never_refunded_above CHECK (given_back BETWEEN 0 AND amount),
    CONSTRAINT payment_bonus_never_above CHECK (bonus_back BETWEEN 0 AND bonus),
    CONSTRAINT payment_never_charged_back_above CHECK (charged_back BETWEEN 0 AND amount),
    CONSTRAINT payment_gives_back_what_arrived CHECK (
        state = 'succeeded' OR given_back + bonus_back + charged_back + to_account = 0)
);
CREATE INDEX payment_by_client ON licensing.payment (client_id, created_at DESC);
CREATE INDEX payment_by_subject ON licensing.payment (subject) WHERE subject IS NOT NULL;
CREATE INDEX payment_pending ON licensing.payment (provider, created_at) WHERE state = 'pending';

-- Money on its way back to a client, or back there: `bonus` of a pack's bonus goes back to the operator with it. Banks
-- return refunds days after they were accepted, so one that succeeded may still fail.
CREATE TABLE licensing.payment_refund (
    refund_id  text PRIMARY KEY,
    payment_id text NOT NULL REFERENCES licensing.payment,
    client_id  text NOT NULL,
    provider   text NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    bonus      bigint NOT NULL CHECK (bonus >= 0),
    currency   text NOT NULL,
    why        text NOT NULL,
    actor      text NOT NULL,
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed')),
    reference  text,
    reason     text,
    created_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT payment_refund_of_reference UNIQUE (provider, reference),
    CHECK ((state = 'pending') = (ended_at IS NULL) AND (state = 'failed') = (reason IS NOT NULL))
);
CREATE INDEX payment_refund_by_payment ON licensing.payment_refund (payment_id);
CREATE INDEX payment_refund_pending ON licensing.payment_refund (provider, created_at) WHERE state = 'pending';

-- Money that a payer's bank took back. `from_prepaid` of it was free, `from_account` is owed since, `bonus` went back to
-- the operator with it.
CREATE TABLE licensing.chargeback (
    provider     text NOT NULL,
    reference    text NOT NULL,
    payment_id   text NOT NULL REFERENCES licensing.payment,
    client_id    text NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    from_prepaid bigint NOT NULL CHECK (from_prepaid >= 0),
    from_account bigint NOT NULL CHECK (from_account >= 0),
    bonus        bigint NOT NULL CHECK (bonus >= 0),
    currency     text NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'won', 'lost')),
    reason       text NOT NULL,
    created_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    PRIMARY KEY (provider, reference),
    CHECK (amount = from_prepaid + from_account),
    CHECK ((state = 'open') = (ended_at IS NULL))
);
CREATE INDEX chargeback_by_payment ON licensing.chargeback (payment_id);

-- A client on its way to save a card at a provider, and how that ended.
CREATE TABLE licensing.payment_setup (
    setup_id   text PRIMARY KEY,
    client_id  text NOT NULL,
    provider   text NOT NULL,
    reference  text NOT NULL,
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed')),
    created_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT payment_setup_of_reference UNIQUE (provider, reference),
    CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE INDEX payment_setup_pending ON licensing.payment_setup (provider, created_at) WHERE state = 'pending';
CREATE INDEX payment_setup_by_client ON licensing.payment_setup (client_id) WHERE state = 'pending';

-- What a client is charged by, one at a time. `setup_at` is when the setup was begun that it is of.
CREATE TABLE licensing.payment_method (
    client_id text PRIMARY KEY,
    provider  text NOT NULL,
    reference text NOT NULL,
    label     text NOT NULL,
    setup_at  timestamptz NOT NULL,
    saved_at  timestamptz NOT NULL
);

-- Every event of a provider that was taken, once, in the transaction of what it caused.
CREATE TABLE licensing.psp_event (
    provider text NOT NULL,
    event_id text NOT NULL,
    kind     text NOT NULL,
    at       timestamptz NOT NULL,
    taken_at timestamptz NOT NULL,
    CONSTRAINT psp_event_once PRIMARY KEY (provider, event_id)
);
