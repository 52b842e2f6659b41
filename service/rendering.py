"""The worker's part of a generation: an order in, unsealed pictures under `pending/`, or the reason why not.

Thin: what draws is handed in (`service.drawing`), so the web process can name this story without the model stack.
"""

import asyncio
import functools
import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inference.adapters.manifest import read_manifest
from inference.catalog import BaseSpec, base_spec, enlargement
from inference.errors import EngineFull, EngineUnavailable, InferenceError
from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Step, Stopped
from licensing import switch
from service import delivery, pending
from service.drawing import Draws, Place, Studio, studio
from service.faults import reach
from service.images import read_image
from service.marks import draw_draft_mark
from service.orders import Order, find_order, mark_started
from service.progress import Progress
from service.queues import look_again
from service.resources import Resources
from service.versions import Version, sold_version
from service.watch import LEASE_LOST
from service.workflows import RENDER, durable_step, resources, story

Drawn = dict[str, Any]
"""JSON: `end` is `made` (with `pictures` and perhaps `message`), `again` (back to the queue, the hold stays), or an end
of `licensing.orders.EndReason` (perhaps with `message`)."""

_AGAIN = {LEASE_LOST, "closing"}
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
    """One attempt. A kill in the middle draws them again; the seed makes the same pictures.

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
            place.forget(version.adapter_sha256)
        return drawn
    except InferenceError as error:
        return {"end": "failed", "message": f"{error}; nothing was charged."}
    finally:
        place.watch.forget(order_id)


async def _attempt(
    opened: Resources, place: Studio, order: Order, version: Version, turn: Turn, places: Sequence[Place]
) -> Drawn:
    spec = base_spec(version.base, folder=opened.settings.configs / "bases")
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
    with TemporaryDirectory(dir=place.folder) as folder:
        adapter = await asyncio.to_thread(_fetch_adapter, opened, version, Path(folder))
        requests = await _requests(opened, order, spec, adapter)
        try:
            return await _draw_all(opened, place, engine, order, spec, requests, turn, places)
        except EngineUnavailable:
            # It broke or is closing: another one opens for the next attempt.
            place.drop(engine)
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
    given_up = threading.Event()
    progress = Progress(count=order.count)

    def stop() -> str | None:
        return LEASE_LOST if given_up.is_set() else place.watch.reason_to_stop(order.id)

    async def one(number: int, request: ImageRequest) -> Picture | Stopped:
        async with places[number - 1]:
            future = await _submit(engine, request, turn, stop, functools.partial(progress.hear, number))
            result = await asyncio.wrap_future(future)
            if isinstance(result, Picture):
                await _store(opened, order, spec, number, result)
            return result

    noting = asyncio.create_task(progress.note_often(opened, order.id))
    try:
        results = await asyncio.gather(
            *(one(number, request) for number, request in enumerate(requests, 1)), return_exceptions=True
        )
    finally:
        given_up.set()
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
    await progress.note(opened, order.id)
    drawn = _outcome(order, results)
    if drawn["end"] == "made":
        reach("pictures_stored", opened.settings.crash_at)
    return drawn


def _outcome(order: Order, results: Sequence[Picture | Stopped | BaseException]) -> Drawn:
    """What the pictures' ends mean for the order: one that was stopped stops it, one that failed is left out."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, InferenceError):
            raise error
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
    if not pictures:
        raise errors[0]
    if errors:
        lost = f"{len(errors)} of {order.count} pictures could not be made and are not charged: {errors[0]}."
        return {"end": "made", "pictures": pictures, "message": lost}
    return {"end": "made", "pictures": pictures}


def _stopped(reason: str) -> Drawn:
    # An order that ended elsewhere keeps the end it has there: the void that follows finds it.
    ends = ("withdrawn", "canceled", "failed", "expired")
    return {"end": "again" if reason in _AGAIN else reason if reason in ends else "failed"}


async def _submit(
    engine: Draws, request: ImageRequest, turn: Turn, stop: Callable[[], str | None], on_step: Callable[[Step], None]
) -> "Future[Picture | Stopped]":
    while True:
        try:
            return engine.submit(request, stop=stop, on_step=on_step, turn=turn)
        except EngineFull:
            reason = await asyncio.to_thread(stop)
            if reason is not None:
                stopped: Future[Picture | Stopped] = Future()
                stopped.set_result(Stopped(request_id=request.id, reason=reason, step=0))
                return stopped
            await asyncio.sleep(_FULL_WAIT_S)


async def _store(opened: Resources, order: Order, spec: BaseSpec, number: int, picture: Picture) -> None:
    def store() -> None:
        png = picture.png
        if order.tier == delivery.DRAFT:
            png = draw_draft_mark(png, size=delivery.delivered_size(spec, order.tier, order.size))
        opened.storage.put(pending.drawn_key(order.id, number), png)

    await asyncio.to_thread(store)
    if number == 1:
        reach("first_picture_stored", opened.settings.crash_at)


def _fetch_adapter(opened: Resources, version: Version, folder: Path) -> AdapterRef:
    """The version's file for the time of one order: nothing of a creator's model stays on the worker's disk."""
    path = folder / "adapter.safetensors"
    content = opened.storage.get(version.adapter_key)
    found = hashlib.sha256(content).hexdigest()
    assert found == version.adapter_sha256, f"{version.adapter_key} is not the file that was trained"
    path.write_bytes(content)
    return AdapterRef(path=path, sha256=found, trigger=read_manifest(path).trigger or None)


async def _requests(opened: Resources, order: Order, spec: BaseSpec, adapter: AdapterRef) -> list[ImageRequest]:
    wanted = order.request
    enlarge = delivery.is_enlarged(spec, order.tier)
    # What is not enlarged is drawn at the size that the enlarger would have been given.
    width, height = (edge if enlarge else edge // enlargement(spec) for edge in order.size)
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
        )
        for number in range(order.count)
    ]
