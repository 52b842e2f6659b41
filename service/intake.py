"""From a request for pictures to an accepted order: checks, hold and row in one commit, then the story starts."""

import asyncio
import hashlib
import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from inference.catalog import BaseSpec, base_spec, enlargement
from inference.errors import ImageRefused, InvalidRequest
from inference.messages import MAX_SEED, AdapterRef, ImageRequest, Plan, plan
from licensing import gateway
from licensing.database import Connection
from licensing.errors import Refusal
from licensing.orders import Quote, Replay, Reserve
from licensing.terms import current_terms
from service.auth import Identity
from service.catalogue import check_not_destroyed
from service.delivery import full_size
from service.errors import Problem, not_found, refused
from service.faults import reach
from service.forecasts import read_eta_s
from service.generation import start_generation
from service.images import find_image, keep_image, read_data_url
from service.orders import ENDS, Order, add_order, append_queued, find_order
from service.prefetch import tell_wanted
from service.resources import Gateway
from service.styles import Style, find_style, refused_word
from service.turns import InLine, Line, lock_line, move_back, read_line
from service.versions import Version, sold_version
from service.webhooks import find_endpoint

COUNT_MAX = 8
PROMPT_CHARACTERS_MAX = 500
KEY_CHARACTERS_MAX = 255
WAIT_SECONDS_MAX = 60
_LOOK_S, _LOOK_MAX_S, _LOOK_GROWTH = 0.05, 0.5, 1.1
_SEEDS = 2**31


class OrderBody(BaseModel):
    """What a client asks for. What is left out has the style's or its base's default.

    `size` is a paid picture's, in pixels; a draft of it is smaller, as the style's tiers say.
    """

    model_config = ConfigDict(extra="forbid")

    style: str
    prompt: str
    count: int = 1
    seed: int | None = None
    size: tuple[int, int] | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    image: str | None = None
    mask: str | None = None
    tier: Literal["draft", "personal", "commercial", "exclusive"] = "personal"
    version: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A checked request. `request` is what the order stores: prompt, seed, size, steps, guidance, strength, pictures.

    `image` and `mask` are ids of the client's own pictures. A picture takes `steps` steps; all of them cost `work`, in
    row-steps.
    """

    style: Style
    version: Version
    tier: str
    count: int
    request: dict[str, Any]
    steps: int
    work: int
    webhook_id: str | None

    def in_line(self, order_id: str, *, client_id: str) -> InLine:
        """The request as an order that has no turn yet."""
        return InLine(
            id=order_id,
            client_id=client_id,
            creator_id=self.style.creator_id,
            base=self.version.base,
            state="queued",
            turn=None,
            work=self.work,
            count=self.count,
            step=0,
            steps=self.steps,
        )


async def check(web: Gateway, asker: Identity, body: OrderBody) -> Wanted:
    """Everything about a request that needs no money. Raises Problem with the value and the way out."""
    prompt = _checked_prompt(body.prompt)
    if not 1 <= body.count <= COUNT_MAX:
        raise Problem("invalid_request", f"{body.count} pictures were asked for; order 1 to {COUNT_MAX} at once.")
    async with web.pool.acquire() as conn:
        style, version = await _style_and_version(conn, body)
        terms = await current_terms(conn, style.id)
        webhook_id = await _own_webhook(conn, asker, body.webhook)
    if terms is not None and terms.permissions.approval:
        raise Problem(
            "conflict",
            f"The creator of {style.name} wants to see every picture before it is delivered, and this server has no way"
            " to show them; choose another style.",
        )
    word = refused_word(style, prompt)
    if word is not None:
        raise Problem(
            "prompt_refused",
            f"The creator of {style.name} does not have {word!r} drawn; leave it out. Nothing was charged.",
            extra={"rule": word, "whose": "creator"},
        )
    spec = base_spec(version.base, folder=web.settings.configs / "bases")
    seed = secrets.randbelow(_SEEDS) if body.seed is None else body.seed
    image = await _own_image(web, asker, body.image, "image")
    mask = await _own_image(web, asker, body.mask, "mask")
    planned = _planned(spec, body, prompt=prompt, seed=seed, has_image=image is not None, has_mask=mask is not None)
    request = {
        "prompt": prompt,
        "seed": seed,
        "size": list(full_size(spec, body.size)),
        "steps": body.steps,
        "guidance": body.guidance,
        "strength": body.strength,
        "image": image,
        "mask": mask,
    }
    return Wanted(
        style=style,
        version=version,
        tier=body.tier,
        count=body.count,
        request=request,
        steps=planned.num_steps,
        work=_work(planned, spec, count=body.count),
        webhook_id=webhook_id,
    )


async def price(web: Gateway, asker: Identity, wanted: Wanted) -> tuple[Quote, float]:
    """What a checked request would cost now, and in how many seconds it would be done. Raises Problem."""
    async with web.pool.acquire() as conn:
        answer = await gateway.quote(
            conn,
            style_id=wanted.style.id,
            client_id=asker.account_id,
            tier=wanted.tier,
            count=wanted.count,
            now=web.clock(),
        )
        if isinstance(answer, Refusal):
            raise refused(answer)
        if not asker.is_test:
            tell_wanted(web, wanted.version.id)
        line, order, _ = (await read_line(conn)).joined_by(wanted.in_line("quote", client_id=asker.account_id))
        return answer, await read_eta_s(conn, web, line, order)


async def usual_eta_s(
    conn: Connection, web: Gateway, *, client_id: str, creator_id: str, base: str, count: int
) -> float:
    """Seconds until so many usual pictures by a creator would be done if they were ordered now."""
    spec = base_spec(base, folder=web.settings.configs / "bases")
    body = OrderBody(style="any", prompt="any", count=count)
    planned = _planned(spec, body, prompt=body.prompt, seed=0, has_image=False, has_mask=False)
    usual = InLine(
        id="usual",
        client_id=client_id,
        creator_id=creator_id,
        base=base,
        state="queued",
        turn=None,
        work=_work(planned, spec, count=count),
        count=count,
        step=0,
        steps=planned.num_steps,
    )
    line, order, _ = (await read_line(conn)).joined_by(usual)
    return await read_eta_s(conn, web, line, order)


async def find_replay(web: Gateway, asker: Identity, *, idempotency_key: str, request_hash: str) -> Order | None:
    """The order of the very same request under the same key, whatever became of its style since."""
    async with web.pool.acquire() as conn:
        order_id = await conn.fetchval(
            "SELECT order_id FROM licensing.idempotency"
            " WHERE client_id = $1 AND test = $2 AND key = $3 AND request_hash = $4",
            *(asker.account_id, asker.is_test, idempotency_key, request_hash),
        )
        return await find_order(conn, order_id) if order_id else None


async def place(
    web: Gateway, asker: Identity, wanted: Wanted, *, idempotency_key: str, request_hash: str
) -> tuple[Order, bool]:
    """Hold the money and accept the order, in one commit, then start its story.

    Returns the order and whether it is the replay of an earlier request under the same key. Raises Problem; nothing is
    held then.
    """
    now, order_id = web.clock(), web.new_id("gen")
    reserve = _reserve(
        web, asker, wanted, order_id=order_id, idempotency_key=idempotency_key, request_hash=request_hash
    )
    async with web.pool.acquire() as conn:
        async with conn.transaction():
            answer = await gateway.reserve(conn, reserve, now=now)
            if isinstance(answer, Refusal):
                raise refused(answer)
            if not isinstance(answer, Replay):
                order = await (_accept_test if asker.is_test else _accept)(conn, web, wanted, answer)
        if isinstance(answer, Replay):
            found = await find_order(conn, answer.hold.order_id)
            assert found is not None, "hold and order are made in one commit"
            return found, True
    if not asker.is_test:
        tell_wanted(web, wanted.version.id)
    reach("reserved", web.settings.crash_at)
    await start_generation(order_id, order.turn)
    reach("enqueued", web.settings.crash_at)
    return order, False


async def wait_for_end(web: Gateway, order: Order, *, seconds: float) -> Order:
    """The order when it has ended, or as it is after `seconds`."""
    deadline, look_s = asyncio.get_running_loop().time() + min(seconds, WAIT_SECONDS_MAX), _LOOK_S
    while order.state not in ENDS and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(look_s)
        look_s = min(_LOOK_MAX_S, look_s * _LOOK_GROWTH)
        async with web.pool.acquire() as conn:
            found = await find_order(conn, order.id)
        assert found is not None
        order = found
    return order


def hash_of(body: OrderBody) -> str:
    """Equal exactly where two requests ask for the same."""
    text = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _checked_prompt(text: str) -> str:
    prompt = text.strip()
    if not prompt:
        raise Problem(
            "invalid_request", "The prompt is empty; say what the picture should show, for example: a red apple."
        )
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        raise Problem(
            "invalid_request",
            f"The prompt has {len(prompt)} characters, at most {PROMPT_CHARACTERS_MAX} are read; shorten it.",
        )
    return prompt


async def _style_and_version(conn: Connection, body: OrderBody) -> tuple[Style, Version]:
    creator_id = await conn.fetchval("SELECT creator_id FROM service.styles WHERE id = $1", body.style)
    style = await find_style(conn, body.style, creator_id=creator_id) if creator_id else None
    version = await sold_version(conn, style_id=body.style, version_id=body.version)
    if style is not None and version is not None:
        return style, version
    if style is not None:
        await check_not_destroyed(conn, style.id)
        if body.version is not None and style.published_version_id is not None:
            raise not_found("version", body.version)
    raise not_found("style", body.style)


async def _own_image(web: Gateway, asker: Identity, text: str | None, name: str) -> str | None:
    """The id of the client's picture that `text` names or, as a data URL, is."""
    if text is None:
        return None
    content = read_data_url(text, f"The {name}")
    if content is not None:
        kept = await keep_image(web, client_id=asker.account_id, content=content, name=f"The {name}")
        return kept.id
    async with web.pool.acquire() as conn:
        found = await find_image(conn, text, client_id=asker.account_id)
    if found is None:
        raise not_found(name, text[:80])
    return found.id


async def _own_webhook(conn: Connection, asker: Identity, name: str | None) -> str | None:
    """The id of the client's endpoint that `name`, an id or a URL, names. Raises Problem."""
    if name is None:
        return None
    found = await find_endpoint(conn, name, client_id=asker.account_id)
    if found is None:
        raise Problem(
            "invalid_request",
            f"{name[:80]!r} is none of your webhooks; register it with POST /v1/webhooks first, then name it here by"
            " its id or its exact URL.",
        )
    if found.disabled_at is not None:
        raise Problem(
            "invalid_request",
            f"The webhook {found.id} is disabled. {found.disabled_why} Have POST /v1/webhooks/{found.id}/ping arrive"
            " there, or leave `webhook` out.",
        )
    return found.id


def _planned(spec: BaseSpec, body: OrderBody, *, prompt: str, seed: int, has_image: bool, has_mask: bool) -> Plan:
    """One of the pictures, as an engine would draw it. Raises Problem."""
    if not 0 <= seed <= MAX_SEED - COUNT_MAX:
        raise Problem("invalid_request", f"Seed {seed} is out of range; choose 0 to {MAX_SEED - COUNT_MAX}.")
    if not all(math.isfinite(number) for number in (body.guidance or 0.0, body.strength or 0.0)):
        raise Problem("invalid_request", "Guidance and strength must be finite numbers.")
    # A draft is the full picture made small: its order names the full size, too.
    width, height = full_size(spec, body.size)
    request = ImageRequest(
        id="check",
        base=spec.id,
        prompt=prompt,
        seed=seed,
        # Which file it will be changes nothing that is asked here.
        adapters=(AdapterRef(path=Path(), sha256=""),),
        width=width,
        height=height,
        enlarge=enlargement(spec) > 1,
        steps=body.steps,
        guidance=body.guidance,
        strength=body.strength,
        image=b"" if has_image else None,
        mask=b"" if has_mask else None,
    )
    try:
        return plan(request, spec)
    except ImageRefused as error:
        raise Problem("image_refused", _sentence(error)) from error
    except InvalidRequest as error:
        raise Problem("invalid_request", _sentence(error)) from error


def _work(planned: Plan, spec: BaseSpec, *, count: int) -> int:
    return max(math.ceil(planned.row_steps(spec) * count), 1)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."


async def _accept(conn: Connection, web: Gateway, wanted: Wanted, hold: gateway.Hold) -> Order:
    """Give the order its turn and store it. Raises Problem where too many wait; the caller's transaction then holds
    nothing."""
    line, joined, moved = (await lock_line(conn, hold.client_id)).joined_by(
        wanted.in_line(hold.order_id, client_id=hold.client_id)
    )
    eta_s = await read_eta_s(conn, web, line, joined)
    _check_room(line, joined, most=web.settings.max_open_orders, eta_s=eta_s)
    order = _new_order(wanted, hold, turn=joined.turn, eta_s=eta_s)
    await add_order(conn, order)
    await move_back(conn, moved)
    await append_queued(conn, order.id, position=line.position(joined), eta_s=eta_s, now=order.created_at)
    return order


async def _accept_test(conn: Connection, web: Gateway, wanted: Wanted, hold: gateway.Hold) -> Order:
    """Store an order of a test key, which waits for no worker."""
    order = _new_order(wanted, hold, turn=None, eta_s=0.0)
    await add_order(conn, order)
    await append_queued(conn, order.id, position=1, eta_s=0.0, now=order.created_at)
    return order


def _check_room(line: Line, order: InLine, *, most: int, eta_s: float) -> None:
    """Raise Problem where the queue is full without this order, unless its client has less than its share of it."""
    by_client = line.open_by_client
    others, own = by_client.total() - 1, by_client[order.client_id]
    if others >= most and own * len(by_client) > most:
        raise Problem(
            "overloaded",
            f"The queue is full: {others} orders are waiting, {own - 1} of them yours, and this place takes {most}."
            f" Nothing was charged; order again in about {math.ceil(eta_s / 2)} s.",
            retry_after_s=max(1.0, eta_s / 2),
        )


def _reserve(
    web: Gateway, asker: Identity, wanted: Wanted, *, order_id: str, idempotency_key: str, request_hash: str
) -> Reserve:
    return Reserve(
        order_id=order_id,
        client_id=asker.account_id,
        key_id=asker.key_id,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        style_id=wanted.style.id,
        creator_id=wanted.style.creator_id,
        tier=wanted.tier,
        count=wanted.count,
        hold_s=web.settings.hold_s,
        test=asker.is_test,
    )


def _new_order(wanted: Wanted, hold: gateway.Hold, *, turn: int | None, eta_s: float) -> Order:
    return Order(
        id=hold.order_id,
        client_id=hold.client_id,
        key_id=hold.key_id,
        style_id=hold.style_id,
        creator_id=hold.creator_id,
        version_id=wanted.version.id,
        state="queued",
        message=None,
        tier=hold.tier,
        count=hold.count,
        amount=hold.amount.amount,
        currency=hold.amount.currency,
        test=hold.test,
        request=wanted.request,
        work=wanted.work,
        turn=turn,
        step=0,
        steps=None if hold.test else wanted.steps,
        eta_s=eta_s,
        created_at=hold.created_at,
        started_at=None,
        ended_at=None,
        refused=[],
        webhook_id=wanted.webhook_id,
    )
