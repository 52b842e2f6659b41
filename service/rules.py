"""Orders judged by creators' rules before anything is held, and rules tried on prompts before they hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from licensing.database import Connection
from licensing.errors import Refusal
from licensing.rules import Objection, Rules, judge_client, judge_prompt, objections
from service.auth import Identity
from service.errors import Problem
from service.offering import Offering
from service.resources import Gateway

PAST_ORDERS = 100
"""Of a style's orders, the newest, on which its rules are tried."""
_FEWEST_ORDERS, _FEWEST_CLIENTS = 10, 3


@dataclass(frozen=True, kw_only=True)
class PastOrders:
    """How many of the newest orders of a style would have been refused for their words."""

    num_orders: int
    num_refused: int


async def check_order(web: Gateway, asker: Identity, offering: Offering, prompt: str) -> None:
    """Raises Problem where the creator's rules refuse this client or prompt."""
    rules, name = offering.rulebook.rules, offering.style_name
    await check_client(web, asker, rules, style_id=offering.style_id, style_name=name)
    refusal = judge_prompt(rules, web.categories, style=name, prompt=prompt)
    if refusal is not None:
        raise _problem(refusal)


async def check_client(web: Gateway, asker: Identity, rules: Rules, *, style_id: str, style_name: str) -> None:
    """Raises Problem where the rules do not let this client order.

    Whoever has a running licence of the style has paid for it: only the switch ends that, and refunds it.
    """
    if not rules.only_clients and not rules.blocked_clients:
        return
    async with web.pool.acquire() as conn:
        email = await conn.fetchval("SELECT email FROM service.accounts WHERE id = $1", asker.account_id)
        refusal = judge_client(rules, style=style_name, client=(asker.account_id, email))
        if refusal is not None and not await _has_licence(conn, asker.account_id, style_id):
            raise _problem(refusal)


def try_on(web: Gateway, rules: Rules, prompts: Sequence[str]) -> list[list[Objection]]:
    """What the rules would object to in each prompt."""
    return [objections(rules, web.categories, prompt) for prompt in prompts]


async def try_on_past_orders(conn: Connection, web: Gateway, rules: Rules, *, style_id: str) -> PastOrders | None:
    """The rules on what clients asked for lately; None where that would be about too few orders or clients.

    A creator does not see clients' prompts, so this only counts.
    """
    rows = await conn.fetch(
        "SELECT client_id, request ->> 'prompt' AS prompt FROM service.generations"
        " WHERE style_id = $1 AND NOT test AND request ->> 'prompt' IS NOT NULL ORDER BY id DESC LIMIT $2",
        *(style_id, PAST_ORDERS),
    )
    if len(rows) < _FEWEST_ORDERS or len({row["client_id"] for row in rows}) < _FEWEST_CLIENTS:
        return None
    refused = [found for found in try_on(web, rules, [row["prompt"] for row in rows]) if found]
    return PastOrders(num_orders=len(rows), num_refused=len(refused))


async def _has_licence(conn: Connection, client_id: str, style_id: str) -> bool:
    has: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM licensing.allowance WHERE client_id = $1 AND style_id = $2"
        " AND kind = 'licence' AND state IN ('active', 'ending'))",
        *(client_id, style_id),
    )
    return has


def _problem(refusal: Refusal) -> Problem:
    shown = {name: value for name, value in refusal.detail.items() if name in ("rule", "term", "whose")}
    return Problem(refusal.slug, refusal.message, extra=shown)
