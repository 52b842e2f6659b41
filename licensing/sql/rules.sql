-- The rules that an order of a style is judged by: the style's own, else the creator's for all styles, else none.
CREATE OR REPLACE FUNCTION licensing.rules_of(p_creator text, p_style text)
RETURNS TABLE (version integer, rules jsonb, is_own boolean) LANGUAGE sql STABLE AS $$
    SELECT found.version, found.rules, found.style_id <> '' AND found.version > 0 FROM (
        (SELECT r.style_id, r.version, r.rules FROM licensing.rules r
            WHERE r.creator_id = p_creator AND r.style_id = p_style ORDER BY r.version DESC LIMIT 1)
        UNION ALL
        (SELECT r.style_id, r.version, r.rules FROM licensing.rules r
            WHERE r.creator_id = p_creator AND r.style_id = '' ORDER BY r.version DESC LIMIT 1)
        UNION ALL SELECT '', 0, '{}'::jsonb) found
    WHERE found.rules IS NOT NULL ORDER BY found.style_id DESC, found.version DESC LIMIT 1
$$;
