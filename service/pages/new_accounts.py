"""What all links that make an account have in common: what is typed behind them, and the first way in."""

from typing import Any

from fastapi.responses import Response

from service.errors import Problem
from service.languages import gettext
from service.pages.entering import device_of
from service.pages.forms import whole_number
from service.pages.render import page
from service.pages.visits import Visit
from service.sessions import Session, open_session


async def typed(visit: Visit) -> dict[str, Any]:
    """The form of `_new_account.html`: `name`, `password`, `terms_version`. Raises Problem."""
    return {
        "name": await visit.field("name"),
        "password": str((await visit.form()).get("password", "")),
        "terms_version": whole_number(await visit.field("terms"), name=gettext("Version")),
    }


async def enter(visit: Visit, account_id: str) -> Session:
    """The first session of an account that was made a moment ago."""
    days, device = visit.web.settings.session_days, device_of(visit)
    async with visit.web.house() as conn:
        session = await open_session(conn, account_id=account_id, now=visit.now, days=days, device=device)
    assert session is not None, f"{account_id} was made a moment ago"
    return session


def show_link(
    visit: Visit, template: str, *, found: object | None, word: str, name: str, problem: Problem | None
) -> Response:
    """The page behind a link, which is unknown, used or too old where nothing is `found`."""
    status = 200 if found else 422
    return page(
        visit,
        template,
        status=problem.status if problem else status,
        problem=problem.document if problem else None,
        found=found,
        word=word,
        name=name,
        terms=visit.web.ownership,
    )
