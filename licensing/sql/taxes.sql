-- The tax on what is sold, and the parts of a share.

-- The tax on whatever this client buys: as they said who they are, else as of somebody who told nothing.
CREATE OR REPLACE FUNCTION licensing.tax_of(p_client text, OUT category text, OUT bps integer, OUT why text)
LANGUAGE sql STABLE AS $$
    SELECT tax_category, tax_bps, tax_why FROM licensing.buyer
    WHERE client_id IN (p_client, '') ORDER BY client_id DESC LIMIT 1
$$;

-- Say who a client is and which tax that means; '' for whoever says nothing.
CREATE OR REPLACE FUNCTION licensing.put_buyer(
    p_client text, p_party text, p_category text, p_bps integer, p_why text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    INSERT INTO licensing.buyer VALUES (p_client, p_party::jsonb, p_category, p_bps, p_why)
        ON CONFLICT (client_id) DO UPDATE
        SET party = p_party::jsonb, tax_category = p_category, tax_bps = p_bps, tax_why = p_why;
END $$;

-- What is charged is rounded up and what is given back is rounded down; the invoice over all of it is exact, and what
-- was taken too much goes back then.
CREATE OR REPLACE FUNCTION licensing.tax_on(p_net bigint, p_bps integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (p_net * p_bps + 9999) / 10000
$$;

CREATE OR REPLACE FUNCTION licensing.tax_back(p_net bigint, p_bps integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT p_net * p_bps / 10000
$$;

-- The tax of a sum, rounded once, half up.
CREATE OR REPLACE FUNCTION licensing.tax_exactly(p_net bigint, p_bps integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT sign(p_net)::bigint * ((abs(p_net) * p_bps + 5000) / 10000)
$$;

-- Parts of an amount (>= 0) in proportion to weights, by largest remainder, as `licensing.money.split`.
CREATE OR REPLACE FUNCTION licensing.split(p_amount bigint, p_weights bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    WITH weighted AS (
        SELECT no, p_amount * weight / total AS part, p_amount * weight % total AS rest
        FROM unnest(p_weights) WITH ORDINALITY AS one (weight, no),
             (SELECT sum(weight)::bigint AS total FROM unnest(p_weights) AS weight) whole
    ), ranked AS (
        SELECT no, part, row_number() OVER (ORDER BY rest DESC, no) AS rank, p_amount - sum(part) OVER () AS over
        FROM weighted
    )
    SELECT array_agg((part + CASE WHEN rank <= over THEN 1 ELSE 0 END)::bigint ORDER BY no) FROM ranked
$$;

-- Who gets which part of a share under these terms: all of it is the creator's where no authors are named.
CREATE OR REPLACE FUNCTION licensing.parts_of(p_style text, p_version integer, p_creator text, p_share bigint)
RETURNS TABLE (author_id text, share bigint) LANGUAGE sql STABLE AS $$
    WITH authors AS (
        SELECT array_agg(a.author_id ORDER BY a.position) AS ids, array_agg(a.weight::bigint ORDER BY a.position) AS weights
        FROM licensing.author a WHERE a.style_id = p_style AND a.version = p_version
    )
    SELECT part.* FROM authors, unnest(authors.ids, licensing.split(p_share, authors.weights)) AS part (author_id, share)
    WHERE authors.ids IS NOT NULL
    UNION ALL
    SELECT p_creator, p_share FROM authors WHERE authors.ids IS NULL
$$;

-- The accounts of a style's authors with their parts of a sum, as `post` takes them.
CREATE OR REPLACE FUNCTION licensing.payables(
    p_style text, p_version integer, p_creator text, p_share bigint, p_currency text,
    OUT accounts text[], OUT amounts bigint[]
) LANGUAGE sql STABLE AS $$
    SELECT array_agg('payable:' || part.author_id || ':' || p_currency ORDER BY part.author_id),
           array_agg(part.share ORDER BY part.author_id)
    FROM licensing.parts_of(p_style, p_version, p_creator, p_share) part
$$;
