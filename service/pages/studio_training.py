"""Training a style: the start, what happens as it happens, the result, and publishing it."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from licensing.database import Connection
from licensing.sentence import say
from service.api import trainings as api
from service.api.versions import publish_version
from service.errors import Problem, not_found
from service.formats import percent
from service.languages import gettext
from service.pages.charts import Chart, chart_of
from service.pages.forms import checked, chosen, whole_number
from service.pages.render import is_fragment, page, see_other
from service.pages.sheets import COLUMNS, num_rows, open_sheet
from service.pages.standing import Standing, load_standing
from service.pages.visits import CreatorVisit, Member
from service.speeds import Plan, plan_training
from service.trainings import OPEN, RUNNING, Training, find_training, list_trainings
from service.versions import Version, find_version

router = APIRouter(include_in_schema=False)

_LISTED_MAX = 6
"""Trainings that a page lists."""
_FRAGMENTS = {"training": "_training.html", "plan": "_plan.html"}


@router.get("/studio/styles/{style_id}/training")
async def training_page(visit: CreatorVisit, style_id: str) -> HTMLResponse:
    """The training that runs or ran last; its part of the page asks for itself while something moves."""
    return await _show(visit, style_id)


@router.post("/studio/styles/{style_id}/training")
async def start_training(visit: CreatorVisit, style_id: str) -> Response:
    """Train a new version with the defaults, within the time that the form may name."""
    try:
        asked = checked(api.NewTraining, max_minutes=await _minutes(visit))
        await api.make_training(visit.web, visit.identity, style_id, Response(), asked)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}/training")


@router.post("/studio/styles/{style_id}/training/{training_id}")
async def steer_training(visit: CreatorVisit, style_id: str, training_id: str) -> Response:
    """Pause, resume or cancel, or examine another adapter; the form that resumes may name a new limit."""
    try:
        match chosen(await visit.field("act"), ("pause", "resume", "cancel", "examine")):
            case "examine":
                step = whole_number(await visit.field("step"), name=say("Step"))
                await api.examine_candidate(visit.web, visit.identity, training_id, step, Response())
            case "pause":
                await api.pause_training(visit.web, visit.identity, training_id)
            case "cancel":
                await api.cancel_training(visit.web, visit.identity, training_id)
            case "resume":
                asked = checked(api.Resumption, max_minutes=await _minutes(visit))
                await api.resume_training(visit.web, visit.identity, training_id, asked)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}/training")


@router.post("/studio/styles/{style_id}/versions/{version_id}")
async def publish(visit: CreatorVisit, style_id: str, version_id: str) -> Response:
    """Make a version the one that clients get."""
    try:
        await publish_version(visit.web, visit.identity, version_id)
    except Problem as problem:
        return await _show(visit, style_id, problem)
    return see_other(f"/studio/styles/{style_id}/offer?done=published")


@router.get("/studio/versions/{version_id}/sheet/{row}/{column}")
async def sheet_picture(visit: CreatorVisit, version_id: str, row: int, column: str) -> Response:
    """One picture of the with/without sheet."""
    async with visit.web.pool.acquire() as conn:
        version = await find_version(conn, version_id, creator_id=visit.account.id)
    if version is None or column not in COLUMNS:
        raise not_found("picture", column)
    sheet = await open_sheet(visit, version.sheet_key)
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(sheet.cut(row, column), media_type="image/png", headers=headers)


async def _minutes(visit: Member) -> int | None:
    text = await visit.field("max_minutes")
    return whole_number(text, name=say("Minutes")) if text else None


async def _show(visit: Member, style_id: str, problem: Problem | None = None) -> HTMLResponse:
    async with visit.web.pool.acquire() as conn:
        standing = await load_standing(conn, visit, style_id)
        listed = await list_trainings(conn, style_id=style_id, creator_id=visit.account.id, limit=_LISTED_MAX)
        latest = listed[0] if listed else None
        origin, version = await _came_of(conn, latest)
    values: dict[str, Any] = {
        "standing": standing,
        "listed": listed,
        "training": latest,
        "version": version,
        "origin": origin,
        "examined": {
            one.take_step
            for one in listed
            if origin is not None and one.of_training == origin.id and one.state in ("passed", "refused")
        },
        "so_far_s": _so_far_s(visit, latest),
        "is_open": latest is not None and latest.state in OPEN,
        "sheet": f"/studio/versions/{version.id}/sheet" if version else "",
        "num_rows": await num_rows(visit, version.sheet_key if version else None),
        "chart": _chart(latest),
        "learnt": learnt(latest, version),
        "plan": await _plan(visit, standing, latest),
        "max_minutes": visit.web.settings.max_training_minutes,
        "typed_minutes": await visit.field("max_minutes") if problem else "",
    }
    status = problem.status if problem else 200
    shown = problem.document if problem else None
    answer = page(visit, "studio_training.html", fragments=_FRAGMENTS, status=status, problem=shown, **values)
    if is_fragment(visit.request, "training") and not values["is_open"]:
        # It has ended: what stands around it changes too.
        answer.headers["HX-Refresh"] = "true"
    return answer


def _so_far_s(visit: Member, training: Training | None) -> float | None:
    """For how long the latest run of a training has gone on; None where none does."""
    if training is None or training.started_at is None or training.state not in RUNNING:
        return None
    return (visit.now - training.started_at).total_seconds()


def learnt(training: Training | None, version: Version | None = None) -> str:
    """What the held-out measurements say so far, in words; of a version that was made what they say of that."""
    if training is None or not training.heldout:
        return ""
    if version is not None and "heldout_gain" in version.scores:
        return _closer(percent(version.scores["heldout_gain"]))
    gains = [float(look["gain"]) for look in training.heldout]
    share = percent(max(gains))
    if max(gains) <= 0:
        return gettext("It does not yet draw your style better than the plain base. That is normal at the beginning.")
    if len(gains) > 1 and gains[-1] < max(gains):
        return gettext(
            "It is {share} closer to works it has never seen than the plain base; it has nearly stopped improving."
        ).format(share=share)
    if training.state in OPEN:
        return gettext(
            "It is {share} closer to works it has never seen than the plain base, and still improving."
        ).format(share=share)
    return _closer(share)


def _closer(share: str) -> str:
    return gettext("It is {share} closer to works it has never seen than the plain base.").format(share=share)


async def _came_of(conn: Connection, latest: Training | None) -> tuple[Training | None, Version | None]:
    """The training that learnt what `latest` examines, which is itself for most, and the version that came of it."""
    if latest is None:
        return None, None
    origin: Training | None = latest
    if latest.of_training is not None:
        origin = await find_training(conn, latest.of_training, creator_id=latest.creator_id)
    made = latest.version_id
    return origin, await find_version(conn, made, creator_id=latest.creator_id) if made is not None else None


async def _plan(visit: Member, standing: Standing, latest: Training | None) -> Plan | None:
    """What the next training would take; None while one goes on, and where there is too little to learn from."""
    recipe = api.find_recipe(visit.web, standing.style, None)
    if (latest and latest.state in OPEN) or standing.num_ready < recipe.min_works:
        return None
    async with visit.web.pool.acquire() as conn:
        return await plan_training(visit.web, conn, standing.style, recipe, num_works=standing.num_ready)


def _chart(training: Training | None) -> Chart | None:
    if training is None or not training.heldout:
        return None
    # An adapter that has learnt nothing draws exactly as the base does.
    points = [(0.0, 0.0), *((float(look["step"]), float(look["gain"])) for look in training.heldout)]
    return chart_of(points, width=640, height=180)
