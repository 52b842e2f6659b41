"""What stands still or goes wrong in this place, as numbers for Prometheus: read from the rows whenever it asks.

Any web process answers for the whole place. Times are seconds, sizes bytes, and names follow Prometheus' conventions.
`configs/monitoring/alerts.yaml` says which of them wake somebody, and its runbook what to do.
"""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from licensing.audits import last_audit
from licensing.database import Connection
from service.backups.shelf import last_backup
from service.orders import IS_OPEN
from service.overview import failures, long_held, needs
from service.resources import Gateway

_COUNTS = f"""
SELECT 'generations' AS of, state, count(*) AS num FROM service.generations WHERE {IS_OPEN} GROUP BY state
UNION ALL SELECT 'trainings', state, count(*) FROM service.trainings
    WHERE state IN ('queued', 'preparing', 'training', 'measuring', 'paused') GROUP BY state
UNION ALL SELECT 'executors', role, count(*) FROM service.executors
    WHERE seen_at > $1::timestamptz - make_interval(secs => $2) GROUP BY role
UNION ALL SELECT 'letters', mail, count(*) FROM service.letters WHERE mail IN ('waiting', 'failed') GROUP BY mail
UNION ALL SELECT 'messages', state, count(*) FROM service.deliveries WHERE state IN ('waiting', 'failed') GROUP BY state
"""
_OLDEST = f"""
SELECT 'generation' AS of, min(created_at) AS since FROM service.generations WHERE {IS_OPEN} AND state = 'queued'
UNION ALL SELECT 'training', min(created_at) FROM service.trainings WHERE state = 'queued'
UNION ALL SELECT 'letter', min(created_at) FROM service.letters WHERE mail = 'waiting'
UNION ALL SELECT 'destruction', min(destroyed_at) FROM service.styles
    WHERE destroyed_at IS NOT NULL AND emptied_at IS NULL
"""
_CLOCKS = """
SELECT id, abs((machine ->> 'ahead_s')::float8) AS seconds FROM service.executors
WHERE seen_at > $1::timestamptz - make_interval(secs => $2) AND machine ->> 'ahead_s' IS NOT NULL ORDER BY id
"""
_SLOWEST_OFF = """
SELECT CASE place WHEN 'fence' THEN 'fence' ELSE 'workers' END AS of,
    max(extract(epoch FROM stopped_at - asked_at))::float8 AS seconds
FROM service.switch_stops WHERE stopped_at > $1::timestamptz - interval '1 day' GROUP BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One number for each value of `label`; without a label, under ''."""

    name: str
    meaning: str
    label: str
    values: Sequence[tuple[str, float]]


class _Collected:
    """What a registry asks; `generate_latest` writes it."""

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=[gauge.label] if gauge.label else [])
            for value, number in gauge.values:
                family.add_metric([value] if gauge.label else [], number)
            yield family


async def read_gauges(web: Gateway) -> list[Gauge]:
    """All of them, as they are now."""
    now = web.clock()
    async with web.house() as conn:
        gauges = [*await _counts(web, conn, now), *await _times(conn, now), *await _people(conn, now)]
        gauges += [*await _books(conn, now), await _clocks(web, conn, now)]
    return [*gauges, *await asyncio.to_thread(_machine, web, now)]


def write_gauges(gauges: Sequence[Gauge]) -> bytes:
    """In Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collected(gauges))
    return generate_latest(registry)


async def _counts(web: Gateway, conn: Connection, now: datetime) -> list[Gauge]:
    found: dict[str, list[tuple[str, float]]] = {}
    for row in await conn.fetch(_COUNTS, now, web.settings.executor_silence_s):
        found.setdefault(row["of"], []).append((row["state"], row["num"]))
    meanings = {
        "generations": ("state", "Orders that have not ended"),
        "trainings": ("state", "Trainings that have not ended"),
        "executors": ("role", "Processes that were heard of lately"),
        "letters": ("mail", "Letters whose e-mail waits or was given up"),
        "messages": ("state", "Messages to webhooks that wait or were given up"),
    }
    return [
        Gauge(name=f"ownhand_{of}", meaning=meaning, label=label, values=found.get(of, []))
        for of, (label, meaning) in meanings.items()
    ]


async def _times(conn: Connection, now: datetime) -> list[Gauge]:
    oldest = [(row["of"], _age(row["since"], now)) for row in await conn.fetch(_OLDEST)]
    slowest = [(row["of"], row["seconds"]) for row in await conn.fetch(_SLOWEST_OFF, now)]
    return [
        Gauge(name="ownhand_oldest_wait_seconds", meaning="How long the oldest has waited", label="of", values=oldest),
        Gauge(
            name="ownhand_switch_off_seconds",
            meaning="The slowest switch of the last day: until nothing more was sold, until workers had stopped",
            label="of",
            values=slowest,
        ),
    ]


async def _clocks(web: Gateway, conn: Connection, now: datetime) -> Gauge:
    rows = await conn.fetch(_CLOCKS, now, web.settings.executor_silence_s)
    return Gauge(
        name="ownhand_clock_difference_seconds",
        meaning="By how much the clock of a process's machine differs from the database's",
        label="executor",
        values=[(row["id"], row["seconds"]) for row in rows],
    )


async def _people(conn: Connection, now: datetime) -> list[Gauge]:
    found = await needs(conn, now=now, failed=await failures(conn, now=now), held=await long_held(conn, now=now))
    late = [one for one in found if one.due is not None and one.due < now]
    return [
        Gauge(
            name="ownhand_operator_tasks",
            meaning="What waits for a person in the office",
            label="kind",
            values=[(one.kind, one.num) for one in found],
        ),
        Gauge(
            name="ownhand_operator_overdue_seconds",
            meaning="How long the first date of what waits for a person has passed",
            label="kind",
            values=[(one.kind, _age(one.due, now)) for one in late],
        ),
    ]


async def _books(conn: Connection, now: datetime) -> list[Gauge]:
    audit = await last_audit(conn)
    ages = [] if audit is None else [("", _age(audit.ended_at, now))]
    problems = [] if audit is None else [("", float(len(audit.problems)))]
    return [
        Gauge(
            name="ownhand_ledger_audit_age_seconds",
            meaning="Since the last look at the whole ledger",
            label="",
            values=ages,
        ),
        Gauge(
            name="ownhand_ledger_problems",
            meaning="What the last look at the whole ledger found wrong",
            label="",
            values=problems,
        ),
    ]


def _machine(web: Gateway, now: datetime) -> list[Gauge]:
    backup = last_backup(web.settings.backup_keys_folder)
    free = float(shutil.disk_usage(web.settings.home).free)
    return [
        Gauge(
            name="ownhand_backup_age_seconds",
            meaning="Since the database of the last whole backup was read",
            label="",
            values=[] if backup is None else [("", _age(backup, now))],
        ),
        Gauge(
            name="ownhand_home_free_bytes",
            meaning="Free on the disk of this process's home",
            label="",
            values=[("", free)],
        ),
    ]


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else (now - since).total_seconds()
