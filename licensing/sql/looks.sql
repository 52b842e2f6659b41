-- Which sold picture looks most like a given one.

-- `p_band_0` to `p_band_7` are values of which every fingerprint within `p_near` bits has at least one (`licensing/looks.py`),
-- so eight indexes answer without looking at the rest. One plan for all values: the planner takes thousands of them for much
-- of the table, and takes longer to think than the indexes to answer.
CREATE OR REPLACE FUNCTION licensing.nearest_output(
    p_phash text, p_near integer, p_band_0 bigint[], p_band_1 bigint[], p_band_2 bigint[], p_band_3 bigint[],
    p_band_4 bigint[], p_band_5 bigint[], p_band_6 bigint[], p_band_7 bigint[]
) RETURNS TABLE (output_id text, distance integer) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    v_phash CONSTANT bit(256) := ('x' || p_phash)::bit(256);
BEGIN
    RETURN QUERY SELECT found.output_id, bit_count(found.phash # v_phash)::integer FROM (
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 0) = ANY (p_band_0) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 1) = ANY (p_band_1) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 2) = ANY (p_band_2) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 3) = ANY (p_band_3) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 4) = ANY (p_band_4) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 5) = ANY (p_band_5) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 6) = ANY (p_band_6) AND NOT near.test
        UNION ALL
        SELECT near.* FROM licensing.output near
        WHERE licensing.band(near.phash, 7) = ANY (p_band_7) AND NOT near.test
    ) found
    WHERE bit_count(found.phash # v_phash) <= p_near AND bit_count(found.phash) > p_near
    ORDER BY 2, found.settled_at LIMIT 1;
END $$;
