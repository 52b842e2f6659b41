"""The worker's part of a generation: an order in, unsealed pictures under `pending/`, or the reason why not.

Thin: what draws is handed in (`service.drawing`), so the web process can name this story without the model stack.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import replace
from typing import Any

from inference.catalog import BaseSpec, enlargement
from inference.errors import (
    AdapterRefused,
    CheckerUnusable,
    CheckFailed,
    EngineFull,
    EngineUnavailable,
    InferenceError,
)
from inference.events import Draws, submit
from inference.fairness import Turn
from inference.messages import FORGOTTEN, AdapterRef, ImageRequest, Picture, Refused, Result, Step, Stopped
from licensing import switch
from service import delivery, pending
from service.bases import base_here
from service.data_use import Use, check_files, read_file
from service.drawing import Place, Studio, studio
from service.errors import AdapterWithdrawn, FileRefused, ObjectMissing, StartWithdrawn
from service.faults import reach
from service.heartbeats import this_process
from service.images import read_image
from service.marks import draw_draft_mark
from service.orders import START_GONE, Order, RefusedPicture, find_order, mark_started
from service.progress import Progress
from service.purging import forget_unsold
from service.queues import look_again
from service.resources import Resources
from service.starting_points import compared_with, read_start
from service.stops import note_stopped
from service.tracing.spans import span
from service.versions import Version, sold_version
from service.watch import LEASE_LOST
from service.workflows import RENDER, durable_step, resources, story

log = logging.getLogger("ownhand.rendering")

Drawn = dict[str, Any]
"""JSON: `end` is `made` (with `pictures`), `again` (back to the queue, the hold stays), or an end of
`licensing.orders.EndReason`; perhaps with `message`, and with `refused` where checks objected to pictures."""

_AGAIN = {LEASE_LOST, FORGOTTEN, "closing"}
_FULL_WAIT_S = 0.2


@story("render", is_asked=True)
async def render(order_id: str, fence: int) -> Drawn:
    """Draw an order's pictures. `fence` names the attempt."""
    with ExitStack() as door:
        door.callback(look_again, RENDER)
        door.enter_context(studio().places.at_door())
        return await draw(order_id, fence, door)


@durable_step()
async def draw(order_id: str, fence: int, door: ExitStack) -> Drawn:
    """One attempt. After a kill in the middle pictures go on from where they were kept, as the same pictures.

    door: is closed when the order has its first place, so that the next one comes to the door.
    """
    opened, place = resources(), studio()
    reach("render_taken", opened.settings.crash_at)
    async with opened.pool.acquire() as conn:
        order = await find_order(conn, order_id)
        assert order is not None
        if order.state not in ("queued", "running"):
            # It ended while it was queued, and needs no place to say so.
            return {"end": "canceled"}
        version = await sold_version(conn, style_id=order.style_id, version_id=order.version_id)
    if version is None:
        return {"end": "withdrawn", "message": "The version you ordered is no longer sold; nothing was charged."}
    place.watch.follow(order_id)
    try:
        turn = Turn(client=order.client_id, creator=version.creator_id)
        async with place.places.take(order.count, turn, work=order.work / order.count) as places:
            door.close()
            drawn = await _attempt(opened, place, order, version, turn, places)
        if drawn["end"] == "withdrawn":
            # The notice of it may have been lost, or have come before the adapter was opened.
            await forget_unsold(opened, place, [version.adapter_sha256])
        return drawn
    except InferenceError as error:
        return {"end": "failed", "message": f"{error}; nothing was charged."}
    except StartWithdrawn:
        return {"end": "withdrawn", "message": START_GONE}
    except FileRefused:
        log.exception("order %s was to be drawn with what is not its version's", order.id)
        return {"end": "failed", "message": "The files of this style may not be opened for it; nothing was charged."}
    finally:
        place.watch.forget(order_id)


async def _attempt(
    opened: Resources, place: Studio, order: Order, version: Version, turn: Turn, places: Sequence[Place]
) -> Drawn:
    spec = base_here(opened.settings, version.base)
    engine = await place.engine(spec)
    reason = await asyncio.to_thread(place.watch.reason_to_stop, order.id)
    if reason is not None:
        return _stopped(reason)
    async with opened.pool.acquire() as conn:
        held = await switch.state(conn, style_id=order.style_id, client_id=order.client_id, now=opened.clock())
        if held is not None and held.level == "paused":
            # It was begun before the pause but not drawn: it waits with the queued ones.
            return {"end": "again"}
        if not await mark_started(conn, order.id, now=opened.clock()):
            return {"end": "canceled"}
    # Asked for every order: a file that lies on this disk already was noted when it was brought, for another one.
    own = [key for key in (version.adapter_key, version.flat_key) if key is not None]
    await check_files(opened, Use(purpose="drawing", by=this_process(), job=order.id), own)
    try:
        async with place.files.lend(version, job=order.id) as lent:
            try:
                adapter = replace(lent.ref, works=await _looks(opened, order, version))
                requests = await _requests(opened, order, spec, adapter)
                return await _draw_all(opened, place, engine, order, spec, requests, turn, places)
            except AdapterRefused as error:
                if not place.files.turn_down(lent):
                    raise
                log.warning("%s; another file of it is read for %s", error, order.id)
                return {"end": "again"}
    except EngineUnavailable:
        # It broke or is closing: another one opens for the next attempt.
        place.drop(engine)
        return {"end": "again"}
    except AdapterWithdrawn:
        # The next attempt learns from the gateway whether it is off.
        return {"end": "again"}


async def _draw_all(
    opened: Resources,
    place: Studio,
    engine: Draws,
    order: Order,
    spec: BaseSpec,
    requests: Sequence[ImageRequest],
    turn: Turn,
    places: Sequence[Place],
) -> Drawn:
    progress, stop = Progress(count=order.count), functools.partial(place.watch.reason_to_stop, order.id)

    async def one(number: int, request: ImageRequest) -> Result:
        async with places[number - 1]:
            halfway = await _halfway(opened, order, number)
            with span("draw_picture", number=number, width=request.width, height=request.height) as drawing:

                def hear(step: Step) -> None:
                    progress.hear(number, step)
                    drawing.add_event("step", {"ownhand.index": step.index, "ownhand.total": step.total})

                result = await make_picture(engine, request, turn, stop=stop, hear=hear, halfway=halfway)
            if isinstance(result, Picture):
                with span("store_picture", number=number, bytes=len(result.png)):
                    await _store(opened, order, spec, number, result)
            return result

    async with progress.told(opened, order.id):
        results = await asyncio.gather(
            *(one(number, request) for number, request in enumerate(requests, 1)), return_exceptions=True
        )
    drawn = _outcome(order, results)
    if drawn["end"] == "withdrawn":
        async with opened.pool.acquire() as conn:
            await note_stopped(
                conn,
                worker=this_process().actor,
                creator_id=order.creator_id,
                style_id=order.style_id,
                client_id=order.client_id,
                now=opened.clock(),
            )
    if drawn["end"] == "again":
        await progress.keep(opened, order.id)
    if drawn["end"] == "made":
        reach("pictures_stored", opened.settings.crash_at)
    return drawn


def _outcome(order: Order, results: Sequence[Result | BaseException]) -> Drawn:
    """What the pictures' ends mean for the order: one that was stopped stops it, one that failed or that a check
    objected to is left out."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, InferenceError):
            raise error
        if isinstance(error, CheckFailed | CheckerUnusable):
            log.error("order %s: %s", order.id, error, exc_info=error)
    for result in results:
        if isinstance(result, Stopped):
            return _stopped(result.reason)
    pictures = [
        {
            "number": number,
            "key": pending.drawn_key(order.id, number),
            "seed": result.seed,
            "notes": list(result.notes),
            "receipt": dict(result.receipt),
        }
        for number, result in enumerate(results, 1)
        if isinstance(result, Picture)
    ]
    refused = [_refused(number, result) for number, result in enumerate(results, 1) if isinstance(result, Refused)]
    given_up = [error for error in errors if isinstance(error, EngineUnavailable)]
    if not pictures and (given_up or not refused):
        raise (given_up or errors)[0]
    if not pictures:
        said = refused[0]["message"]
        return {"end": "failed", "message": f"{said[:1].upper()}{said[1:]}; nothing was charged.", "refused": refused}
    lost = [
        f"{len(reasons)} of {order.count} pictures left out and not charged: {reasons[0]}."
        for reasons in ([one["message"] for one in refused], errors)
        if reasons
    ]
    return {"end": "made", "pictures": pictures, "refused": refused} | ({"message": " ".join(lost)} if lost else {})


def _refused(number: int, result: Refused) -> RefusedPicture:
    objection = result.objection
    return {
        "number": number,
        "kind": "image_refused" if objection.stage == "image" else objection.kind,
        "message": objection.sentence,
    }


def _stopped(reason: str) -> Drawn:
    # An order that ended elsewhere keeps the end it has there: the void that follows finds it.
    ends = ("withdrawn", "canceled", "failed", "expired")
    return {"end": "again" if reason in _AGAIN else reason if reason in ends else "failed"}


async def make_picture(
    engine: Draws,
    request: ImageRequest,
    turn: Turn,
    *,
    stop: Callable[[], str | None] = lambda: None,
    hear: Callable[[Step], None] = lambda step: None,
    halfway: bytes | None = None,
) -> Result:
    """One picture from its beginning to its end; it is given up where this is cancelled."""
    while True:
        try:
            async with aclosing(submit(engine, request, stop=stop, turn=turn, halfway=halfway)) as events:
                async for event in events:
                    if not isinstance(event, Step):
                        return event
                    hear(event)
        except EngineFull:
            reason = await asyncio.to_thread(stop)
            if reason is not None:
                return Stopped(request_id=request.id, reason=reason, step=0)
            await asyncio.sleep(_FULL_WAIT_S)


async def _halfway(opened: Resources, order: Order, number: int) -> bytes | None:
    """Where an earlier attempt left a picture, if there was one and it came so far."""
    if order.started_at is None:
        return None
    try:
        return await asyncio.to_thread(opened.storage.get, pending.halfway_key(order.id, number))
    except ObjectMissing:
        return None


async def _store(opened: Resources, order: Order, spec: BaseSpec, number: int, picture: Picture) -> None:
    def store() -> None:
        png = picture.png
        if order.tier == delivery.DRAFT:
            png = draw_draft_mark(png, size=delivery.delivered_size(spec, order.tier, order.size))
        opened.storage.put(pending.drawn_key(order.id, number), png)

    await asyncio.to_thread(store)
    if number == 1:
        reach("first_picture_stored", opened.settings.crash_at)


async def _looks(opened: Resources, order: Order, version: Version) -> bytes | None:
    """What the version's works look like; None where it was trained before anybody looked for copies."""
    if version.looks_key is None:
        return None
    return await read_file(opened, Use(purpose="checking", by=this_process(), job=order.id), version.looks_key)


async def _requests(opened: Resources, order: Order, spec: BaseSpec, adapter: AdapterRef) -> list[ImageRequest]:
    wanted = order.request
    enlarge = delivery.is_enlarged(spec, order.tier)
    # What is not enlarged is drawn at the size that the enlarger would have been given.
    width, height = (edge if enlarge else edge // enlargement(spec) for edge in order.size)
    image = await read_start(opened, order)
    if image is not None:
        adapter = await asyncio.to_thread(compared_with, adapter, image)
    else:
        image = await read_image(opened, wanted["image"], client_id=order.client_id)
    mask = await read_image(opened, wanted["mask"], client_id=order.client_id)
    return [
        ImageRequest(
            id=f"{order.id}/{number}",
            base=spec.id,
            prompt=wanted["prompt"],
            seed=wanted["seed"] + number,
            adapters=(adapter,),
            width=width,
            height=height,
            enlarge=enlarge,
            steps=wanted["steps"],
            guidance=wanted["guidance"],
            image=image,
            strength=wanted["strength"],
            mask=mask,
            watched_as=order.id,
        )
        for number in range(order.count)
    ]
