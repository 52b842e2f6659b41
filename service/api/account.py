"""`/v1/account`: who one is here, and how to leave for good."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from licensing.sentence import say
from service.accounts import account_by_id
from service.auth import BuyerOrCreator, Identity, Web
from service.erasure import ask_erasure, erase, in_the_way
from service.errors import Problem
from service.resources import Gateway
from service.teams import teams_of

router = APIRouter(tags=["account"])


class Leaving(BaseModel):
    """`confirm` is the account's e-mail address. `give_up`: money and paid periods that are left are let go."""

    model_config = ConfigDict(extra="forbid")

    confirm: str
    give_up: bool = False


@router.get("/account")
async def get_account(web: Web, asker: BuyerOrCreator) -> dict[str, Any]:
    """What is known of the account's owner, the teams that they are in, and what erasing it would give up."""
    # The names of clients are in accounts that nobody else sees.
    async with web.house() as conn:
        teams = await teams_of(conn, asker.account_id)
    async with web.pool.acquire() as conn:
        account = await account_by_id(conn, asker.account_id)
        assert account is not None
        return {
            "teams": [{"client": one.client_id, "name": one.name, "level": one.level} for one in teams],
            "id": account.id,
            "role": account.role,
            "email": account.email,
            "name": account.name,
            "created_at": account.created_at,
            "in_the_way": await in_the_way(conn, account, currency=web.prices.currency, now=web.clock()),
        }


@router.delete("/account", status_code=202)
async def delete_account(web: Web, asker: BuyerOrCreator, body: Leaving) -> dict[str, Any]:
    """Erase the account; there is no way back. From the answer on nobody is let in with it.

    Open orders end without a charge, a creator's styles are destroyed, bought pictures are deleted here; certificates
    and the ledger keep the id. It is done in a moment for a client, and when all styles are deleted for a creator.
    """
    return await leave(web, asker, body)


async def leave(web: Gateway, asker: Identity, body: Leaving) -> dict[str, Any]:
    """The same for somebody in a browser. Raises Problem."""
    if asker.scopes or asker.is_test:
        raise Problem(
            "forbidden", say("This token is for a part of the account; erase the account on its page instead.")
        )
    async with web.pool.acquire() as conn:
        account = await account_by_id(conn, asker.account_id)
        assert account is not None
        await ask_erasure(
            conn,
            account,
            confirm=body.confirm,
            gives_up=body.give_up,
            by=asker.who,
            currency=web.prices.currency,
            operator=web.settings.operator_name,
            now=web.clock(),
        )
    await erase(web, asker.account_id)
    async with web.pool.acquire() as conn:
        erased_at = await conn.fetchval("SELECT erased_at FROM service.accounts WHERE id = $1", asker.account_id)
    return {"id": asker.account_id, "state": "erased" if erased_at else "erasing", "erased_at": erased_at}
