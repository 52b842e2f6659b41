-- What creators owe the house for a month, whatever they earn; where refunds by transfer go, and who sent them.

-- What the operator said that a month costs, a row for every change. From when on a change counts follows from `said_at`
-- (`dues_of_month`).
CREATE TABLE licensing.dues_price (
    price_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    amount   bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    said_at  timestamptz NOT NULL
);

-- Whether what a creator owes may be taken from earnings: a row for every yes and no.
CREATE TABLE licensing.dues_consent (
    creator_id text NOT NULL,
    version    integer NOT NULL CHECK (version >= 1),
    takes      boolean NOT NULL,
    actor      text NOT NULL,
    said_at    timestamptz NOT NULL,
    PRIMARY KEY (creator_id, version)
);

-- A creator's month, once: what it cost, and what was taken from earnings that day for it and for months before.
CREATE TABLE licensing.dues (
    creator_id text NOT NULL,
    month      date NOT NULL CHECK (extract(day FROM month) = 1),
    amount     bigint NOT NULL CHECK (amount >= 0),
    taken      bigint NOT NULL CHECK (taken >= 0),
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    posted_at  timestamptz NOT NULL,
    CONSTRAINT dues_once_a_month PRIMARY KEY (creator_id, month)
);

-- From where a payment came, as the bank's statement says: refunds go back there.
CREATE TABLE licensing.payer (
    payment_id text PRIMARY KEY REFERENCES licensing.payment,
    client_id  text NOT NULL,
    holder     text NOT NULL,
    iban       text NOT NULL
);
CREATE INDEX payer_by_client ON licensing.payer (client_id);

-- Refunds that stand together in one bank file: nothing joins it after it was made.
CREATE TABLE licensing.refund_file (
    file_id  text PRIMARY KEY,
    currency text NOT NULL,
    made_by  text NOT NULL,
    made_at  timestamptz NOT NULL
);

-- Who said that a refund by transfer was sent, and in which file it stands.
ALTER TABLE licensing.payment_refund
    ADD COLUMN sent_by text,
    ADD COLUMN file_id text REFERENCES licensing.refund_file,
    ADD CONSTRAINT payment_refund_sent_is_no_more_pending CHECK (sent_by IS NULL OR state <> 'pending');
CREATE INDEX payment_refund_by_file ON licensing.payment_refund (file_id) WHERE file_id IS NOT NULL;
