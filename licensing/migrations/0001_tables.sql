-- Styles, their terms, keys, switches, holds, budgets and the ledger. Times are timestamptz, money whole minor units.

CREATE TABLE licensing.style (
    style_id      text PRIMARY KEY,
    creator_id    text NOT NULL,
    currency      text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    terms_version integer NOT NULL CHECK (terms_version >= 1),
    created_at    timestamptz NOT NULL
);
CREATE INDEX style_by_creator ON licensing.style (creator_id);

CREATE TABLE licensing.terms (
    style_id    text NOT NULL REFERENCES licensing.style DEFERRABLE INITIALLY DEFERRED,
    version     integer NOT NULL CHECK (version >= 1),
    fee_bps     integer NOT NULL CHECK (fee_bps BETWEEN 0 AND 10000),
    notice_days integer NOT NULL CHECK (notice_days >= 0),
    permissions jsonb NOT NULL,
    actor       text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (style_id, version)
);

CREATE TABLE licensing.tier (
    style_id     text NOT NULL,
    version      integer NOT NULL,
    tier         text NOT NULL,
    position     integer NOT NULL,
    price        bigint NOT NULL CHECK (price >= 0),
    use          text NOT NULL,
    offer_price  bigint CHECK (offer_price >= 0),
    offer_units  bigint CHECK (offer_units > 0),
    offer_months integer CHECK (offer_months > 0),
    PRIMARY KEY (style_id, version, tier),
    FOREIGN KEY (style_id, version) REFERENCES licensing.terms,
    CHECK (num_nulls(offer_price, offer_units, offer_months) IN (0, 3))
);

-- One row per switch that was ever set: '' stands for "all" in style_id and client_id. A switch without a row is live
-- at epoch 0. `cut` is the epoch of the last off: holds that were made before it are dead.
CREATE TABLE licensing.switch (
    creator_id text NOT NULL,
    style_id   text NOT NULL DEFAULT '',
    client_id  text NOT NULL DEFAULT '',
    level      text NOT NULL CHECK (level IN ('live', 'closed', 'paused', 'wind_down', 'off', 'destroyed')),
    epoch      bigint NOT NULL CHECK (epoch >= 0),
    cut        bigint NOT NULL DEFAULT 0 CHECK (cut BETWEEN 0 AND epoch),
    ends_at    timestamptz,
    reason     text,
    actor      text NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (creator_id, style_id, client_id),
    CHECK ((level = 'wind_down') = (ends_at IS NOT NULL)),
    CHECK (client_id = '' OR style_id <> ''),
    CHECK (client_id = '' OR level <> 'destroyed')
);
CREATE INDEX switch_winding_down ON licensing.switch (ends_at) WHERE level = 'wind_down';

CREATE TABLE licensing.switch_event (
    event_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    creator_id   text NOT NULL,
    style_id     text NOT NULL,
    client_id    text NOT NULL,
    level_before text NOT NULL,
    level        text NOT NULL,
    epoch        bigint NOT NULL,
    reason       text,
    actor        text NOT NULL,
    at           timestamptz NOT NULL,
    stopped      integer NOT NULL,
    voided       integer NOT NULL,
    refunded     bigint NOT NULL,
    currency     text
);
CREATE INDEX switch_event_by_creator ON licensing.switch_event (creator_id, event_no DESC);

CREATE TABLE licensing.api_key (
    key_id       text PRIMARY KEY,
    account_id   text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('live', 'test', 'creator', 'operator')),
    hint         text NOT NULL,
    digest       bytea NOT NULL UNIQUE,
    scopes       text[] NOT NULL,
    cap          bigint CHECK (cap >= 0),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_key_by_account ON licensing.api_key (account_id, created_at DESC);

-- What limits spending: prepaid money, units of a quota, a key's cap. What is spent and what is held never exceed what
-- was granted; everything that may not be overspent stands or falls with this one CHECK.
CREATE TABLE licensing.budget (
    budget_id text PRIMARY KEY,
    owner_id  text NOT NULL,
    kind      text NOT NULL CHECK (kind IN ('prepaid', 'units', 'cap')),
    unit      text NOT NULL,
    granted   bigint NOT NULL CHECK (granted >= 0),
    posted    bigint NOT NULL DEFAULT 0 CHECK (posted >= 0),
    pending   bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
    CONSTRAINT budget_never_overspent CHECK (posted + pending <= granted)
);
CREATE INDEX budget_by_owner ON licensing.budget (owner_id);

CREATE TABLE licensing.allowance (
    allowance_id  text PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('plan', 'licence')),
    client_id     text NOT NULL,
    name          text,
    creator_id    text,
    style_id      text REFERENCES licensing.style,
    tier          text,
    terms_version integer,
    covers        jsonb NOT NULL,
    price         bigint NOT NULL CHECK (price >= 0),
    currency      text NOT NULL,
    units         bigint NOT NULL CHECK (units > 0),
    fee_bps       integer NOT NULL CHECK (fee_bps BETWEEN 0 AND 10000),
    notice_days   integer NOT NULL DEFAULT 0,
    months        integer NOT NULL CHECK (months > 0),
    anchor        timestamptz NOT NULL,
    period        integer NOT NULL DEFAULT 0 CHECK (period >= 0),
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL CHECK (ends_at > starts_at),
    length        interval NOT NULL,
    paused_since  timestamptz,
    renews        boolean NOT NULL,
    renewed_from  text UNIQUE REFERENCES licensing.allowance,
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'ending', 'ended', 'refunded')),
    ended_at      timestamptz,
    CHECK ((kind = 'plan') = (name IS NOT NULL)),
    CHECK ((kind = 'licence') = (style_id IS NOT NULL)),
    CHECK (num_nulls(style_id, creator_id, tier, terms_version) IN (0, 4)),
    CHECK (kind = 'licence' OR paused_since IS NULL)
);
CREATE UNIQUE INDEX allowance_one_plan ON licensing.allowance (client_id) WHERE kind = 'plan' AND state = 'active';
CREATE UNIQUE INDEX allowance_one_licence ON licensing.allowance (client_id, style_id, tier)
    WHERE kind = 'licence' AND state = 'active';
CREATE INDEX allowance_by_style ON licensing.allowance (style_id) WHERE kind = 'licence' AND state IN ('active', 'ending');
CREATE INDEX allowance_due ON licensing.allowance (ends_at) WHERE state IN ('active', 'ending');

CREATE TABLE licensing.hold (
    order_id         text PRIMARY KEY,
    client_id        text NOT NULL,
    key_id           text,
    creator_id       text NOT NULL,
    style_id         text NOT NULL,
    tier             text NOT NULL,
    terms_version    integer NOT NULL,
    fee_bps          integer NOT NULL,
    count            integer NOT NULL CHECK (count BETWEEN 1 AND 1000),
    test             boolean NOT NULL,
    pay              text NOT NULL CHECK (pay IN ('licence', 'plan', 'prepaid', 'test')),
    unit_price       bigint NOT NULL CHECK (unit_price >= 0),
    amount           bigint NOT NULL CHECK (amount >= 0),
    currency         text NOT NULL,
    allowance_id     text REFERENCES licensing.allowance,
    units_each       bigint NOT NULL CHECK (units_each >= 0),
    units            bigint NOT NULL CHECK (units >= 0),
    capped           boolean NOT NULL,
    creator_epoch    bigint NOT NULL,
    style_epoch      bigint NOT NULL,
    client_epoch     bigint NOT NULL,
    hold_s           integer NOT NULL CHECK (hold_s > 0),
    lease_until      timestamptz NOT NULL,
    fence            integer NOT NULL DEFAULT 0 CHECK (fence >= 0),
    running          boolean NOT NULL DEFAULT false,
    paused_at        timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    state            text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'settled', 'voided', 'expired')),
    reason           text CHECK (reason IN ('withdrawn', 'canceled', 'failed', 'expired')),
    created_at       timestamptz NOT NULL,
    ended_at         timestamptz,
    made             integer NOT NULL DEFAULT 0 CHECK (made BETWEEN 0 AND count),
    charged          bigint NOT NULL DEFAULT 0 CHECK (charged BETWEEN 0 AND amount),
    charged_units    bigint NOT NULL DEFAULT 0 CHECK (charged_units BETWEEN 0 AND units),
    CHECK (amount = unit_price * count AND units = units_each * count),
    CHECK ((pay = 'prepaid') OR amount = 0),
    CHECK ((pay IN ('licence', 'plan')) = (allowance_id IS NOT NULL)),
    CHECK ((pay = 'test') = test),
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state IN ('voided', 'expired')) = (reason IS NOT NULL)),
    CHECK ((state = 'settled') = (made > 0)),
    CHECK (NOT running OR fence > 0)
);
CREATE INDEX hold_open_by_style ON licensing.hold (creator_id, style_id, client_id) WHERE state = 'open';
CREATE INDEX hold_open_by_lease ON licensing.hold (lease_until) WHERE state = 'open';
CREATE INDEX hold_open_by_client ON licensing.hold (client_id) WHERE state = 'open';
CREATE INDEX hold_settled_clients ON licensing.hold (style_id, client_id) WHERE state = 'settled' AND NOT test;

CREATE TABLE licensing.idempotency (
    client_id    text NOT NULL,
    test         boolean NOT NULL,
    key          text NOT NULL,
    request_hash text NOT NULL,
    order_id     text NOT NULL REFERENCES licensing.hold,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (client_id, test, key)
);

CREATE TABLE licensing.signing (
    order_id text NOT NULL,
    fence    integer NOT NULL,
    digest   text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    at       timestamptz NOT NULL,
    PRIMARY KEY (order_id, fence, digest)
);

-- The registry of what was sold. price = share + fee, and over the outputs of an order they sum to its entries.
CREATE TABLE licensing.output (
    output_id      text PRIMARY KEY,
    order_id       text NOT NULL REFERENCES licensing.hold,
    position       integer NOT NULL,
    client_id      text NOT NULL,
    creator_id     text NOT NULL,
    style_id       text NOT NULL,
    tier           text NOT NULL,
    test           boolean NOT NULL,
    sha256         text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    phash          bit(256) NOT NULL,
    certificate    text NOT NULL,
    price          bigint NOT NULL CHECK (price >= 0),
    share          bigint NOT NULL CHECK (share >= 0),
    fee            bigint NOT NULL CHECK (fee >= 0),
    currency       text NOT NULL,
    settled_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    revoked_reason text,
    UNIQUE (order_id, position),
    CHECK (price = share + fee),
    CHECK (NOT test OR price = 0),
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX output_by_sha256 ON licensing.output (sha256);
CREATE INDEX output_by_creator ON licensing.output (creator_id, settled_at);

CREATE TABLE licensing.account (
    account_id text PRIMARY KEY,
    kind       text NOT NULL,
    owner_id   text NOT NULL,
    unit       text NOT NULL
);

-- A group is one event with all its entries; its link in the chain is made when its transaction commits.
CREATE TABLE licensing.entry_group (
    group_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text NOT NULL,
    subject   text NOT NULL,
    body      jsonb NOT NULL,
    at        timestamptz NOT NULL,
    commit_no bigint NOT NULL,
    CONSTRAINT entry_group_once UNIQUE (kind, subject)
);
CREATE INDEX entry_group_by_commit ON licensing.entry_group (commit_no);

-- No foreign key to account: it would put a lock on the row of the operator's fee account into every sale. The ledger's
-- check looks for entries without an account instead.
CREATE TABLE licensing.entry (
    group_no   bigint NOT NULL REFERENCES licensing.entry_group,
    line       integer NOT NULL,
    account_id text NOT NULL,
    unit       text NOT NULL,
    amount     bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (group_no, line)
);
CREATE INDEX entry_by_account ON licensing.entry (account_id, group_no) INCLUDE (amount);

CREATE TABLE licensing.link (
    lane      integer NOT NULL,
    seq       bigint NOT NULL CHECK (seq >= 1),
    commit_no bigint NOT NULL UNIQUE,
    groups    integer NOT NULL CHECK (groups >= 1),
    prev_hash bytea NOT NULL CHECK (length(prev_hash) = 32),
    hash      bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (lane, seq)
);

CREATE SEQUENCE licensing.commit_no;

-- What a verb answers: `outcome` names the kind; a refusal has a slug and the values of its sentence.
CREATE TYPE licensing.answer AS (outcome text, slug text, detail jsonb, hold licensing.hold);
