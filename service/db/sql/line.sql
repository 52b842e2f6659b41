-- The line of orders that are to be drawn (`service.turns`), in the time that what waits takes to read, however many
-- orders there ever were: what is not drawn yet, and what was drawn lately and its client still pays for by its place.
--
-- The second part is a range: of one that is open at an end Postgres expects a third of all orders, and reads them all.
-- What waits for its creator is drawn, and has left the line.
CREATE OR REPLACE FUNCTION service.in_line() RETURNS TABLE (
    id text, client_id text, creator_id text, base text, state text, turn bigint, work bigint, count bigint, step bigint,
    steps bigint, was_taken boolean
) LANGUAGE sql STABLE AS $$
    SELECT g.id, g.client_id, g.creator_id, v.base, g.state, g.turn, g.work, g.count, g.step, g.steps,
           g.started_at IS NOT NULL AS was_taken
    FROM (SELECT * FROM service.generations g WHERE g.state IN ('queued', 'running', 'sealing')
          UNION ALL SELECT * FROM service.generations g
          WHERE NOT g.state IN ('queued', 'running', 'sealing') AND g.turn_end BETWEEN (
              SELECT coalesce(max(turn), 0) FROM service.generations WHERE turn IS NOT NULL AND started_at IS NOT NULL
          ) + 1 AND 9223372036854775807) g
    JOIN service.versions v ON v.id = g.version_id WHERE NOT g.test ORDER BY g.turn NULLS LAST, g.id
$$;
