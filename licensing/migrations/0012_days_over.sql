-- What days that are over brought and cost, summed once, so that a page over years need not read each sale again. No second
-- truth: the nightly audit adds the lines up anew (`licensing/analytics/over.py`).

-- Days before `until` are summed. Whoever deletes the newest rows has their sums made again.
CREATE TABLE licensing.closing (
    until date PRIMARY KEY,
    at    timestamptz NOT NULL
);

-- Lines of statements by creator: `running` is what is no training.
CREATE TABLE licensing.earned_day (
    closing    date NOT NULL REFERENCES licensing.closing ON DELETE CASCADE,
    creator_id text NOT NULL,
    currency   text NOT NULL,
    day        date NOT NULL,
    style_id   text NOT NULL,
    tier       text NOT NULL,
    sales      integer NOT NULL CHECK (sales >= 0),
    refunds    integer NOT NULL CHECK (refunds >= 0),
    share      bigint NOT NULL,
    running    bigint NOT NULL,
    CONSTRAINT earned_day_once PRIMARY KEY (creator_id, currency, day, style_id, tier),
    CONSTRAINT earned_day_is_over CHECK (day < closing)
);
CREATE INDEX earned_day_of_style ON licensing.earned_day (creator_id, style_id);
CREATE INDEX earned_day_by_closing ON licensing.earned_day (closing);

-- Those of pictures by month and client.
CREATE TABLE licensing.earned_month (
    closing    date NOT NULL REFERENCES licensing.closing ON DELETE CASCADE,
    creator_id text NOT NULL,
    currency   text NOT NULL,
    month      date NOT NULL CHECK (extract(day FROM month) = 1),
    client_id  text NOT NULL,
    sales      integer NOT NULL CHECK (sales >= 0),
    refunds    integer NOT NULL CHECK (refunds >= 0),
    share      bigint NOT NULL,
    CONSTRAINT earned_month_once PRIMARY KEY (creator_id, currency, month, client_id),
    CONSTRAINT earned_month_is_over CHECK (month + interval '1 month' <= closing)
);
CREATE INDEX earned_month_by_closing ON licensing.earned_month (closing);

-- Sales by what a picture cost before tax, those in it that were taken back later.
CREATE TABLE licensing.priced_day (
    closing    date NOT NULL REFERENCES licensing.closing ON DELETE CASCADE,
    creator_id text NOT NULL,
    currency   text NOT NULL,
    day        date NOT NULL,
    tier       text NOT NULL,
    price      bigint NOT NULL CHECK (price >= 0),
    pictures   integer NOT NULL CHECK (pictures > 0),
    CONSTRAINT priced_day_once PRIMARY KEY (creator_id, currency, day, tier, price),
    CONSTRAINT priced_day_is_over CHECK (day < closing)
);
CREATE INDEX priced_day_by_closing ON licensing.priced_day (closing);

-- Charges by client: `charged` with its tax, `net` without; `running` is what of `net` went to pictures.
CREATE TABLE licensing.spent_day (
    closing   date NOT NULL REFERENCES licensing.closing ON DELETE CASCADE,
    client_id text NOT NULL,
    currency  text NOT NULL,
    day       date NOT NULL,
    style_id  text,
    key_id    text,
    tier      text,
    pictures  integer NOT NULL,
    charged   bigint NOT NULL,
    net       bigint NOT NULL,
    running   bigint NOT NULL,
    CONSTRAINT spent_day_once UNIQUE NULLS NOT DISTINCT (client_id, currency, day, style_id, key_id, tier),
    CONSTRAINT spent_day_is_over CHECK (day < closing)
);
CREATE INDEX spent_day_by_closing ON licensing.spent_day (closing);

-- A client with many periods has few caps.
CREATE INDEX budget_caps ON licensing.budget (owner_id) WHERE kind = 'cap';
-- What a creator earned since the beginning is no longer added up from each sale.
DROP INDEX licensing.output_earned;
