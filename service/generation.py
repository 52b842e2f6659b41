"""The story of one generation, top to bottom. It runs in the web role, beside the keys.

    hold (at the order's acceptance, `service.intake`)
    -> begin        the attempt gets its fence
    -> render       a worker draws; pictures lie under pending/, nobody's yet
    -> seal         certificate and C2PA, signed only against the open hold
    -> wait         only where the creator looks first: the story ends, and another begins with the creator's yes
    -> settle       ONE commit: charged, registered, state settled, outputs visible
    -> deliver      the pictures move to where they stay
    any other end   ONE commit: the amount is back, the state says why; then the pictures are deleted

Seal before settle: never charge for what cannot be delivered. Settle before deliver: never deliver what was not paid.
Every step may run twice: a kill between a step and the note that it was done makes it so.
"""

import asyncio
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from licensing import gateway as licences
from licensing.database import Connection, to_answer
from licensing.errors import Refusal, SealRefused
from licensing.fingerprint import NEAR
from licensing.gateway import keep_until, may_sign, requeue, standing, void
from licensing.orders import EndReason, Made, Settle, Settled, Voided
from licensing.terms import EXCLUSIVE
from service import delivery, pending
from service.approvals import add_approval, read_kept
from service.bases import base_here
from service.errors import ObjectMissing
from service.events import append_all
from service.faults import reach
from service.forecasts import read_eta_s
from service.marks import draw_draft_mark, draw_test_picture
from service.orders import (
    START_GONE,
    UNPAID_SENTENCES,
    RefusedPicture,
    find_order,
    mark_queued,
    mark_sealing,
    mark_started,
    mark_unpaid,
    mark_waiting,
    queued,
)
from service.outbox import wake_senders
from service.outputs import move_output, outputs_of
from service.rendering import Drawn, render
from service.resources import Gateway
from service.sealing import Sealed, seal_picture, sealer
from service.starting_points import find_start
from service.telling.of_orders import tell_looked_at
from service.telling.of_styles import tell_waiting
from service.turns import give_turns, priority_of, read_line
from service.workflows import GENERATION, RENDER, ask, durable_step, gateway, start, story

_PAUSE_LOOK_S = 1.0
_ATTEMPTS_MAX = 20
_AGAIN_S = 0.5
_TAKEN = "a picture that looks the same was sold to somebody else alone; change the words or the seed"
_NOT_ALONE = (
    "somebody else has licensed a picture that looks the same, so this one cannot be yours alone; change the words or"
    " the seed"
)


async def start_generation(order_id: str, turn: int | None) -> None:
    """Put the story of an accepted order on its queue. Doing it twice is harmless."""
    await start(GENERATION, order_id, tell_generation, order_id, priority=priority_of(turn))


@story("generation")
async def tell_generation(order_id: str) -> str:
    """From an accepted order to pictures that are the client's, or to an end without a charge. Returns that end."""
    while True:
        attempt = await begin_attempt(order_id)
        fence = attempt.get("fence")
        if fence is None:
            return await close(order_id, fence, attempt)
        if fence > _ATTEMPTS_MAX:
            return await close(order_id, fence, {"end": "failed"})
        # A story that is older than turns goes before all that have one.
        drawn = await (draw_test(order_id) if attempt["test"] else _render(order_id, fence, attempt.get("turn", 0)))
        if drawn["end"] == "again":
            if not await put_back(order_id, fence):
                return "superseded"
            continue
        if drawn["end"] != "made":
            return await close(order_id, fence, drawn)
        _reach("pictures_made")
        sealed = await seal_pictures(order_id, fence, drawn["pictures"])
        if sealed["end"] == "again":
            if not await put_back(order_id, fence):
                return "superseded"
            continue
        if sealed["end"] != "sealed":
            return await close(order_id, fence, sealed)
        _reach("pictures_sealed")
        go_on = wait_for_creator if sealed.get("needs_approval") else settle_order
        end = await go_on(order_id, fence, sealed["pictures"], drawn.get("message"), drawn.get("refused", []))
        return await close(order_id, fence, end)


async def start_approved(order_id: str) -> None:
    """Put the story of an order that its creator approved on its queue. Doing it twice is harmless."""
    await start(GENERATION, approved_story(order_id), tell_approved, order_id)


def approved_story(order_id: str) -> str:
    """The id of that story."""
    return f"{order_id}.approved"


@story("approved")
async def tell_approved(order_id: str) -> str:
    """From a creator's yes to pictures that are the client's, or to an end without a charge. Returns that end."""
    kept = await take_kept(order_id)
    end = await settle_order(order_id, kept["fence"], kept["pictures"], kept["message"], kept["refused"])
    state = await close(order_id, kept["fence"], end)
    await tell_client(order_id)
    return state


@durable_step()
async def tell_client(order_id: str) -> None:
    """Tell whoever ordered what became of pictures that their creator said yes to."""
    web = gateway()
    async with web.pool.acquire() as conn:
        await tell_looked_at(conn, order_id, now=web.clock())


async def close(order_id: str, fence: int | None, end: Drawn) -> str:
    """Deliver what was settled, or end the order without a charge; `superseded` leaves it to the newer attempt, and
    `awaiting_approval` to its creator.

    `fence` is of the attempt that came to this end, None where none had begun.
    """
    state = end["end"]
    if state not in ("settled", "superseded", "awaiting_approval"):
        state = await end_unpaid(order_id, fence, state, end.get("message"), end.get("refused", []))
    if state == "settled":
        _reach("settled")
        await deliver(order_id)
        _reach("delivered")
    return str(state)


async def _render(order_id: str, fence: int, turn: int | None) -> Drawn:
    _reach("begun")
    return await ask(
        RENDER,
        f"{order_id}.{fence}.render",
        render,
        order_id,
        fence,
        priority=priority_of(turn),
        when_asked=functools.partial(_reach, "render_asked"),
    )


@durable_step()
async def begin_attempt(order_id: str) -> dict[str, Any]:
    """`fence` and `turn` of a new attempt and if it is a `test`, or how the order came to its `end`. Waits out a pause.

    What is paused has no turn, and gets another behind all that its client has in the line then.
    """
    while True:
        found: dict[str, Any] | Refusal = await gateway().together(begin_all, order_id)
        if isinstance(found, dict):
            return found
        if found.slug != "style_paused":
            return _end_of(found)
        await asyncio.sleep(_PAUSE_LOOK_S)


async def begin_all(web: Gateway, order_ids: Sequence[str]) -> list[dict[str, Any] | Refusal]:
    """Begin attempts at many orders in one commit: `fence`, `turn` and if it is a `test`, of each."""
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT outcome, slug, detail, hold, turn FROM service.begin_orders($1, $2)", list(order_ids), web.clock()
        )
        answers = [to_answer(row) for row in rows]
        turns = {order_id: row["turn"] for order_id, row in zip(order_ids, rows, strict=True)}
        begun = [answer.hold["order_id"] for answer in answers if answer.refusal is None and not answer.hold["test"]]
        without = [order_id for order_id in begun if turns[order_id] is None]
        if without:
            async with conn.transaction():
                turns |= await give_turns(conn, without)
    return [
        answer.refusal or {"fence": answer.hold["fence"], "test": answer.hold["test"], "turn": turns[order_id]}
        for order_id, answer in zip(order_ids, answers, strict=True)
    ]


@durable_step()
async def put_back(order_id: str, fence: int) -> bool:
    """The attempt gave up for a reason that is nobody's will: queued again, the hold kept.

    False where a later attempt has begun; the order is that one's, and this story is over.
    """
    web = gateway()
    async with web.pool.acquire() as conn, conn.transaction():
        answer = await requeue(conn, order_id=order_id, fence=fence, now=web.clock())
        if not isinstance(answer, Refusal):
            await mark_queued(conn, order_id, now=web.clock())
            await _tell_position(conn, web, order_id)
        elif answer.detail.get("reason") == "fence":
            return False
    await asyncio.sleep(_AGAIN_S)
    return True


async def _tell_position(conn: Connection, web: Gateway, order_id: str) -> None:
    line = await read_line(conn)
    order = line.find(order_id)
    if order is not None and order.waits:
        eta_s = await read_eta_s(conn, web, line, order)
        told = queued(order_id, position=line.position(order), eta_s=eta_s)
        await append_all(conn, [told], now=web.clock())


@durable_step()
async def draw_test(order_id: str) -> Drawn:
    """What a test key gets: marked pictures that no model made."""
    web = gateway()
    async with web.pool.acquire() as conn:
        order = await find_order(conn, order_id)
        assert order is not None
        if not await mark_started(conn, order_id, now=web.clock()):
            return {"end": "canceled"}
        base: str = await conn.fetchval("SELECT base FROM service.styles WHERE id = $1", order.style_id)
    spec = base_here(web.settings, base)
    width, height = order.size
    pictures = []
    for number in range(1, order.count + 1):
        seed = order.request["seed"] + number - 1
        png = draw_test_picture(prompt=order.request["prompt"], seed=seed, width=width, height=height)
        if order.tier == delivery.DRAFT:
            png = draw_draft_mark(png, size=delivery.delivered_size(spec, order.tier, order.size))
        key = pending.drawn_key(order_id, number)
        await asyncio.to_thread(web.storage.put, key, png)
        pictures.append({"number": number, "key": key, "seed": seed, "notes": []})
    return {"end": "made", "pictures": pictures}


@durable_step()
async def seal_pictures(order_id: str, fence: int, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """Sign every picture against the open hold and store it sealed. `end` is `sealed`, `again`, or an end."""
    web = gateway()
    async with web.pool.acquire() as conn:
        order = await find_order(conn, order_id)
        assert order is not None
        if not await mark_sealing(conn, order_id, fence=fence, now=web.clock()):
            return await _why_stopped(conn, order_id)
        if order.request.get("start") and await find_start(conn, order.request["start"]) is None:
            return {"end": "withdrawn", "message": START_GONE}
        signer = await sealer(conn, web, order)
    sealed = []
    for picture in pictures:
        try:
            png = await asyncio.to_thread(web.storage.get, picture["key"])
        except ObjectMissing:
            # Somebody emptied pending/ while the order was open; the seed makes the picture again.
            return {"end": "again"}
        try:
            async with web.pool.acquire() as conn:
                digest = hashlib.sha256(png).hexdigest()
                await may_sign(conn, order_id=order_id, fence=fence, digest=digest, now=web.clock())
        except SealRefused:
            async with web.pool.acquire() as conn:
                return await _why_stopped(conn, order_id)
        done = await seal_picture(web, signer, number=picture["number"], png=png)
        sealed.append(asdict(replace(done, receipt=picture.get("receipt", {}))))
        if len(sealed) == 1:
            _reach("first_picture_sealed")
    return {"end": "sealed", "pictures": sealed, "needs_approval": order.needs_approval}


@durable_step()
async def wait_for_creator(
    order_id: str, fence: int, pictures: list[dict[str, Any]], message: str | None, refused: list[RefusedPicture]
) -> dict[str, Any]:
    """Keep the sealed pictures until their creator has looked at them; or how the order ended instead."""
    web = gateway()
    now = web.clock()
    until = now + timedelta(hours=web.settings.approval_hours)
    async with web.pool.acquire() as conn, conn.transaction():
        hold = await keep_until(conn, order_id=order_id, fence=fence, until=until, now=now)
        if isinstance(hold, Refusal):
            return _end_of(hold)
        order = await find_order(conn, order_id)
        assert order is not None
        if order.approval_until is not None:
            # It waits already, or was decided: this step was done, and its note was lost.
            await keep_until(conn, order_id=order_id, fence=fence, until=order.approval_until, now=now)
            return {"end": "awaiting_approval"}
        await add_approval(
            conn,
            order_id=order_id,
            creator_id=order.creator_id,
            client_id=order.client_id,
            fence=fence,
            kept={"pictures": pictures, "message": message, "refused": refused},
            now=now,
        )
        await mark_waiting(conn, order_id, until=until, now=now)
        await tell_waiting(conn, order.style_id, now=now)
    _reach("waiting")
    return {"end": "awaiting_approval"}


@durable_step()
async def take_kept(order_id: str) -> dict[str, Any]:
    """What was kept of the order for its settle."""
    async with gateway().pool.acquire() as conn:
        return await read_kept(conn, order_id)


@durable_step()
async def settle_order(
    order_id: str, fence: int, pictures: list[dict[str, Any]], message: str | None, refused: list[RefusedPicture]
) -> dict[str, Any]:
    """Charge for the pictures and make them the client's, in one commit; or how the order ended instead.

    What another client has alone is left out and costs nothing; so is what was to be exclusive and others have.
    """
    wish = Delivery(
        order_id=order_id,
        fence=fence,
        sealed=tuple(Sealed(**picture) for picture in pictures),
        message=message,
        refused=tuple(refused),
    )
    answer = await gateway().together(settle_all, wish)
    while isinstance(answer, Refusal) and answer.detail.get("reason") == "exclusive":
        wish = wish.without(answer)
        if not wish.sealed:
            return {"end": "failed", "message": wish.message, "refused": list(wish.refused)}
        answer = await gateway().together(settle_all, wish)
    return _end_of(answer) if isinstance(answer, Refusal) else {"end": "settled"}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The sealed pictures of an attempt, to be paid. `message` and `refused` are about those that were left out."""

    order_id: str
    fence: int
    sealed: tuple[Sealed, ...]
    message: str | None
    refused: tuple[RefusedPicture, ...]

    @property
    def sale(self) -> Settle:
        """As the gateway takes it."""
        made = (
            Made(output_id=one.output_id, sha256=one.sha256, phash=one.phash, certificate=one.certificate)
            for one in self.sealed
        )
        return Settle(order_id=self.order_id, fence=self.fence, made=tuple(made))

    @property
    def document(self) -> dict[str, Any]:
        """As `service.settle_orders` takes it, in JSON."""
        pictures = [
            {
                "id": one.output_id,
                "number": one.number,
                "storage_key": one.key,
                "mime": one.mime,
                "width": one.width,
                "height": one.height,
                "num_bytes": one.num_bytes,
                "sha256": one.sha256,
                "receipt": one.receipt,
            }
            for one in self.sealed
        ]
        mine = {"message": self.message, "refused": self.refused, "pictures": pictures}
        return licences.sale_document(self.sale) | mine

    def without(self, answer: Refusal) -> "Delivery":
        """The same without the pictures that somebody else has, which are noted as refused."""
        said = _TAKEN if answer.detail["tier"] != EXCLUSIVE else _NOT_ALONE
        taken = [one for one in self.sealed if one.output_id in answer.detail["outputs"]]
        count = f"{len(taken)} of {len(self.sealed)} pictures left out and not charged: {said}."
        if len(taken) == len(self.sealed):
            count = f"{said[:1].upper()}{said[1:]}. Nothing was charged."
        return replace(
            self,
            sealed=tuple(one for one in self.sealed if one not in taken),
            message=f"{self.message} {count}" if self.message else count,
            refused=(
                *self.refused,
                *(RefusedPicture(number=one.number, kind="exclusive", message=said) for one in taken),
            ),
        )


async def settle_all(web: Gateway, wishes: Sequence[Delivery]) -> list[Settled | Refusal]:
    """Charge for many orders and make their pictures their clients', in one commit."""
    async with web.pool.acquire() as conn:
        return await settle_in(conn, wishes, now=web.clock())


async def settle_in(conn: Connection, wishes: Sequence[Delivery], *, now: datetime) -> list[Settled | Refusal]:
    """The same in the caller's transaction, in which it goes first; without one, in one of its own, by one call."""
    rows = await conn.fetch(
        "SELECT outcome, slug, detail, hold, num_told FROM service.settle_orders($1, $2, $3)",
        *(json.dumps([wish.document for wish in wishes]), NEAR, now),
    )
    wake_senders(rows[0]["num_told"])
    return licences.settle_answers([to_answer(row) for row in rows])


@durable_step()
async def deliver(order_id: str) -> None:
    """Move what was paid to where it stays, and forget the rest."""
    web = gateway()
    async with web.pool.acquire() as conn:
        outputs = (await outputs_of(conn, [order_id]))[order_id]
    for output in outputs:
        target = pending.final_key(output.id)
        if output.storage_key == target:
            continue
        # Copied, then named, then deleted: at every moment the row names a place where the picture lies.
        await asyncio.to_thread(web.storage.copy, output.storage_key, target)
        async with web.pool.acquire() as conn:
            await move_output(conn, output.id, storage_key=target)
        _reach("first_picture_moved")
    await pending.drop(web.storage, order_id)


@durable_step()
async def end_unpaid(
    order_id: str, fence: int | None, reason: EndReason, message: str | None, refused: list[RefusedPicture]
) -> str:
    """Give the amount back and say why, in one commit; then delete the pictures. Returns the state it ended in.

    An attempt that was followed by another ends nothing: `superseded`.
    """
    web = gateway()
    state = await void_order(web, order_id, reason=reason, message=message, fence=fence, refused=refused)
    if state not in ("settled", "superseded"):
        _reach("voided")
        await pending.drop(web.storage, order_id)
    return state


async def void_order(
    web: Gateway,
    order_id: str,
    *,
    reason: EndReason,
    message: str | None = None,
    fence: int | None = None,
    refused: Sequence[RefusedPicture] = (),
) -> str:
    """Hold and row end together, without a charge; an order that had ended keeps its end. Returns that end's state.

    With a `fence`, only that attempt may end it: `superseded`, and nothing is changed, where a later one has begun.
    """
    now = web.clock()
    async with web.house() as conn, conn.transaction():
        ended = await void(conn, order_id=order_id, reason=reason, now=now, fence=fence)
        if isinstance(ended, Refusal):
            return "superseded"
        if isinstance(ended, Voided):
            await mark_unpaid(conn, order_id, reason=reason, message=message, refused=refused, now=now)
            return reason
        if ended.reason is None:
            return "settled"
        await mark_unpaid(conn, order_id, reason=ended.reason, now=now)
        return ended.reason


async def _why_stopped(conn: Connection, order_id: str) -> dict[str, Any]:
    """The end of an order that may not be sealed, as the gateway knows it: canceled, expired, switched off."""
    reason = (await standing(conn, [order_id]))[order_id].reason
    return {"end": reason if reason == "settled" or reason in UNPAID_SENTENCES else "withdrawn"}


def _end_of(refusal: Refusal) -> dict[str, Any]:
    """What a refusal in the middle of an order means for it."""
    reason = str(refusal.detail.get("reason") or "")
    if refusal.slug in ("style_off", "style_destroyed"):
        return {"end": "withdrawn"}
    if reason == "fence":
        return {"end": "superseded"}
    if refusal.detail.get("state") == "settled":
        return {"end": "settled"}
    if reason in UNPAID_SENTENCES:
        return {"end": reason}
    return {"end": "failed", "message": refusal.message}


def _reach(point: str) -> None:
    reach(point, gateway().settings.crash_at)
