"""Looks at every part of this place and says what is wrong and how to mend it."""

import asyncio
import functools
import importlib.util
import secrets
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from inference.catalog import list_bases
from inference.checkers import open_checker
from inference.errors import InferenceError
from licensing.authority import open_authority
from licensing.billing.taxes import load_taxes
from licensing.errors import LicensingError
from licensing.prices import load_prices
from licensing.rules import load_categories
from licensing.watermarks import open_watermark
from service.auditing import checkpoints_in, look_over
from service.clock import Clock, clock_of
from service.clocks import AGREES_S, put_right
from service.clocks import sentence as clock_sentence
from service.db.connections import connect, most_connections
from service.db.prepare import prepare_database
from service.errors import OwnhandError
from service.heartbeats import num_workers
from service.ids import new_id
from service.leftovers import look_for
from service.postgres import database
from service.resources import authority_folder, open_payments
from service.self_tests import Step
from service.settings import WORK, Settings
from service.skew import STEPS, apart
from service.storage import open_storage

_FREE_BYTES_MIN = 2 * 1024**3
_SILENCE = timedelta(seconds=15)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One look at one part."""

    subject: str
    is_well: bool
    sentence: str


Check = Callable[[asyncpg.Connection], Awaitable[Finding]]


async def examine(
    settings: Settings,
    *,
    with_ledger: bool = False,
    elsewhere: Path | None = None,
    style_id: str = "",
    with_self_test: bool = False,
) -> list[Finding]:
    """Every check, none of which changes anything but the schema's version. elsewhere: a folder with copies of
    checkpoints that were not kept here. style_id: a destroyed style, to look whether anything of it is left.
    with_self_test: also train a tiny model here, draw one picture, seal and verify it (`service.self_testing`)."""
    plain: list[tuple[str, Callable[[Settings], str]]] = [
        ("disk", _disk),
        ("storage", _storage),
        ("keys", _keys),
        ("prices", _prices),
        ("taxes", _taxes),
        ("payments", _payments),
        ("bases", _bases),
        ("model stack", _stack),
        ("content check", _content_check),
        ("watermark", _watermark),
    ]
    findings = [await asyncio.to_thread(_look, subject, check, settings) for subject, check in plain]
    clock = clock_of(settings)
    checks: list[Check] = [
        functools.partial(_clocks, clock),
        functools.partial(_processes, clock),
        functools.partial(_connections, settings, clock),
    ]
    if with_ledger:
        checks.append(functools.partial(look_at_ledger, settings, elsewhere))
    if style_id:
        checks.append(functools.partial(_leftovers, settings, style_id))
    if with_self_test:
        checks.append(functools.partial(_self_test, settings))
    return [*findings, *await asyncio.to_thread(_database, settings, checks)]


def _look(subject: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(subject=subject, is_well=True, sentence=check(settings))
    except (OwnhandError, LicensingError, InferenceError, OSError, ValueError, ImportError) as error:
        return Finding(subject=subject, is_well=False, sentence=str(error))


def _disk(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    if free < _FREE_BYTES_MIN:
        raise ValueError(f"{free / 1024**3:.1f} GiB are free at {settings.home}; a training needs 2, make room")
    return f"{free / 1024**3:.0f} GiB are free at {settings.home}"


def _storage(settings: Settings) -> str:
    storage = open_storage(settings.storage_url, settings.home)
    key, content = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    storage.put(key, content)
    found = storage.get(key)
    storage.delete(key)
    if found != content:
        raise ValueError("an object came back changed; check the disk or the bucket")
    said = "an object was stored, read and deleted"
    if urlsplit(settings.storage_url or "").scheme != "s3":
        return said
    # Needs boto3.
    from service.storage.bucket_rules import look_for_rule
    from service.storage.s3 import open_bucket

    return f"{said}; {look_for_rule(open_bucket(settings.storage_url or ''))}"


def _keys(settings: Settings) -> str:
    folder = authority_folder(settings)
    if not folder.exists():
        return f"none yet; the first start makes them in {folder}"
    open_authority(folder)
    rest = (
        "; root.key is needed for a rotation alone and may be kept elsewhere" if (folder / "root.key").exists() else ""
    )
    return f"the signing keys in {folder} are whole and private{rest}"


def _prices(settings: Settings) -> str:
    prices = load_prices(settings.configs / "prices.toml")
    categories = load_categories(settings.configs / "categories.toml")
    return (
        f"{len(prices.tiers)} tiers and {len(prices.plans)} plans in {prices.currency};"
        f" {len(categories)} categories of prompts"
    )


def _taxes(settings: Settings) -> str:
    taxes = load_taxes(settings.configs / "seller.toml")
    who = (
        f"{taxes.seller.party.name} sells" if taxes.seller else "nobody is named as the seller, so no invoice is issued"
    )
    return f"{who}; {'no tax is charged' if taxes.home is None else f'{len(taxes.rates) + 1} rates of tax'}"


def _payments(settings: Settings) -> str:
    return f"{open_payments(settings).name} takes payments"


def _bases(settings: Settings) -> str:
    bases = list_bases(folder=settings.configs / "bases")
    missing = [base.id for base in bases if not (base.path / "model_index.json").is_file()]
    if not bases:
        raise ValueError(f"there is no base in {settings.configs / 'bases'}; add a file as the README shows")
    if missing:
        raise ValueError(
            f"the folder of {', '.join(missing)} is missing; its file in configs/bases says where it belongs"
        )
    return f"{', '.join(base.id for base in bases)} can be opened"


def _stack(settings: Settings) -> str:
    missing = [
        name for name in ("torch", "diffusers", "transformers", "peft") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ValueError(f"{', '.join(missing)} is not installed, so this machine runs no worker: pip install '.[gpu]'")
    return "a worker can run here"


def _content_check(settings: Settings) -> str:
    if not settings.content_checker:
        return "none is active: pictures are not judged by what they show"
    checker = open_checker(settings.content_checker)
    return f"{checker.name} judges what pictures show; its licence is {checker.licence}"


def _watermark(settings: Settings) -> str:
    if not settings.watermark:
        return "none is active: a picture that lost its seal is found by its looks alone"
    watermark = open_watermark(settings.watermark)
    return f"{watermark.name} is drawn into every picture; its licence is {watermark.licence}"


def _database(settings: Settings, checks: Sequence[Check]) -> list[Finding]:
    try:
        with database(settings) as url:
            prepare_database(url)
            found = asyncio.run(_in_database(url, checks))
    except (OwnhandError, OSError, asyncpg.PostgresError) as error:
        return [Finding(subject="database", is_well=False, sentence=str(error))]
    return [Finding(subject="database", is_well=True, sentence="it answers and is up to date"), *found]


async def _in_database(url: str, checks: Sequence[Check]) -> list[Finding]:
    conn = await connect(url)
    try:
        return [await check(conn) for check in checks]
    finally:
        await conn.close()


async def _clocks(clock: Clock, conn: asyncpg.Connection) -> Finding:
    """This machine's clock, and those of the processes that live, by what they say themselves."""
    ahead_s = await put_right(conn, clock)
    if ahead_s is None:
        return Finding(subject="clocks", is_well=True, sentence="made up: this place is a test's")
    rows = await conn.fetch(
        "SELECT id, host, (machine ->> 'ahead_s')::float8 AS ahead_s FROM service.executors"
        " WHERE seen_at > $1 AND abs((machine ->> 'ahead_s')::float8) > $2 ORDER BY id",
        *(clock() - _SILENCE, AGREES_S),
    )
    wrong = [f"{row['id']} on {row['host']} is {row['ahead_s']:+.1f} s off" for row in rows]
    is_well = abs(ahead_s) <= AGREES_S and not wrong
    return Finding(subject="clocks", is_well=is_well, sentence="; ".join([clock_sentence(ahead_s), *wrong]))


async def _processes(clock: Clock, conn: asyncpg.Connection) -> Finding:
    rows = await conn.fetch("SELECT id FROM service.executors WHERE seen_at > $1 ORDER BY id", clock() - _SILENCE)
    names = ", ".join(row["id"] for row in rows) or "none runs at present"
    others = await apart(conn, steps=STEPS, now=clock(), silence_s=_SILENCE.total_seconds())
    said = "; ".join([names, *others.values(), *await _left_work(conn, clock)])
    return Finding(subject="processes", is_well=said == names, sentence=said)


async def _left_work(conn: asyncpg.Connection, clock: Clock) -> list[str]:
    """Kinds of work that no living worker takes, where some live."""
    now, silence_s = clock(), _SILENCE.total_seconds()
    if not await num_workers(conn, now=now, silence_s=silence_s):
        return []
    taken = {kind: await num_workers(conn, now=now, silence_s=silence_s, takes=kind) for kind in WORK}
    return [f"no worker takes {kind}" for kind, count in taken.items() if not count]


async def _connections(settings: Settings, clock: Clock, conn: asyncpg.Connection) -> Finding:
    """Whether the server lets in all that the living processes may open, at the sizes of the pools as they are set
    here."""
    rows = await conn.fetch("SELECT role FROM service.executors WHERE seen_at > $1", clock() - _SILENCE)
    sizes = {"num_pool": settings.num_database_connections, "num_workflow": settings.num_workflow_connections}
    most = sum(most_connections(row["role"], **sizes) for row in rows)
    allowed = await conn.fetchval(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )
    said = f"the {len(rows)} processes that run may open up to {most} connections; the server lets in {allowed}"
    if most > allowed:
        said += (
            ": raise its max_connections, or lower OWNHAND_NUM_DATABASE_CONNECTIONS and"
            " OWNHAND_NUM_WORKFLOW_CONNECTIONS"
        )
    return Finding(subject="connections", is_well=most <= allowed, sentence=said)


async def look_at_ledger(settings: Settings, elsewhere: Path | None, conn: asyncpg.Connection) -> Finding:
    """Every rule of the ledger, and every checkpoint. elsewhere: a folder with copies of them, if there is one."""
    folder = authority_folder(settings)
    authority = open_authority(folder) if folder.exists() else None
    copies = checkpoints_in(open_storage(settings.storage_url, settings.home))
    if elsewhere is not None:
        copies += [path.read_text().strip() for path in sorted(elsewhere.iterdir()) if path.is_file()]
    problems, count = await look_over(conn, authority, copies)
    if problems:
        said = "; ".join(f"{problem.rule} at {problem.place}: {problem.detail}" for problem in problems[:5])
        return Finding(subject="ledger", is_well=False, sentence=f"{len(problems)} problem(s): {said}")
    return Finding(
        subject="ledger", is_well=True, sentence=f"every rule holds, and it agrees with {count} checkpoint(s)"
    )


async def _leftovers(settings: Settings, style_id: str, conn: asyncpg.Connection) -> Finding:
    try:
        search = await look_for(conn, open_storage(settings.storage_url, settings.home), settings.home, style_id)
    except ValueError as error:
        return Finding(subject="leftovers", is_well=False, sentence=str(error))
    seen = (
        f"looked through {search.num_objects} objects with their older versions, {search.num_files} files of workers"
        f" under {settings.home} and {search.num_columns} columns of bytes, by key and by {search.num_hashes} hashes"
    )
    if search.found:
        sentence = f"{len(search.found)} left of {style_id}: {'; '.join(search.found[:20])}; {seen}"
        return Finding(subject="leftovers", is_well=False, sentence=sentence)
    also = f"; the same bytes are another style's own in {', '.join(search.elsewhere[:5])}" if search.elsewhere else ""
    sentence = f"nothing is left of {style_id}: {seen}{also}. Ask on every machine that ran a worker, too"
    return Finding(subject="leftovers", is_well=True, sentence=sentence)


async def _self_test(settings: Settings, conn: asyncpg.Connection) -> Finding:
    # The model stack is opened for this alone.
    from service.self_test_here import self_test_here

    steps: list[Step] = []

    async def note(step: Step) -> None:
        steps.append(step)

    try:
        authority, clock = open_authority(authority_folder(settings)), clock_of(settings)
        await self_test_here(
            settings, conn, authority, note, new_id=functools.partial(new_id, clock=clock), now=clock()
        )
    except (OwnhandError, LicensingError, InferenceError) as error:
        before = f"after {', '.join(step.name for step in steps)}: " if steps else ""
        return Finding(subject="self test", is_well=False, sentence=f"{before}{error}")
    told = "; ".join(f"{step.name} {step.seconds:.1f} s" for step in steps)
    return Finding(subject="self test", is_well=True, sentence=f"{told}; nothing of it is left")
