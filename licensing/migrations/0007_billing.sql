-- Taxes, floors, rates, authors, plans that change, discounts, renewals that wait for money, invoices.

-- Who is invoiced, and the tax on what they buy. '' in client_id: the tax of whoever has told nothing about themselves.
CREATE TABLE licensing.buyer (
    client_id    text PRIMARY KEY,
    party        jsonb,
    tax_category text NOT NULL CHECK (tax_category IN ('S', 'AE', 'O', 'E')),
    tax_bps      integer NOT NULL CHECK (tax_bps BETWEEN 0 AND 10000),
    tax_why      text NOT NULL,
    CHECK ((client_id = '') = (party IS NULL)),
    CHECK (tax_category = 'S' OR tax_bps = 0)
);
INSERT INTO licensing.buyer VALUES ('', NULL, 'E', 0, 'No tax is charged.');

-- A price never falls below its floor, whoever discounts it.
ALTER TABLE licensing.tier ADD COLUMN floor bigint NOT NULL DEFAULT 0 CHECK (floor BETWEEN 0 AND price);
ALTER TABLE licensing.tier ADD CHECK (offer_price >= floor * offer_units);

-- What a creator asks of one client instead of the tier's price. The latest row counts; NULL takes it back.
CREATE TABLE licensing.rate (
    rate_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    style_id  text NOT NULL REFERENCES licensing.style,
    client_id text NOT NULL,
    tier      text NOT NULL,
    price     bigint CHECK (price >= 0),
    actor     text NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX rate_of_client ON licensing.rate (client_id, style_id, tier, rate_no DESC);

-- Whoever else gets a part of the creator's share, by version of the terms. Without rows all of it is the creator's.
CREATE TABLE licensing.author (
    style_id  text NOT NULL,
    version   integer NOT NULL,
    author_id text NOT NULL,
    weight    integer NOT NULL CHECK (weight BETWEEN 1 AND 10000),
    position  integer NOT NULL,
    PRIMARY KEY (style_id, version, author_id),
    FOREIGN KEY (style_id, version) REFERENCES licensing.terms
);

-- `price` is the plan's or licence's, without tax; the client paid price - discount + tax. The discount is the operator's
-- money. `overage_price` is for a unit beyond the quota, `overage_cap` what a period may cost that way at most.
ALTER TABLE licensing.allowance
    ADD COLUMN tax_category  text NOT NULL DEFAULT 'E',
    ADD COLUMN tax_bps       integer NOT NULL DEFAULT 0 CHECK (tax_bps BETWEEN 0 AND 10000),
    ADD COLUMN tax           bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
    ADD COLUMN discount      bigint NOT NULL DEFAULT 0 CHECK (discount BETWEEN 0 AND price),
    ADD COLUMN discounts     integer NOT NULL DEFAULT 0 CHECK (discounts >= 0),
    ADD COLUMN coupon        text,
    ADD COLUMN trial_days    integer CHECK (trial_days > 0),
    ADD COLUMN overage_price bigint CHECK (overage_price >= 0),
    ADD COLUMN overage_most  bigint NOT NULL DEFAULT 0 CHECK (overage_most >= 0),
    ADD COLUMN overage_cap   bigint NOT NULL DEFAULT 0 CHECK (overage_cap BETWEEN 0 AND overage_most),
    ADD COLUMN next_plan     jsonb,
    ADD COLUMN pause_until   timestamptz,
    DROP CONSTRAINT allowance_kind_check,
    DROP CONSTRAINT allowance_check1,
    DROP CONSTRAINT allowance_check4,
    ADD CHECK (kind IN ('plan', 'licence', 'free')),
    ADD CHECK ((kind = 'licence') = (name IS NULL)),
    ADD CHECK (kind <> 'free' OR paused_since IS NULL),
    ADD CHECK (pause_until IS NULL OR paused_since IS NOT NULL),
    ADD CHECK (kind = 'plan' OR num_nonnulls(next_plan, trial_days, overage_price, pause_until) = 0);
CREATE UNIQUE INDEX allowance_one_free ON licensing.allowance (client_id) WHERE kind = 'free' AND state = 'active';

ALTER TABLE licensing.budget
    DROP CONSTRAINT budget_kind_check, ADD CHECK (kind IN ('prepaid', 'units', 'cap', 'overage'));

-- `unit_price` is with tax, of which `unit_tax` is the tax.
ALTER TABLE licensing.hold
    ADD COLUMN unit_tax     bigint NOT NULL DEFAULT 0,
    ADD COLUMN tax_category text NOT NULL DEFAULT 'E',
    ADD COLUMN tax_bps      integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT hold_pay_check,
    DROP CONSTRAINT hold_check4,
    DROP CONSTRAINT hold_check5,
    ADD CHECK (pay IN ('licence', 'plan', 'free', 'prepaid', 'overage', 'test')),
    ADD CHECK (pay IN ('prepaid', 'overage') OR amount = 0),
    ADD CHECK ((pay IN ('licence', 'plan', 'free', 'overage')) = (allowance_id IS NOT NULL)),
    ADD CHECK (unit_tax BETWEEN 0 AND unit_price);

-- price = share + fee + tax. `tax_bps` is the rate of the sale, or of the plan or licence that paid it.
ALTER TABLE licensing.output
    ADD COLUMN tax          bigint NOT NULL DEFAULT 0 CHECK (tax >= 0),
    ADD COLUMN tax_category text NOT NULL DEFAULT 'E',
    ADD COLUMN tax_bps      integer NOT NULL DEFAULT 0,
    ADD COLUMN shared       boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT output_check,
    ADD CHECK (price = share + fee + tax);

-- The parts of a share, where authors have it together; they sum to it.
CREATE TABLE licensing.output_share (
    output_id text NOT NULL REFERENCES licensing.output,
    author_id text NOT NULL,
    share     bigint NOT NULL CHECK (share >= 0),
    PRIMARY KEY (output_id, author_id)
);
CREATE INDEX output_share_of_author ON licensing.output_share (author_id);

-- A discount that the operator gives: on how many periods of which plans, how often, until when.
CREATE TABLE licensing.coupon (
    code       text PRIMARY KEY CHECK (code = upper(code)),
    percent    integer NOT NULL CHECK (percent BETWEEN 1 AND 100),
    periods    integer NOT NULL CHECK (periods BETWEEN 1 AND 36),
    plan       text,
    uses_most  integer CHECK (uses_most > 0),
    expires_at timestamptz,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE TABLE licensing.coupon_use (
    code         text NOT NULL REFERENCES licensing.coupon,
    client_id    text NOT NULL,
    allowance_id text NOT NULL REFERENCES licensing.allowance DEFERRABLE INITIALLY DEFERRED,
    at           timestamptz NOT NULL,
    PRIMARY KEY (code, client_id)
);

-- A plan that was to be renewed and found no money. It is tried again at `next_at`; after the last try it is given up.
CREATE TABLE licensing.renewal (
    allowance_id text PRIMARY KEY REFERENCES licensing.allowance,
    client_id    text NOT NULL,
    since        timestamptz NOT NULL,
    tries        integer NOT NULL DEFAULT 0,
    next_at      timestamptz,
    retry_days   integer[] NOT NULL,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'paid', 'given_up')),
    ended_at     timestamptz,
    CHECK ((state = 'waiting') = (ended_at IS NULL)),
    CHECK ((state = 'waiting') = (next_at IS NOT NULL))
);
CREATE UNIQUE INDEX renewal_one ON licensing.renewal (client_id) WHERE state = 'waiting';

-- The last number that a series gave. Whoever takes one holds the row until the commit, so that none is lost.
CREATE TABLE licensing.series (
    series text PRIMARY KEY,
    last   bigint NOT NULL CHECK (last >= 0)
);

-- A paper as it was issued. `settled` is what of `due` was paid since.
CREATE TABLE licensing.invoice (
    number    text PRIMARY KEY,
    series    text NOT NULL REFERENCES licensing.series,
    no        bigint NOT NULL CHECK (no >= 1),
    kind      text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    corrects  text REFERENCES licensing.invoice,
    client_id text NOT NULL,
    currency  text NOT NULL,
    seller    jsonb NOT NULL,
    buyer     jsonb NOT NULL,
    issued_at timestamptz NOT NULL,
    since     date NOT NULL,
    until     date NOT NULL CHECK (until >= since),
    due_on    date NOT NULL,
    net       bigint NOT NULL,
    tax       bigint NOT NULL,
    total     bigint NOT NULL,
    paid      bigint NOT NULL,
    due       bigint NOT NULL CHECK (due >= 0),
    settled   bigint NOT NULL DEFAULT 0 CHECK (settled BETWEEN 0 AND due),
    UNIQUE (series, no),
    CHECK (net + tax = total AND paid + due = total),
    CHECK ((kind = 'credit_note') = (corrects IS NOT NULL))
);
CREATE INDEX invoice_of_client ON licensing.invoice (client_id, issued_at DESC, number DESC);
CREATE INDEX invoice_unpaid ON licensing.invoice (due_on) WHERE settled < due;

CREATE TABLE licensing.invoice_line (
    number       text NOT NULL REFERENCES licensing.invoice,
    line         integer NOT NULL,
    kind         text NOT NULL,
    name         text,
    style_id     text,
    style_name   text,
    tier         text,
    quantity     bigint NOT NULL CHECK (quantity <> 0),
    unit         bigint NOT NULL,
    net          bigint NOT NULL,
    tax_category text NOT NULL,
    tax_bps      integer NOT NULL,
    PRIMARY KEY (number, line),
    CHECK (net = quantity * unit)
);
CREATE TABLE licensing.invoice_tax (
    number       text NOT NULL REFERENCES licensing.invoice,
    tax_category text NOT NULL,
    tax_bps      integer NOT NULL,
    why          text NOT NULL,
    net          bigint NOT NULL,
    tax          bigint NOT NULL,
    PRIMARY KEY (number, tax_category, tax_bps)
);

-- On which paper a group of entries is: on one.
CREATE TABLE licensing.invoice_group (
    group_no bigint PRIMARY KEY REFERENCES licensing.entry_group,
    number   text NOT NULL REFERENCES licensing.invoice
);
CREATE INDEX invoice_group_of ON licensing.invoice_group (number);
