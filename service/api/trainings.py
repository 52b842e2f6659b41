"""Trainings: start one, watch it, pause, resume or cancel it."""

import secrets
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from inference.catalog import base_spec
from inference.errors import BaseUnusable
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.money import Money
from licensing.sentence import say
from service import audit, finetuning, trainings
from service.api.shapes import Cursor, Limit, bytes_of, money, page
from service.api.styles import check_exists, own_style
from service.auth import Creator, CreatorReading, Identity, Web, is_let_in
from service.data_use import Use, read_file
from service.errors import ObjectMissing, Problem, invalid, not_found, refused
from service.events import End, stream
from service.resources import Gateway
from service.speeds import Plan, known_plan, plan_training
from service.styles import Style
from service.trainings import Training
from service.works import list_works
from training.errors import RecipeInvalid
from training.messages import MAX_SEED
from training.recipe import Recipe, recipe_for

router = APIRouter(tags=["trainings"])


class NewTraining(BaseModel):
    """`{}` takes the defaults: the base's own recipe, a seed by chance."""

    model_config = ConfigDict(extra="forbid")

    recipe: Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")] | None = None
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    max_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """A hard limit of its own work, whoever shares the trainer with it; without one the operator's."""


class Resumption(BaseModel):
    """`{}` goes on within the limit that the training has."""

    model_config = ConfigDict(extra="forbid")

    max_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """A new hard limit over all of its runs, for one that reached the old."""


@router.post("/styles/{style_id}/trainings", status_code=201)
async def make_training(
    web: Web, asker: Creator, style_id: str, response: Response, body: NewTraining | None = None
) -> dict[str, Any]:
    """Train a new version from the works whose rights are clear."""
    made = await start_new(web, asker, style_id, body or NewTraining())
    response.headers["Location"] = f"/v1/trainings/{made.id}"
    return training_document(made)


async def start_new(
    web: Gateway, asker: Identity, style_id: str, asked: NewTraining, *, is_free: bool = False
) -> Training:
    """Queue a training of a creator's own style. is_free: the operator pays it. Raises Problem."""
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
        check_exists(style)
        recipe = find_recipe(web, style, asked.recipe)
        num_works = await check_works(conn, style, recipe)
        plan = await _priced_plan(web, conn, style, recipe, num_works, is_free=is_free)
        max_minutes = _limit(web, plan, asked.max_minutes)
        made = await trainings.add_training(
            conn,
            training_id=web.new_id("trn"),
            style_id=style.id,
            creator_id=asker.account_id,
            base=style.base,
            recipe=recipe.name,
            seed=secrets.randbelow(2**31) if asked.seed is None else asked.seed,
            max_minutes=max_minutes,
            price=Money(0, web.prices.currency) if is_free else plan.price,
            now=web.clock(),
        )
    if isinstance(made, Refusal):
        raise refused(made)
    await finetuning.start_training(made)
    return made


@router.get("/styles/{style_id}/estimate")
async def get_estimate(web: Web, asker: CreatorReading, style_id: str) -> dict[str, Any]:
    """What a training of the works as they are now would take on this machine; measured once, which takes seconds."""
    async with web.pool.acquire() as conn:
        style = await own_style(conn, style_id, asker.account_id)
        check_exists(style)
        works = await list_works(conn, style_id=style.id, creator_id=style.creator_id)
        recipe, num_works = find_recipe(web, style, None), sum(work.may_train for work in works)
        plan = await plan_training(web, conn, style, recipe, num_works=num_works)
    return {**plan_document(plan), "max_minutes": web.settings.max_training_minutes}


@router.get("/styles/{style_id}/trainings")
async def get_trainings(
    web: Web, asker: CreatorReading, style_id: str, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """A style's trainings, newest first."""
    async with web.pool.acquire() as conn:
        await own_style(conn, style_id, asker.account_id)
        found = await trainings.list_trainings(
            conn, style_id=style_id, creator_id=asker.account_id, limit=limit + 1, before=cursor
        )
    return page(found, limit, training_document)


@router.get("/trainings/{training_id}")
async def get_training(web: Web, asker: CreatorReading, training_id: str) -> dict[str, Any]:
    """Where a training stands."""
    return training_document(await _own(web, asker, training_id))


@router.get("/trainings/{training_id}/events", response_class=Response, responses=bytes_of("text/event-stream"))
async def get_events(web: Web, asker: CreatorReading, training_id: str, request: Request) -> Response:
    """What happens, as Server-Sent Events: state, finding, estimate, progress, heldout, sample, then the end."""
    training = await _own(web, asker, training_id)
    data = {"version": training.version_id} | ({"message": training.message} if training.message else {})
    end = End(kind=training.state, data=data) if training.state in trainings.ENDS else None
    may_read = partial(is_let_in, web, asker)
    return stream(request, web.pool, subject=training_id, ends=trainings.ENDS, end=end, may_read=may_read)


@router.get("/trainings/{training_id}/samples/{name}", response_class=Response, responses=bytes_of("image/png"))
async def get_sample(web: Web, asker: CreatorReading, training_id: str, name: str) -> Response:
    """A picture drawn on the way."""
    training = await _own(web, asker, training_id)
    keys = {str(sample["name"]): str(sample["key"]) for sample in training.samples}
    try:
        content = await read_file(web, Use(purpose="own", by=asker.who), keys[name])
    except (KeyError, ObjectMissing) as error:
        raise not_found("sample", name) from error
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=31536000"})


@router.post("/trainings/{training_id}/cancel")
async def cancel_training(web: Web, asker: Creator, training_id: str) -> dict[str, Any]:
    """Stop for good; a training that runs stops within seconds."""
    return await _ask_to(web, asker, training_id, "cancel")


@router.post("/trainings/{training_id}/pause")
async def pause_training(web: Web, asker: Creator, training_id: str) -> dict[str, Any]:
    """Stop after a checkpoint, to be resumed."""
    return await _ask_to(web, asker, training_id, "pause")


@router.post("/trainings/{training_id}/resume")
async def resume_training(web: Web, asker: Creator, training_id: str, body: Resumption | None = None) -> dict[str, Any]:
    """Go on from the last checkpoint, within the old limit or a new one."""
    wanted = body.max_minutes if body else None
    max_minutes = _allowed(web, wanted) if wanted is not None else None
    now = web.clock()
    async with web.pool.acquire() as conn, conn.transaction():
        before = await trainings.find_training(conn, training_id, creator_id=asker.account_id)
        found = await trainings.resume(
            conn, training_id=training_id, creator_id=asker.account_id, max_minutes=max_minutes, now=now
        )
        if isinstance(found, Refusal):
            raise refused(found)
        assert before is not None
        await audit.note(
            conn,
            "training_resumed",
            account_id=asker.account_id,
            by=asker.who,
            now=now,
            style_id=found.style_id,
            subject=found.id,
            state=before.state,
        )
    await finetuning.start_training(found)
    return training_document(found)


@router.post("/trainings/{training_id}/candidates/{step}", status_code=201)
async def examine_candidate(
    web: Web, asker: Creator, training_id: str, step: int, response: Response
) -> dict[str, Any]:
    """Have the adapter after `step` steps examined in place of the one that was taken: one of the `candidates`.

    A training of its own that learns nothing and costs nothing: it goes through the whole release gate, and ends with a
    version, or with the sentence why it may not be published. Works that came or went since make it a conflict.
    """
    training = await _own(web, asker, training_id)
    async with web.pool.acquire() as conn:
        check_exists(await own_style(conn, training.style_id, asker.account_id))
        made = await trainings.add_retake(
            conn,
            training,
            training_id=web.new_id("trn"),
            step=step,
            currency=web.prices.currency,
            now=web.clock(),
        )
    if isinstance(made, Refusal):
        raise refused(made)
    await finetuning.start_training(made)
    response.headers["Location"] = f"/v1/trainings/{made.id}"
    return training_document(made)


async def check_works(conn: Connection, style: Style, recipe: Recipe) -> int:
    """How many works are included and have a right. Raises Problem unless they are enough."""
    works = [work for work in await list_works(conn, style_id=style.id, creator_id=style.creator_id) if work.include]
    may = sum(work.may_train for work in works)
    if may >= recipe.min_works:
        return may
    unsure = len(works) - may
    if unsure:
        raise Problem(
            "rights_missing",
            say(
                "Only {may} of {number} works may train, and {min_works} are needed: the rights to"
                " {unsure} are unsure. Say for each whose it is; unsure works never train.",
                may=may,
                number=len(works),
                min_works=recipe.min_works,
                unsure=unsure,
            ),
            extra={"works": [work.id for work in works if not work.may_train]},
        )
    raise Problem(
        "conflict",
        say(
            "{may} works are too few to learn a style; upload at least {min_works}.",
            may=may,
            min_works=recipe.min_works,
        ),
    )


def plan_document(plan: Plan) -> dict[str, Any]:
    """What a training would take, as its creator is told."""
    found = plan.estimate
    return {
        "state": plan.state,
        "works": plan.num_works,
        "held_out": plan.num_held_out,
        "steps": plan.steps,
        "seconds": found.seconds if found else None,
        "memory_bytes": found.memory_bytes if found else None,
        "device": plan.device or None,
        "price": money(plan.price) if plan.is_priced else None,
    }


def training_document(training: Training) -> dict[str, Any]:
    """A training as its creator sees it. `candidates` are adapters beside the one that was taken, best first, each with
    its held-out `gain` and the standard `error` of that; one that examines such a one says of which training it is
    (`of`), and after how many steps (`takes`)."""
    samples = f"/v1/trainings/{training.id}/samples"
    return {
        "id": training.id,
        "style": training.style_id,
        "state": training.state,
        "wanted": training.wanted,
        "message": training.message,
        "base": training.base,
        "recipe": training.recipe,
        "seed": training.seed,
        "works": len(training.manifest),
        "step": training.step,
        "steps": training.steps,
        "loss": training.loss,
        "eta_s": training.eta_s,
        "estimate": {"seconds": training.estimate_s, "steps": training.steps} if training.estimate_s else None,
        "max_minutes": training.max_minutes,
        "price": money(training.price),
        "heldout": training.heldout,
        "samples": [{"step": one["step"], "url": f"{samples}/{one['name']}"} for one in training.samples],
        "scores": training.scores,
        "version": training.version_id,
        "candidates": training.alternatives,
        "of": training.of_training,
        "takes": training.take_step,
        "created_at": training.created_at,
        "started_at": training.started_at,
        "ended_at": training.ended_at,
    }


async def _priced_plan(
    web: Gateway, conn: Connection, style: Style, recipe: Recipe, num_works: int, *, is_free: bool
) -> Plan:
    """What the training takes as far as it is known. Raises Problem where it costs something and nobody knows what."""
    is_free = is_free or web.prices.training_minute.amount == 0
    plan = await (known_plan if is_free else plan_training)(web, conn, style, recipe, num_works=num_works)
    if plan.is_priced or is_free:
        return plan
    if plan.state == "measuring":
        raise Problem(
            "conflict",
            say("What this training costs is being measured on this machine; ask again in a few seconds."),
            retry_after_s=2.0,
        )
    raise Problem(
        "conflict",
        say(
            "What this training costs could not be measured, so it does not start; it is tried again"
            " within the hour, and the operator's log says why."
        ),
    )


def _allowed(web: Gateway, minutes: float) -> float:
    """The same minutes. Raises Problem where they are more than the operator allows."""
    most = web.settings.max_training_minutes
    if minutes <= most:
        return minutes
    raise Problem(
        "invalid_request",
        say("{minutes:g} minutes are too many: a training may take at most {most:g} here.", minutes=minutes, most=most),
    )


def _limit(web: Gateway, plan: Plan, wanted: float | None) -> float:
    """Minutes that the training may take. Raises Problem where that is known to be too few, or more than is allowed."""
    allowed = _allowed(web, wanted) if wanted is not None else web.settings.max_training_minutes
    if plan.estimate and plan.estimate.seconds > allowed * 60:
        raise Problem(
            "conflict",
            say(
                "This training would take about {minutes:.1f} minutes here, and its limit is {limit}. Allow more, or"
                " choose a recipe with fewer steps.",
                minutes=plan.estimate.seconds / 60,
                limit=say("{minutes:g} minute", minutes=allowed)
                if allowed == 1
                else say("{minutes:g} minutes", minutes=allowed),
            ),
            extra={"estimate": plan_document(plan)},
        )
    return allowed


def find_recipe(web: Gateway, style: Style, name: str | None) -> Recipe:
    """The recipe called `name`, else the base's own or its family's. Raises Problem."""
    bases, recipes = (web.settings.configs / kind for kind in ("bases", "recipes"))
    try:
        return recipe_for(base_spec(style.base, folder=bases), name or "", folder=recipes)
    except (RecipeInvalid, BaseUnusable) as error:
        raise invalid(error) from error


async def _own(web: Gateway, asker: Identity, training_id: str) -> Training:
    async with web.pool.acquire() as conn:
        training = await trainings.find_training(conn, training_id, creator_id=asker.account_id)
    if training is None:
        raise not_found("training", training_id)
    return training


async def _ask_to(
    web: Gateway, asker: Identity, training_id: str, wanted: Literal["pause", "cancel"]
) -> dict[str, Any]:
    async with web.pool.acquire() as conn:
        found = await trainings.ask_to(
            conn, training_id=training_id, creator_id=asker.account_id, wanted=wanted, now=web.clock()
        )
    if isinstance(found, Refusal):
        raise refused(found)
    return training_document(found)
