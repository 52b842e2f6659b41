"""The creator's record: who opened their files, and what happened with what is theirs."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service import data_use
from service.api.record import entries_of
from service.audit import AuditEntry
from service.errors import not_found
from service.languages import gettext, translate
from service.pages.render import page
from service.pages.visits import CreatorVisit, Member
from service.pages.words import PURPOSES
from service.styles import Style, list_styles
from service.works import list_works

router = APIRouter(include_in_schema=False)

_PER_PAGE = 30
_URL = "/studio/record"


@router.get("/studio/record")
async def opened_files(visit: CreatorVisit, style: str = "", before: str = "") -> HTMLResponse:
    """Who opened the creator's files, newest first, a page at a time."""
    async with visit.web.pool.acquire() as conn:
        styles = await list_styles(conn, creator_id=visit.account.id)
        found = await data_use.list_uses(
            conn, creator_id=visit.account.id, style_id=style or None, limit=_PER_PAGE + 1, before=before or None
        )
    return _page(visit, _URL, styles, style, found, uses=found[:_PER_PAGE], purposes=PURPOSES)


@router.get("/studio/record/happened")
async def happened(visit: CreatorVisit, style: str = "", before: str = "") -> HTMLResponse:
    """What was done with what is the creator's, newest first, a page at a time."""
    async with visit.web.pool.acquire() as conn:
        styles = await list_styles(conn, creator_id=visit.account.id)
    found = await entries_of(
        visit.web, visit.identity, style_id=style or None, limit=_PER_PAGE + 1, cursor=before or None
    )
    return _page(visit, f"{_URL}/happened", styles, style, found, entries=found[:_PER_PAGE])


@router.get("/studio/record/files/{use_id}")
async def files_of_use(visit: CreatorVisit, use_id: str) -> HTMLResponse:
    """Which files one line was about: names where the works are still there, and hashes."""
    async with visit.web.pool.acquire() as conn:
        found = await data_use.find_use(conn, use_id, creator_id=visit.account.id)
        if found is None:
            raise not_found("line", use_id)
        use, files = found
        works = await list_works(conn, style_id=use.style_id, creator_id=visit.account.id)
    names = {work.storage_key: work.filename for work in works}
    shown = [(_name_of(file["key"] or "", names), file["sha256"]) for file in files]
    said = PURPOSES[use.purpose]
    return page(visit, "studio_record_files.html", use=use, said=said, files=shown, translate=translate)


def _page(
    visit: Member,
    url: str,
    styles: list[Style],
    style: str,
    found: list[data_use.UseEntry] | list[AuditEntry],
    **values: Any,
) -> HTMLResponse:
    older = ""
    if len(found) > _PER_PAGE:
        query = {"before": found[_PER_PAGE - 1].id} | ({"style": style} if style else {})
        older = f"{url}?{urlencode(query)}"
    shown: dict[str, Any] = {"uses": None, "entries": None, "purposes": {}, "translate": translate} | values
    return page(visit, "studio_record.html", url=url, styles=styles, style=style, older=older, **shown)


def _name_of(key: str, names: dict[str, str]) -> str:
    """What the creator calls a file; the end of its key where it is no work of theirs any more."""
    plain = key.removesuffix(".thumbnail.jpg")
    if plain in names:
        return names[plain] if plain == key else gettext("{name} (small)").format(name=names[plain])
    return key.rsplit("/", 1)[-1]
