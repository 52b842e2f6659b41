-- What creators owe the house for a month, whatever they earn.

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
