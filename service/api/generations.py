"""`/v1/generations`: order pictures, watch them being made, cancel."""

import re
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from service import events, intake
from service.api.shapes import ASKED_ONCE, Cursor, Limit, bytes_of, page
from service.api.shortcut import Shortcut
from service.auth import Client, ClientReading, Identity, Web, is_let_in
from service.errors import Problem, not_found
from service.forecasts import with_fresh_eta
from service.generation import void_order
from service.orders import ENDS, Order, find_order, list_orders
from service.outputs import Output, outputs_of
from service.resources import Gateway
from service.retention import words_kept_until

router = APIRouter(tags=["generations"])

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", description=ASKED_ONCE)]
Prefer = Annotated[str | None, Header(description="`wait=30` answers when the pictures are there, or after 30 s")]
_WAIT = re.compile(r"(?:^|[,;\s])wait(?:\s*=\s*\"?(\d{1,6})\"?)?(?=$|[,;\s])")


async def post_generation(
    web: Web,
    asker: Client,
    body: intake.OrderBody,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> dict[str, Any]:
    """Order pictures. The amount is held now and charged only for what is delivered.

    The same `Idempotency-Key` with the same body returns the same generation, so a lost answer can be asked for again.
    """
    key = _checked_key(idempotency_key)
    order, is_replay = await _order(web, asker, body, key)
    seconds = _wait_seconds(prefer)
    if seconds:
        order = await intake.wait_for_end(web, asker, order, seconds=seconds)
        response.headers["Preference-Applied"] = f"wait={min(seconds, intake.WAIT_SECONDS_MAX)}"
    response.headers["Location"] = f"/v1/generations/{order.id}"
    if is_replay:
        response.headers["Idempotent-Replayed"] = "true"
    # One that was placed a moment ago has no pictures to ask for.
    return await _read_document(web, order) if is_replay or seconds else generation_document(web, order, [])


router.add_api_route("/generations", post_generation, methods=["POST"], status_code=201, route_class_override=Shortcut)


async def _order(web: Gateway, asker: Identity, body: intake.OrderBody, key: str) -> tuple[Order, bool]:
    """The order of a request, and whether it was placed before. Raises Problem."""
    request_hash = intake.hash_of(body)
    try:
        wanted = await intake.check(web, asker, body)
        return await intake.place(web, asker, wanted, idempotency_key=key, request_hash=request_hash)
    except Problem:
        # What was asked before is answered as it was then, whatever became of its style and of the queue since.
        placed = await intake.find_replay(web, asker, idempotency_key=key, request_hash=request_hash)
        if placed is None:
            raise
        return placed, True


@router.get("/generations")
async def get_generations(web: Web, asker: ClientReading, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """This client's generations, newest first."""
    async with web.pool.acquire() as conn:
        found = await list_orders(conn, client_id=asker.account_id, limit=limit + 1, before=cursor)
        outputs = await outputs_of(conn, [order.id for order in found])
    return page(found, limit, lambda order: generation_document(web, order, outputs.get(order.id, [])))


@router.get("/generations/{generation_id}")
async def get_generation(web: Web, asker: ClientReading, generation_id: str) -> dict[str, Any]:
    """One generation as it is now."""
    order = await _own(web, generation_id, asker.account_id)
    return await _read_document(web, await with_fresh_eta(web, order))


@router.post("/generations/{generation_id}/cancel")
async def cancel_generation(web: Web, asker: Client, generation_id: str) -> dict[str, Any]:
    """Stop queued or running work; nothing is charged. A generation that had ended stays as it ended."""
    order = await _own(web, generation_id, asker.account_id)
    if order.is_open:
        # The hold ends here and now, so nothing can be charged any more; the worker stops at its next look.
        await void_order(web, order.id, reason="canceled")
    return await _read_document(web, await _own(web, generation_id, asker.account_id))


@router.get("/generations/{generation_id}/events", response_class=Response, responses=bytes_of("text/event-stream"))
async def get_events(web: Web, asker: ClientReading, generation_id: str, request: Request) -> StreamingResponse:
    """`queued`, `started`, `progress`, `output`, then the end state, as Server-Sent Events; `Last-Event-ID` resumes."""
    order = await _own(web, generation_id, asker.account_id)
    data = {"amount": order.amount} if order.state == "settled" else {"message": order.message}
    end = None if order.is_open else events.End(kind=order.state, data=data)
    may_read = partial(is_let_in, web, asker)
    return events.stream(request, web.pool, subject=order.id, ends=ENDS, end=end, may_read=may_read)


def generation_document(web: Gateway, order: Order, outputs: list[Output]) -> dict[str, Any]:
    """A generation as its client sees it. `amount` is held while it is made, then what was charged; `refused` are
    the pictures that a check objected to, each by its number with a `kind` and a sentence, and not charged. `approval`
    is there where the creator looks at the pictures first; its `until` once they wait for that. `by` is the account of
    the person who ordered it in a browser, null for a program. `prompt`, `image`, `mask` and `start` are null from
    `prompt_kept_until` on, which is known when it has ended."""
    return {
        "id": order.id,
        "state": order.state,
        "message": order.message,
        "refused": order.refused,
        "style": order.style_id,
        "version": order.version_id,
        "prompt": order.prompt,
        "prompt_kept_until": words_kept_until(web, order.ended_at) if order.ended_at else None,
        "seed": order.request["seed"],
        "count": order.count,
        "size": order.request["size"],
        "steps": order.request["steps"],
        "guidance": order.request["guidance"],
        "strength": order.request["strength"],
        "image": order.request["image"],
        "mask": order.request["mask"],
        "start": order.request.get("start"),
        "tier": order.tier,
        "test": order.test,
        "ownership_terms": order.ownership_terms,
        "by": order.ordered_by,
        "amount": {"amount": order.amount, "currency": order.currency},
        "approval": {"until": order.approval_until} if order.needs_approval else None,
        "eta_s": order.eta_s,
        "progress": {"step": order.step, "steps": order.steps},
        "outputs": [{"id": output.id, "width": output.width, "height": output.height} for output in outputs],
        "created_at": order.created_at,
        "started_at": order.started_at,
        "ended_at": order.ended_at,
    }


async def _own(web: Gateway, generation_id: str, client_id: str) -> Order:
    async with web.pool.acquire() as conn:
        order = await find_order(conn, generation_id, client_id=client_id)
    if order is None:
        raise not_found("generation", generation_id)
    return order


async def _read_document(web: Gateway, order: Order) -> dict[str, Any]:
    async with web.pool.acquire() as conn:
        outputs = await outputs_of(conn, [order.id])
    return generation_document(web, order, outputs.get(order.id, []))


def _checked_key(key: str | None) -> str:
    if key is None or not key.strip():
        raise Problem(
            "invalid_request",
            "The header Idempotency-Key is missing; send a text of your own that is new for each order, such as a UUID,"
            " so that a repeated request is never charged twice.",
        )
    if len(key) > intake.KEY_CHARACTERS_MAX or not key.isprintable():
        raise Problem(
            "invalid_request",
            f"The Idempotency-Key has {len(key)} characters or odd ones; use at most {intake.KEY_CHARACTERS_MAX}"
            " printable characters.",
        )
    return key


def _wait_seconds(prefer: str | None) -> int:
    """The seconds of `Prefer: wait=N` (RFC 7240); `wait` alone asks for as long as may be; 0 for no such wish."""
    found = _WAIT.search(prefer or "")
    if found is None:
        return 0
    return int(found[1]) if found[1] else intake.WAIT_SECONDS_MAX
