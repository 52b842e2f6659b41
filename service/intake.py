"""From a request for pictures to an order: everything that is checked before money is held (`service.acceptance`)."""

import asyncio
import hashlib
import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inference.catalog import BaseSpec, enlargement
from inference.errors import ImageRefused, InvalidRequest
from inference.messages import MAX_SEED, AdapterRef, ImageRequest, Plan, plan
from licensing import gateway, keys
from licensing.errors import Refusal
from licensing.orders import Quote, Reserve
from licensing.sentence import say
from service import acceptance
from service.approvals import Prospect, need_approval
from service.auth import Identity, check_terms, is_let_in
from service.bases import base_here, require_for_sale
from service.delivery import full_size
from service.errors import Problem, not_found, refused
from service.forecasts import read_eta_s
from service.images import keep_image, read_data_url, use_image
from service.offering import Offering, offered
from service.orders import ENDS, Order, find_order
from service.prefetch import tell_wanted
from service.requests import Wanted
from service.resources import Gateway
from service.rules import check_order
from service.starting_points import LEAST_SHARE, check_far_enough, find_start
from service.turns import InLine, read_line
from service.webhooks import find_endpoint

COUNT_MAX = 8
PROMPT_CHARACTERS_MAX = 500
KEY_CHARACTERS_MAX = 255
WAIT_SECONDS_MAX = 60
_LOOK_S, _LOOK_MAX_S, _LOOK_GROWTH = 0.05, 0.5, 1.1
SEEDS = 2**31
"""What is drawn without a seed gets one below this."""


class OrderBody(BaseModel):
    """What a client asks for. What is left out has the style's or its base's default.

    `size` is a paid picture's, in pixels; a draft of it is smaller, as the style's tiers say.
    """

    model_config = ConfigDict(extra="forbid")

    style: str = Field(description="The style's id")
    prompt: str = Field(description="What the picture shows, in plain words; the style comes by itself")
    count: int = Field(default=1, description=f"Pictures, 1 to {COUNT_MAX}")
    seed: int | None = Field(default=None, description="The same seed and words give the same picture; else a new one")
    size: tuple[int, int] | None = Field(default=None, description="Width and height in pixels; else the base's own")
    steps: int | None = Field(default=None, description="Steps of drawing; else the base's own number")
    guidance: float | None = Field(default=None, description="How closely the words are followed; else the base's own")
    strength: float | None = Field(default=None, description="How far from `image`, 0 (keeps it) to 1 (forgets it)")
    image: str | None = Field(default=None, description="A picture to start from: an id of `/v1/images`, or a data URL")
    start: str | None = Field(
        default=None,
        description="A work of the style's maker to start from, in place of `image`: an id of"
        f" `/v1/styles/{{id}}/starting-points`. `strength` then draws at least {LEAST_SHARE:.0%} of the steps",
    )
    mask: str | None = Field(
        default=None, description="Likewise; white where `image` is made anew, black where it stays"
    )
    tier: Literal["draft", "personal", "commercial", "exclusive"] = Field(default="personal", description="The licence")
    version: str | None = Field(default=None, description="One that was published; else the one that is now")
    webhook: str | None = Field(default=None, description="The id or URL of a webhook of yours that hears of the end")


@dataclass(frozen=True, kw_only=True)
class Priced:
    """`eta_s` is until the pictures are drawn; with `needs_approval` their creator then looks at them first."""

    quote: Quote
    eta_s: float
    needs_approval: bool


async def check(web: Gateway, asker: Identity, body: OrderBody) -> Wanted:
    """Everything about a request that needs no money. Raises Problem with the value and the way out."""
    prompt = checked_prompt(body.prompt)
    if not 1 <= body.count <= COUNT_MAX:
        raise Problem(
            "invalid_request",
            say("{count} pictures were asked for; order 1 to {most} at once.", count=body.count, most=COUNT_MAX),
        )
    offering = await offered(web, body.style, body.version)
    webhook_id = await _own_webhook(web, asker, body.webhook)
    await check_order(web, asker, offering, prompt)
    spec = base_here(web.settings, offering.base)
    if not asker.is_test:
        require_for_sale(spec)
    seed = secrets.randbelow(SEEDS) if body.seed is None else body.seed
    start = await _offered_start(web, offering, body)
    image = await _own_image(web, asker, body.image, "image")
    mask = await _own_image(web, asker, body.mask, "mask")
    has_image = (start or image) is not None
    planned = _planned(spec, body, prompt=prompt, seed=seed, has_image=has_image, has_mask=mask is not None)
    if start is not None:
        check_far_enough(planned)
    request = {
        "prompt": prompt,
        "seed": seed,
        "size": list(full_size(spec, body.size)),
        "steps": body.steps,
        "guidance": body.guidance,
        "strength": body.strength,
        "image": image,
        "mask": mask,
        "start": start,
    }
    return Wanted(
        offering=offering,
        tier=body.tier,
        count=body.count,
        request=request,
        steps=planned.num_steps,
        work=_work(planned, spec, count=body.count),
        webhook_id=webhook_id,
        ownership_terms=web.ownership.version,
        ordered_by=asker.session.person.id if asker.session else None,
    )


async def price(web: Gateway, asker: Identity, wanted: Wanted) -> Priced:
    """What a checked request would cost now, and when it would be there. Raises Problem."""
    order = wanted.in_line("quote", client_id=asker.account_id)
    key_id = None if asker.is_test else asker.key_id
    priced = await _price(
        web, order, style_id=wanted.offering.style_id, tier=wanted.tier, key_id=key_id, is_test=asker.is_test
    )
    if not asker.is_test:
        tell_wanted(web, wanted.offering.version_id)
    return priced


async def usual_price(
    web: Gateway, *, client_id: str, creator_id: str, style_id: str, base: str, tier: str, count: int
) -> Priced:
    """The same of so many usual pictures, whatever they will show. Raises Problem."""
    spec = base_here(web.settings, base)
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
    return await _price(web, usual, style_id=style_id, tier=tier, key_id=None, is_test=False)


async def _price(web: Gateway, order: InLine, *, style_id: str, tier: str, key_id: str | None, is_test: bool) -> Priced:
    # The line is everybody's.
    async with web.house() as conn:
        answer = await gateway.quote(
            conn, style_id=style_id, client_id=order.client_id, tier=tier, count=order.count, now=web.clock()
        )
        if isinstance(answer, Refusal):
            raise refused(answer)
        if key_id is not None and answer.pay == "prepaid":
            over_cap = await keys.check_cap(conn, key_id=key_id, amount=answer.amount)
            if over_cap is not None:
                raise refused(over_cap)
        line, order, _ = (await read_line(conn)).joined_by(order)
        asked = Prospect(
            creator_id=order.creator_id,
            client_id=order.client_id,
            style_id=style_id,
            terms_version=answer.terms_version,
            tier=tier,
        )
        (looks_first,) = await need_approval(conn, web, [asked])
        return Priced(
            quote=answer,
            eta_s=await read_eta_s(conn, web, line, order),
            needs_approval=looks_first and not is_test,
        )


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
    """Accept a checked request; the order, and whether it is the replay of an earlier request under the same key.

    Raises Problem; nothing is held then.
    """
    check_terms(web, asker)
    reserve = Reserve(
        order_id=web.new_id("gen"),
        client_id=asker.account_id,
        key_id=asker.key_id,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        style_id=wanted.offering.style_id,
        creator_id=wanted.offering.creator_id,
        tier=wanted.tier,
        count=wanted.count,
        hold_s=web.settings.hold_s,
        test=asker.is_test,
        terms_read=wanted.offering.terms_version,
    )
    return await acceptance.place(web, acceptance.Wish(wanted=wanted, reserve=reserve))


async def wait_for_end(web: Gateway, asker: Identity, order: Order, *, seconds: float) -> Order:
    """The order when it has ended or waits for its creator, who is a person; or as it is after `seconds`.

    Raises Problem where the asker is let in no more.
    """
    deadline, look_s = asyncio.get_running_loop().time() + min(seconds, WAIT_SECONDS_MAX), _LOOK_S
    while order.state not in (*ENDS, "awaiting_approval") and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(look_s)
        look_s = min(_LOOK_MAX_S, look_s * _LOOK_GROWTH)
        async with web.pool.acquire() as conn:
            found = await find_order(conn, order.id)
        assert found is not None
        order = found
        if not await is_let_in(web, asker):
            raise Problem(
                "unauthenticated",
                f"The key that placed order {order.id} was revoked or ended while this call waited; the order goes on."
                " Ask for it with another key.",
            )
    return order


def hash_of(body: OrderBody) -> str:
    """Equal exactly where two requests ask for the same."""
    text = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def checked_prompt(text: str) -> str:
    """A prompt without blanks around it. Raises Problem for an empty one, and one that is too long."""
    prompt = text.strip()
    if not prompt:
        raise Problem(
            "invalid_request", say("The prompt is empty; say what the picture should show, for example: a red apple.")
        )
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        raise Problem(
            "invalid_request",
            say(
                "The prompt has {number} characters, at most {most} are read; shorten it.",
                number=len(prompt),
                most=PROMPT_CHARACTERS_MAX,
            ),
        )
    return prompt


async def _offered_start(web: Gateway, offering: Offering, body: OrderBody) -> str | None:
    """The id of the work that the order starts from. Raises Problem where its maker offers no such one."""
    if body.start is None:
        return None
    if body.image is not None:
        raise Problem("invalid_request", say("Both `image` and `start` were given; a picture starts from one of them."))
    if body.mask is not None:
        raise Problem(
            "invalid_request",
            say(
                "A `mask` was given with `start`; all around the marked part would stay the maker's own work, so leave"
                " the mask out, or mark a part of a picture of yours."
            ),
        )
    # It is shown to clients, and its row to nobody but its maker.
    async with web.house() as conn:
        found = await find_start(conn, body.start)
    if found is None or found.style_id != offering.style_id:
        raise not_found("starting point", body.start[:80])
    return found.id


async def _own_image(web: Gateway, asker: Identity, text: str | None, name: str) -> str | None:
    """The id of the client's picture that `text` names or, as a data URL, is."""
    if text is None:
        return None
    content = read_data_url(text, f"The {name}")
    if content is not None:
        kept = await keep_image(web, client_id=asker.account_id, content=content, name=f"The {name}")
        return kept.id
    async with web.pool.acquire() as conn:
        found = await use_image(conn, text, client_id=asker.account_id, now=web.clock())
    if found is None:
        raise not_found(name, text[:80])
    return found.id


async def _own_webhook(web: Gateway, asker: Identity, name: str | None) -> str | None:
    """The id of the client's endpoint that `name`, an id or a URL, names. Raises Problem."""
    if name is None:
        return None
    async with web.pool.acquire() as conn:
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
