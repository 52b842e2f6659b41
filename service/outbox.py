"""What clients are told: a message and its deliveries, written in the transaction of what it tells of.

What is rolled back was never told, and what is committed is told however the process ends. Each kind is one statement
that begins at the endpoints which want it, so where there are none it reads one index and writes nothing. A message's
id is made of what it tells of: told twice, it is one message.

Messages of one endpoint go in the order in which they were written (`deliveries.number`); what a person asks for goes
out of that order, at once (`deliveries.due_at`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from licensing.database import Connection
from service.bells import Bells
from service.db.connections import read

DeliveryState = Literal["waiting", "delivered", "failed"]
PING = "ping"
"""A message that tells nothing: it is tried once."""

BELLS = Bells()

_ID = "'msg_' || left(encode(sha256(convert_to({of}, 'UTF8')), 'hex'), 26)"
_TIME = "to_char({of} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
_WANTS = "w.disabled_at IS NULL AND (cardinality(w.kinds) = 0 OR {kind} = ANY(w.kinds))"

# `heard` has a row for each endpoint that is told: message_id, kind, webhook_id, data. The lock keeps an endpoint from
# being removed under its deliveries; it bars nobody else.
_TELL = f"""
WITH heard AS MATERIALIZED ({{heard}} FOR KEY SHARE OF w),
said AS (
    INSERT INTO service.messages (id, kind, body, created_at)
    SELECT DISTINCT ON (message_id) message_id, kind,
        json_build_object('type', kind, 'timestamp', {_TIME.format(of="$1::timestamptz")}, 'data', data)::text, $1
    FROM heard ON CONFLICT DO NOTHING RETURNING id)
INSERT INTO service.deliveries (message_id, webhook_id)
SELECT h.message_id, h.webhook_id FROM heard h JOIN said s ON s.id = h.message_id
"""

# An order ends once, and may have waited for its creator before that.
_STAND = "CASE g.state WHEN 'awaiting_approval' THEN g.id || ' waits' ELSE g.id END"
_ORDERS = _TELL.format(
    heard=f"""
    SELECT {_ID.format(of=_STAND)} AS message_id, 'generation.' || g.state AS kind, w.id AS webhook_id,
        json_build_object(
            'id', g.id, 'state', g.state, 'style', g.style_id, 'tier', g.tier, 'count', g.count, 'test', g.test,
            'amount', json_build_object('amount', g.amount, 'currency', g.currency), 'message', g.message,
            'outputs', coalesce((SELECT json_agg(json_build_object('id', o.id) ORDER BY o.number)
                FROM service.outputs o WHERE o.generation_id = g.id), '[]')) AS data
    FROM service.generations g JOIN service.webhooks w ON w.client_id = g.client_id
    WHERE g.id = ANY($2::text[]) AND ({_WANTS.format(kind="'generation.' || g.state")}
        OR w.disabled_at IS NULL AND w.id = g.webhook_id)"""
)

TELL_ORDERS = f"""
CREATE OR REPLACE FUNCTION service.tell_orders(p_now timestamptz, p_orders text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_told bigint;
BEGIN
    {_ORDERS};
    GET DIAGNOSTICS v_told = ROW_COUNT;
    RETURN v_told;
END $$
"""
"""The function that tells of orders, for those that store many rows in one call (`service.db.functions`)."""

# To each client the level that holds for that client, for a switch beside the one that was set may be stricter. Clients
# for whom the same holds are told by one message: what takes long here keeps the switch's lock.
_SWITCHED = _TELL.format(
    heard=f"""
    SELECT {_ID.format(of="concat_ws(' ', 'switch', t.event_no, t.style_id, now_is.level, now_is.at)")} AS message_id,
        'style.switched' AS kind, w.id AS webhook_id,
        json_build_object('style', t.style_id, 'level', now_is.level, 'reason', now_is.reason,
            'ends_at', {_TIME.format(of="now_is.ends_at")}) AS data
    FROM (
        WITH styles AS (
            SELECT e.event_no, e.at, s.creator_id, s.style_id, e.client_id
            FROM licensing.switch_event e JOIN licensing.style s
                ON s.creator_id = e.creator_id AND e.style_id IN ('', s.style_id)
            WHERE e.at = $1 AND ($2::text IS NULL OR e.creator_id = $2))
        SELECT s.event_no, s.creator_id, s.style_id, a.client_id FROM styles s JOIN licensing.allowance a
            ON a.style_id = s.style_id AND a.kind = 'licence' AND s.client_id IN ('', a.client_id)
            AND (a.state IN ('active', 'ending') OR a.ended_at = s.at)
        UNION
        SELECT s.event_no, s.creator_id, s.style_id, g.client_id FROM styles s JOIN service.generations g
            ON g.style_id = s.style_id AND s.client_id IN ('', g.client_id)
            AND g.state IN ('queued', 'running', 'sealing', 'awaiting_approval')
    ) t JOIN service.webhooks w ON w.client_id = t.client_id,
        LATERAL licensing.governing(t.creator_id, t.style_id, t.client_id, $1) now_is
    WHERE {_WANTS.format(kind="'style.switched'")}"""
)

_OUTPUT_REFUNDED = _TELL.format(
    heard=f"""
    SELECT {_ID.format(of="concat_ws(' ', 'refund', o.output_id)")} AS message_id, 'output.refunded' AS kind,
        w.id AS webhook_id,
        json_build_object('id', o.output_id, 'generation', o.order_id, 'style', o.style_id,
            'amount', json_build_object('amount', o.price, 'currency', o.currency),
            'reason', o.revoked_reason) AS data
    FROM licensing.output o JOIN service.webhooks w ON w.client_id = o.client_id
    WHERE o.output_id = $2 AND {_WANTS.format(kind="'output.refunded'")}"""
)

_PERIODS_ENDED = _TELL.format(
    heard=f"""
    SELECT {_ID.format(of="a.allowance_id")} AS message_id, a.kind || '.ended' AS kind, w.id AS webhook_id,
        json_build_object('id', a.allowance_id, 'state', a.state, 'style', a.style_id, 'tier', a.tier,
            'plan', a.name) AS data
    FROM licensing.allowance a JOIN service.webhooks w ON w.client_id = a.client_id
    WHERE a.ended_at = $1 AND {_WANTS.format(kind="a.kind || '.ended'")}"""
)

_UNPAID = _TELL.format(
    heard=f"""
    SELECT {_ID.format(of="concat_ws(' ', 'unpaid', r.allowance_id, r.tries, r.state)")} AS message_id,
        'plan.unpaid' AS kind, w.id AS webhook_id,
        json_build_object('id', r.allowance_id, 'plan', a.name, 'state', r.state, 'tries', r.tries,
            'next_try_at', {_TIME.format(of="r.next_at")}) AS data
    FROM licensing.renewal r JOIN licensing.allowance a USING (allowance_id)
    JOIN service.webhooks w ON w.client_id = r.client_id
    WHERE r.allowance_id = $2 AND {_WANTS.format(kind="'plan.unpaid'")}"""
)

_INVOICED = _TELL.format(
    heard=f"""
    SELECT {_ID.format(of="concat_ws(' ', 'invoice', i.number)")} AS message_id, 'invoice.issued' AS kind,
        w.id AS webhook_id,
        json_build_object('id', i.number, 'kind', i.kind, 'corrects', i.corrects, 'due_on', i.due_on,
            'total', json_build_object('amount', i.total, 'currency', i.currency),
            'due', json_build_object('amount', i.due, 'currency', i.currency)) AS data
    FROM licensing.invoice i JOIN service.webhooks w ON w.client_id = i.client_id
    WHERE i.number = $2 AND {_WANTS.format(kind="'invoice.issued'")}"""
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message on its way to one endpoint; `id` is the message's, which the receiver sees as `webhook-id`.

    `attempts` are the last of them: `{"at", "status", "error", "ms"}`, `error` a sentence, null where it arrived.
    """

    id: str
    kind: str
    state: DeliveryState
    attempts: list[dict[str, Any]]
    created_at: datetime
    ended_at: datetime | None


async def tell_orders(conn: Connection, order_ids: Sequence[str], *, now: datetime) -> None:
    """Tell orders' clients how they ended, or that they wait for their creator; prompts stay here. Goes into the
    transaction of that."""
    wake_senders(await conn.fetchval("SELECT service.tell_orders($1, $2)", now, list(order_ids)))


async def tell_switched(conn: Connection, *, now: datetime, creator_id: str | None = None) -> None:
    """Tell clients with a running licence or open orders of a style that its switch was set at this moment.

    Goes into the transaction of the change, before its orders are ended. creator_id: whose switch; None: all that were.
    """
    await _tell(conn, _SWITCHED, now, creator_id)


async def tell_periods_ended(conn: Connection, *, now: datetime) -> None:
    """Tell clients which of their licences and plans ended at this moment, `ended` or `refunded`. Goes into the
    transaction of the end."""
    await _tell(conn, _PERIODS_ENDED, now)


async def tell_refunded(conn: Connection, output_id: str, *, now: datetime) -> None:
    """Tell a picture's client that its sale was taken back. Goes into the transaction of the refund."""
    await _tell(conn, _OUTPUT_REFUNDED, now, output_id)


async def tell_unpaid(conn: Connection, allowance_id: str, *, now: datetime) -> None:
    """Tell a client that the plan whose period this was waits for money to be renewed, or is given up. Goes into the
    transaction of that."""
    await _tell(conn, _UNPAID, now, allowance_id)


async def tell_invoiced(conn: Connection, number: str, *, now: datetime) -> None:
    """Tell a client of a paper that was issued. Goes into the transaction of that."""
    await _tell(conn, _INVOICED, now, number)


async def ping(conn: Connection, webhook_id: str, *, message_id: str, now: datetime) -> None:
    """Send an endpoint a message that tells nothing, at once and once."""
    body = {"type": PING, "timestamp": now.isoformat().replace("+00:00", "Z"), "data": {"webhook": webhook_id}}
    async with conn.transaction():
        await conn.execute(
            "INSERT INTO service.messages (id, kind, body, created_at) VALUES ($1, $2, $3, $4)",
            *(message_id, PING, json.dumps(body), now),
        )
        await conn.execute(
            "INSERT INTO service.deliveries (message_id, webhook_id, due_at) VALUES ($1, $2, $3)",
            *(message_id, webhook_id, now),
        )
    BELLS.ring()


async def send_again(conn: Connection, webhook_id: str, message_id: str, *, now: datetime) -> bool:
    """Send a message again, at once and with all its tries before it, whatever became of it. It is out of turn from
    then on: nothing waits for it. False where the endpoint has no such delivery."""
    status = await conn.execute(
        "UPDATE service.deliveries SET state = 'waiting', tries = 0, due_at = $3, ended_at = NULL"
        " WHERE webhook_id = $1 AND message_id = $2",
        *(webhook_id, message_id, now),
    )
    BELLS.ring()
    return bool(status == "UPDATE 1")


async def list_deliveries(
    conn: Connection, webhook_id: str, *, limit: int, before: str | None = None
) -> list[Delivery]:
    """An endpoint's log, newest first, those before the message `before`. The caller checked whose endpoint it is."""
    rows = await conn.fetch(
        "SELECT d.message_id AS id, m.kind, d.state, d.attempts, m.created_at, d.ended_at"
        " FROM service.deliveries d JOIN service.messages m ON m.id = d.message_id"
        " WHERE d.webhook_id = $1 AND ($2::text IS NULL OR d.number <"
        "  (SELECT number FROM service.deliveries WHERE webhook_id = $1 AND message_id = $2))"
        " ORDER BY d.number DESC LIMIT $3",
        *(webhook_id, before, limit),
    )
    return [read(Delivery, row) for row in rows]


async def _tell(conn: Connection, statement: str, *arguments: Any) -> None:
    status = await conn.execute(statement, *arguments)
    if status != "INSERT 0 0":
        BELLS.ring()


def wake_senders(num_endpoints: int) -> None:
    """So many were told by a function of the database that this process called."""
    if num_endpoints:
        BELLS.ring()
