"""The record: who opened a creator's files, and what was done with what is an account's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Query

from service import audit, data_use
from service.accounts import accounts_by_id
from service.api.shapes import Cursor, Limit, page
from service.auth import CreatorReading, Identity, MemberReading, Web
from service.errors import invalid, not_found
from service.resources import Gateway

router = APIRouter(tags=["record"])

OfStyle = Annotated[str | None, Query(max_length=64, description="Only what is of this style")]


@router.get("/data-use")
async def get_uses(
    web: Web, asker: CreatorReading, style: OfStyle = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Who opened your files, why and for which job, newest first. Where `refused` is not null nothing was opened."""
    async with web.pool.acquire() as conn:
        found = await data_use.list_uses(
            conn, creator_id=asker.account_id, style_id=style, limit=limit + 1, before=cursor
        )
    return page(found, limit, use_document)


@router.get("/data-use/{use_id}")
async def get_use(web: Web, asker: CreatorReading, use_id: str) -> dict[str, Any]:
    """One line of it, with the key and the SHA-256 of every file."""
    async with web.pool.acquire() as conn:
        found = await data_use.find_use(conn, use_id, creator_id=asker.account_id)
    if found is None:
        raise not_found("line of the data-use ledger", use_id)
    use, files = found
    return {**use_document(use), "files": files}


@router.get("/audit")
async def get_audit(
    web: Web, asker: MemberReading, style: OfStyle = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """What was done with what is yours, by whom, newest first. `person` is whoever of your team did it, by name."""
    found = await entries_of(web, asker, style_id=style, limit=limit + 1, cursor=cursor)
    people = {entry.person for entry in found if entry.person}
    if not people:
        return page(found, limit, entry_document)
    # A client does not see the accounts of its team.
    async with web.house() as conn:
        accounts = await accounts_by_id(conn, people)
    names = {account.id: account.name for account in accounts.values()}
    return page(found, limit, lambda entry: entry_document(entry, names))


async def entries_of(
    web: Gateway, asker: Identity, *, style_id: str | None, limit: int, cursor: str | None
) -> list[audit.AuditEntry]:
    """Lines of the asker's record. Raises Problem for a cursor that is none."""
    try:
        async with web.pool.acquire() as conn:
            return await audit.list_entries(conn, asker.account_id, style_id=style_id, limit=limit, before=cursor)
    except ValueError as error:
        raise invalid(error) from error


def use_document(use: data_use.UseEntry) -> dict[str, Any]:
    """A line of the data-use ledger as its creator sees it; keys and sessions are told where they are their own."""
    return {
        "id": use.id,
        "at": use.at,
        "style": use.style_id,
        "purpose": use.purpose,
        "who": _who(use.role, use.via if use.is_own else ""),
        "process": use.actor if use.role == "place" else None,
        "job": use.job or None,
        "num_files": use.num_files,
        "refused": use.refused,
        "url": f"/v1/data-use/{use.id}",
    }


def entry_document(entry: audit.AuditEntry, names: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """A line of the record. names: of the people of the account's team, by their ids."""
    return {
        "id": entry.id,
        "at": entry.at,
        "who": _who(entry.role, entry.via),
        "person": {"id": entry.person, "name": names.get(entry.person, "")} if entry.person else None,
        "what": entry.kind,
        "style": entry.style_id,
        "subject": entry.subject or None,
        "sentence": entry.sentence,
    }


def _who(role: str | None, via: str) -> dict[str, str | None]:
    """`key` or `session` says which of an account's own spoke for it."""
    return {
        "role": role,
        "key": via if via.startswith("key_") else None,
        "session": via if via.startswith("ses_") else None,
    }
