"""What Postgres itself keeps apart: parties' rows, and entries from everybody."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from licensing.tenancy import ACTING, APPLICATION, EVERYBODY, HOUSE, NOBODY, VERBS
from licensing.tenancy import TABLES as LICENSING
from service.db.connections import application_url, open_pool
from service.db.functions import LENT
from service.db.tenancy import TABLES as SERVICE
from service.db.tenancy import acting_for
from service.orders import find_order
from service.outputs import find_output
from tests.service.market import Market, open_market
from tests.service.orders.test_sweep import state_of

ALL = {f"licensing.{name}": table for name, table in LICENSING.items()} | {
    f"service.{name}": table for name, table in SERVICE.items()
}
PRIVATE = sorted(name for name, table in ALL.items() if EVERYBODY not in table.seen)
SOLD = ("hold", "output", "entry", "entry_group", "budget", "idempotency", "signing", "account")
"""Tables of the ledger that have rows of a party after a sale."""


@pytest.fixture(scope="module")
async def market(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """With something in it: a picture that was ordered and paid."""
    async with open_market(database_url, tmp_path_factory.mktemp("market")) as opened:
        client = await opened.client()
        order = await opened.order(client, wait=0)
        await state_of(client, order.json()["id"], wanted="settled")
        yield opened


@pytest.fixture
async def connection(market: Market) -> AsyncIterator[asyncpg.Connection]:
    """Of the application's role, which has said nothing yet."""
    conn = await asyncpg.connect(application_url(market.database_url))
    yield conn
    await conn.close()


async def act_as(conn: asyncpg.Connection, party: str) -> None:
    await conn.execute(f"SELECT set_config('{ACTING}', $1, false)", party)


async def count(conn: asyncpg.Connection, table: str) -> int:
    found: int = await conn.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_the_application_owns_nothing_and_is_bound_by_every_table(connection: asyncpg.Connection):
    role = await connection.fetchrow(
        "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb AS is_strong, current_user AS name,"
        " (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS owned FROM pg_roles r WHERE rolname = current_user"
    )
    tables = await connection.fetch(
        "SELECT relnamespace::regnamespace::text || '.' || relname AS name,"
        " relrowsecurity AND relforcerowsecurity AS bound FROM pg_class"
        " WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN ('licensing', 'service')"
    )

    assert role is not None
    assert (role["is_strong"], role["name"], role["owned"]) == (False, APPLICATION, 0)
    assert {row["name"] for row in tables if row["bound"]} == {row["name"] for row in tables} == set(ALL)


async def test_a_connection_that_says_nothing_sees_nothing(connection: asyncpg.Connection):
    assert {table: await count(connection, table) for table in ALL} == dict.fromkeys(ALL, 0)


async def test_another_party_sees_no_row_of_a_sale(market: Market, connection: asyncpg.Connection):
    other = await market.client(cents=0)
    await act_as(connection, HOUSE)
    sold = {f"licensing.{name}": await count(connection, f"licensing.{name}") for name in SOLD}

    await act_as(connection, other.account.id)
    seen = {table: await count(connection, table) for table in PRIVATE}

    assert min(sold.values()) > 0
    # Of accounts it sees its own and those who sell; of its own it has a key and what was written of making it.
    own = {"service.accounts", "service.styles", "licensing.api_key", "licensing.switch", "service.audit"}
    assert {table for table, rows in seen.items() if rows} <= own
    assert {row["id"] for row in await connection.fetch("SELECT id FROM service.accounts")} == {
        other.account.id,
        market.creator.account.id,
    }
    assert {row["account_id"] for row in await connection.fetch("SELECT account_id FROM licensing.api_key")} == {
        other.account.id
    }


async def test_both_parties_of_a_sale_see_it(market: Market, connection: asyncpg.Connection):
    await act_as(connection, HOUSE)
    hold = await connection.fetchrow("SELECT * FROM licensing.hold WHERE state = 'settled'")
    assert hold is not None

    for party in (hold["client_id"], hold["creator_id"]):
        await act_as(connection, party)
        assert await connection.fetchval("SELECT order_id FROM licensing.hold") == hold["order_id"]
        assert await connection.fetchval("SELECT generation_id FROM service.outputs") == hold["order_id"]
        owners = await connection.fetch("SELECT DISTINCT split_part(account_id, ':', 2) AS id FROM licensing.entry")
        assert [row["id"] for row in owners] == [party]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing.entry SET amount = 2 * amount",
        "DELETE FROM licensing.entry",
        "INSERT INTO licensing.entry VALUES (1, 99, 'prepaid:me:EUR', 'EUR', 1)",
        "UPDATE licensing.entry_group SET body = '{}'",
        "UPDATE licensing.hold SET state = 'settled'",
        "UPDATE licensing.output SET price = 0",
        "DELETE FROM licensing.link",
        "UPDATE licensing.switch SET level = 'live'",
        "SELECT licensing.post('credit', 'x', '{}', now(), ARRAY['prepaid:me:EUR'], ARRAY[1]::bigint[])",
        "DELETE FROM service.audit",
        "UPDATE service.data_use SET refused = NULL",
        "CREATE TABLE licensing.mine (id integer)",
        "ALTER TABLE licensing.entry DISABLE ROW LEVEL SECURITY",
        "SET ROLE postgres",
    ],
)
async def test_even_the_house_may_not_write_past_the_verbs(connection: asyncpg.Connection, statement: str):
    await act_as(connection, HOUSE)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT licensing.credit('{me}', 1000, 'EUR', 'mine', 'cash', now())",
        "SELECT licensing.set_switch('{creator}', NULL, NULL, 'destroyed', NULL, '{me}', now())",
        "SELECT licensing.refund_output('out', 'mine', '{me}', now())",
        "SELECT licensing.replace_certificates(ARRAY['out'], ARRAY['paper'])",
        "SELECT licensing.forget_in_rules('{creator}', 'a@example.org')",
        "SELECT licensing.void('gen', NULL, 'failed', now())",
        "SELECT licensing.quote('{style}', '{creator}', 'personal', 1, now())",
        "INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)"
        " VALUES ('prepaid:{me}:USD', '{me}', 'cap', 'USD', 1000)",
        "INSERT INTO licensing.rules (creator_id, version, rules, actor, created_at)"
        " VALUES ('{creator}', 99, '{{}}', '{me}', now())",
        "INSERT INTO licensing.terms (style_id, version, fee_bps, notice_days, permissions, actor, created_at)"
        " VALUES ('{style}', 99, 0, 0, '{{}}', '{me}', now())",
        "INSERT INTO licensing.checkpoint (at, document) VALUES (now(), 'mine')",
        "INSERT INTO licensing.closing (until, at) VALUES ('2100-01-01', now())",
        "SELECT service.accept_plain('[]', '[]', now())",
        "SELECT service.begin_orders('{{}}', now())",
        "SELECT service.settle_orders('[]', 10, now())",
    ],
)
@pytest.mark.parametrize("party", ["a client", "nobody"])
async def test_a_party_does_nothing_for_others_and_nothing_that_is_the_houses(
    market: Market, connection: asyncpg.Connection, statement: str, party: str
):
    me = (await market.client(cents=0)).account.id if party == "a client" else NOBODY
    await act_as(connection, me)
    filled = statement.format(me=me, creator=market.creator.account.id, style=market.style_id)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(filled)


async def test_what_was_booked_is_for_its_owner_and_the_house_to_read(market: Market, connection: asyncpg.Connection):
    client = await market.client()
    await market.order(client, tier="personal")
    payable = f"payable:{market.creator.account.id}:EUR"
    questions = (
        "SELECT count(*) FROM licensing.booked(ARRAY[$1], '-infinity', 'infinity')",
        "SELECT licensing.balance_at($1, 'infinity')",
    )

    for reader in (market.creator.account.id, HOUSE):
        await act_as(connection, reader)
        assert all([await connection.fetchval(question, payable) > 0 for question in questions])
    for stranger in (client.account.id, NOBODY):
        await act_as(connection, stranger)
        for question in questions:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetchval(question, payable)


async def test_whatever_runs_with_the_owners_rights_finds_its_tables_by_no_path_of_the_caller(
    connection: asyncpg.Connection,
):
    lent = await connection.fetch(
        "SELECT pronamespace::regnamespace::text || '.' || proname AS name, coalesce(proconfig, '{}') AS config"
        " FROM pg_proc WHERE prosecdef AND pronamespace IN ('licensing'::regnamespace, 'service'::regnamespace)"
    )

    assert {row["name"] for row in lent} == {f"licensing.{name}" for name in VERBS} | {
        f"service.{name}" for name in LENT
    }
    assert all("search_path=pg_catalog, pg_temp" in row["config"] for row in lent)


async def test_a_party_changes_no_row_of_another(market: Market, connection: asyncpg.Connection):
    client = await market.client()
    bought = await client.http.post("/v1/licences", json={"style": market.style_id, "tier": "personal"})
    assert bought.status_code == 201, bought.text

    await act_as(connection, market.creator.account.id)
    assert await connection.fetchval("SELECT count(*) FROM licensing.allowance") > 0
    assert await connection.execute("UPDATE licensing.allowance SET renews = true") == "UPDATE 0"
    await act_as(connection, client.account.id)
    assert await connection.execute("UPDATE licensing.style SET terms_version = terms_version") == "UPDATE 0"
    assert await connection.execute("UPDATE licensing.allowance SET renews = false") == "UPDATE 1"


async def test_only_the_limit_of_a_key_may_be_granted_without_a_verb(connection: asyncpg.Connection):
    await act_as(connection, HOUSE)

    changed = await connection.execute("UPDATE licensing.budget SET granted = granted + 100")

    assert changed == "UPDATE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await connection.execute(
            "INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)"
            " VALUES ('prepaid:me:EUR', 'me', 'prepaid', 'EUR', 1)"
        )


async def test_a_connection_is_lent_for_whom_its_borrower_acts_and_forgets_it(market: Market):
    pool, acting = market.gateway.pool, f"SELECT current_setting('{ACTING}')"
    with acting_for("acc_somebody"):
        lent = await pool.fetchval(acting)
        async with market.gateway.house() as conn:
            whole = await conn.fetchval(acting)

    assert (lent, whole) == ("acc_somebody", HOUSE)
    assert {await pool.fetchval(acting) for _ in range(20)} == {HOUSE}


async def test_a_lent_connection_acts_for_its_borrower_whoever_had_it_before(market: Market):
    parties = ["acc_one", HOUSE, NOBODY, "acc_two", "acc_two", "acc_one", HOUSE]
    seen = []
    async with await open_pool(market.database_url, 1) as pool:
        for party in parties:
            with acting_for(party):
                async with pool.acquire() as conn:
                    seen.append(await conn.fetchval(f"SELECT current_setting('{ACTING}')"))
                    # Whatever the borrower leaves undone is nobody else's.
                    await conn.execute("BEGIN")
                    await conn.execute("SELECT 1")

    assert seen == parties


async def test_an_order_and_its_picture_are_found_for_their_client_alone_by_the_house_too(market: Market):
    """Rows are kept apart twice: by Postgres, and by what a request asks for."""
    async with market.gateway.house() as conn:
        sold = await conn.fetchrow("SELECT id, generation_id, client_id FROM service.outputs")
        found = [await find_order(conn, sold["generation_id"], client_id=one) for one in (sold["client_id"], "acc_x")]
        pictures = [await find_output(conn, sold["id"], client_id=one) for one in (sold["client_id"], "acc_x")]

    assert [one is not None for one in (*found, *pictures)] == [True, False, True, False]
