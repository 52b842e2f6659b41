"""Everything that is a creator's, to take along."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.pages.render import page
from service.pages.visits import CreatorVisit
from service.styles import list_styles

router = APIRouter(include_in_schema=False)


@router.get("/studio/export")
async def export_page(visit: CreatorVisit) -> HTMLResponse:
    """What the archive holds, about how large it is, and the link that makes it."""
    async with visit.web.pool.acquire() as conn:
        styles = await list_styles(conn, creator_id=visit.account.id)
        works = await conn.fetchrow(
            "SELECT count(*) AS num, coalesce(sum(num_bytes), 0)::bigint AS num_bytes FROM service.works"
            " WHERE creator_id = $1",
            visit.account.id,
        )
        num_versions = await conn.fetchval(
            "SELECT count(*) FROM service.versions WHERE creator_id = $1", visit.account.id
        )
    assert works is not None
    return page(
        visit,
        "studio_export.html",
        num_styles=len(styles),
        num_works=works["num"],
        num_bytes=works["num_bytes"],
        num_versions=num_versions,
    )
