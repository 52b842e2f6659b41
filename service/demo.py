"""The demonstration of `ownhand serve --demo`: the whole path once, over HTTP, as people would go it.

A portfolio is uploaded, reviewed, trained and published; a client buys, gets pictures with their licence, has one
verified; the creator switches the style off and on. What is there from an earlier start is not done again.
"""

import asyncio
import json
import sys
import time
import tomllib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from licensing import keys
from licensing.database import Connection
from licensing.money import Money
from service import desk
from service.accounts import Role, account_by_email
from service.api.shapes import money
from service.clock import clock_of
from service.db.connections import connect
from service.errors import NotStarted
from service.settings import Settings
from service.styles import list_styles

PEOPLE: dict[Role, tuple[str, str]] = {
    "creator": ("mara@demo.example", "Mara Quill"),
    "client": ("harbour@demo.example", "Harbour Books"),
    "operator": ("office@demo.example", "The Office"),
}
PREPAID = Money(2000, "EUR")
SEED = 7
OFF_REASON = "to show the switch"
_START_S = 180.0
_PICTURE_S = 300.0
_BAR = 24
_REVIEW_LOOKS = 24
_FINDINGS_SHOWN = 4
_SHARE_SHOWN = 0.2
_SCORES = ("heldout_gain", "member_gap", "copies", "hand", "drift")


@dataclass(frozen=True, kw_only=True)
class Script:
    """`configs/demo/demo.toml`: what the style is called and what the client asks for."""

    name: str
    summary: str
    prompts: tuple[str, ...]
    captions: dict[str, list[str]]
    """By file name without its ending; files that are not named keep their title as caption."""


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """The client, signed in with a token."""

    http: httpx.AsyncClient
    token: str


@dataclass(kw_only=True)
class Teller:
    """Prints what was done, what it cost, and how long it took."""

    began_s: float = field(default_factory=time.monotonic)
    _step_s: float = field(default_factory=time.monotonic)
    _num_steps: int = 0
    _next_share: float = 0.0

    def tell(self, title: str, *lines: str) -> None:
        """One step is done."""
        now = time.monotonic()
        self._num_steps += 1
        print(f"{self._num_steps:>3}  {title:<68} {_duration(now - self._step_s):>8}", flush=True)
        for line in lines:
            print(f"     {line}", flush=True)
        self._step_s = now

    def show(self, line: str, *, share: float | None = None) -> None:
        """A line that the next one replaces where a person watches; in a file, one for every fifth of the way."""
        if sys.stdout.isatty():
            print(f"\r     {line:<84}", end="", flush=True)
        elif share is None or share >= self._next_share:
            print(f"     {line}", flush=True)
            self._next_share += _SHARE_SHOWN if share is not None else 0.0

    def clear(self) -> None:
        if sys.stdout.isatty():
            print(f"\r{'':<90}\r", end="", flush=True)


async def run_demo(settings: Settings, database_url: str) -> None:
    """Show the whole path against the running service, then print links. Raises NotStarted where it does not answer."""
    teller = Teller()
    async with AsyncExitStack() as stack:
        conn = await connect(database_url)
        stack.push_async_callback(conn.close)
        await _wait_ready(settings)
        style_id = await _published(conn)
        if style_id is None:
            print(f"\n  Ownhand, shown once from end to end at {settings.origin}\n", flush=True)
            teller.tell("The service answers")
            links = await _invite(conn, settings, teller)
            buyer = await stack.enter_async_context(_buyer(conn, settings))
            style_id = await _show(conn, settings, teller, buyer)
            total = _duration(time.monotonic() - teller.began_s)
            print(f"\n  All of it took {total}. The service goes on; Ctrl-C ends everything.\n", flush=True)
        else:
            links = {role: await _link(conn, settings, role) for role in PEOPLE}
            buyer = await stack.enter_async_context(_buyer(conn, settings))
            await _switch_on(conn, settings, style_id)
            print(f"\n  The demonstration is there from an earlier start, at {settings.origin}\n", flush=True)
        _print_links(settings, links, buyer.token, style_id)


async def _show(conn: Connection, settings: Settings, teller: Teller, buyer: Buyer) -> str:
    script = read_script(settings.configs / "demo" / "demo.toml")
    token = await _token(conn, settings, "creator")
    async with _connect(settings, token) as creator:
        style_id = await _style(conn, creator, script)
        await _upload(creator, teller, style_id, script, settings.configs / "demo" / "works")
        version_id = await _train(creator, teller, style_id)
        await _publish(creator, teller, style_id, version_id, script)
        await _credit(conn, settings, teller)
        first = await _buy(settings, teller, buyer, style_id, script)
        await _vary(settings, teller, buyer, style_id, first, script)
        await _verify(settings, teller, buyer, first)
        await _switch(creator, teller, buyer, style_id, first, script)
        earned = _checked(await creator.get("/v1/earnings"))
        teller.tell(f"{PEOPLE['creator'][1]} has earned {_money(earned['payable'])} with {earned['pictures']} pictures")
    return style_id


def read_script(path: Path) -> Script:
    """The demonstration's words. Raises ValueError where the file lacks something."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        return Script(
            name=content["style"]["name"],
            summary=content["style"]["summary"],
            prompts=tuple(content["prompts"]),
            captions=content.get("captions", {}),
        )
    except KeyError as error:
        raise ValueError(f"{path.name} lacks {error}; it needs [style] name and summary, and prompts") from error


async def _invite(conn: Connection, settings: Settings, teller: Teller) -> dict[Role, str]:
    links = {role: await _link(conn, settings, role) for role in PEOPLE}
    named = ", ".join(f"{name} ({role})" for role, (_, name) in PEOPLE.items())
    teller.tell("Three people are invited", named)
    return links


async def _style(conn: Connection, creator: httpx.AsyncClient, script: Script) -> str:
    """The demonstration's style; an earlier start that was cut off may have made it."""
    account = await account_by_email(conn, PEOPLE["creator"][0])
    assert account is not None
    for style in await list_styles(conn, creator_id=account.id):
        if style.name == script.name:
            return style.id
    made = _checked(await creator.post("/v1/styles", json={"name": script.name, "summary": script.summary}))
    return str(made["id"])


async def _upload(creator: httpx.AsyncClient, teller: Teller, style_id: str, script: Script, folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    files = [("files", (path.name, path.read_bytes(), "image/png")) for path in paths]
    answer = _checked(await creator.post(f"/v1/styles/{style_id}/works", files=files, data={"rights": "mine"}))
    works = [item["work"] for item in answer["items"] if item.get("work")]
    for work in works:
        captions = script.captions.get(Path(work["filename"]).stem)
        if captions:
            _checked(await creator.patch(f"/v1/works/{work['id']}", json={"captions": captions}))
    teller.tell(f"{len(works)} works are uploaded, each attested as {PEOPLE['creator'][1]}'s own")
    findings, names = await _reviewed(creator, style_id), {work["id"]: work["filename"] for work in works}
    seen = [
        f"{one['severity']}: {names.get(one['work'], 'the portfolio')}: {one['why']}"
        for one in findings[:_FINDINGS_SHOWN]
    ]
    teller.tell(f"The review has {len(findings)} findings", *seen)


async def _reviewed(creator: httpx.AsyncClient, style_id: str) -> list[dict[str, Any]]:
    """The findings, once a worker has looked; what is known by then, where that takes too long."""
    for _ in range(_REVIEW_LOOKS):
        # Each call waits a few seconds by itself.
        review = _checked(await creator.get(f"/v1/styles/{style_id}/review"))
        if review["state"] == "current":
            break
    return list(review["items"])


async def _train(creator: httpx.AsyncClient, teller: Teller, style_id: str) -> str:
    """Train with progress on one line; the id of the version that passed the gate."""
    training_id = await _training(creator, style_id)
    estimate = ""
    async for kind, data in _events(creator, f"/v1/trainings/{training_id}/events"):
        if kind == "estimate":
            estimate = f"estimated {_duration(data['seconds'])} for {data['steps']} steps"
        elif kind == "progress":
            done = round(_BAR * data["step"] / data["steps"])
            bar = "#" * done + "." * (_BAR - done)
            left = _duration(data["eta_s"])
            told = f"training [{bar}] step {data['step']}/{data['steps']}, loss {data['loss']:.3f}, {left} left"
            teller.show(told, share=data["step"] / data["steps"])
        elif kind == "state":
            teller.show(f"{data['state']} ...")
    teller.clear()
    training = _checked(await creator.get(f"/v1/trainings/{training_id}"))
    if training["state"] != "passed":
        raise ValueError(f"the demonstration's training ended as {training['state']}: {training['message']}")
    teller.tell(f"The training took {training['steps']} steps", estimate)
    scores = {name: training["scores"][name] for name in _SCORES if name in training["scores"]}
    told = ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in scores.items())
    teller.tell("The release gate has passed it", told)
    return str(training["version"])


async def _training(creator: httpx.AsyncClient, style_id: str) -> str:
    """A new training, or the one that an earlier start left running or passed."""
    before = _checked(await creator.get(f"/v1/styles/{style_id}/trainings?limit=1"))["items"]
    if before and before[0]["state"] not in ("refused", "failed", "canceled", "paused"):
        return str(before[0]["id"])
    return str(_checked(await creator.post(f"/v1/styles/{style_id}/trainings", json={}))["id"])


async def _publish(creator: httpx.AsyncClient, teller: Teller, style_id: str, version_id: str, script: Script) -> None:
    _checked(await creator.post(f"/v1/versions/{version_id}/publish"))
    style = _checked(await creator.get(f"/v1/styles/{style_id}"))
    prices = ", ".join(f"{tier} {_money(entry['price'])}" for tier, entry in style["tiers"].items())
    teller.tell(f"{script.name} is published", f"a picture costs: {prices}")


async def _credit(conn: Connection, settings: Settings, teller: Teller) -> None:
    now = clock_of(settings)()
    await desk.credit(conn, email=PEOPLE["client"][0], money=PREPAID, reference="demonstration", now=now)
    teller.tell(f"{PEOPLE['client'][1]} has prepaid {_money(money(PREPAID))}")


async def _buy(settings: Settings, teller: Teller, buyer: Buyer, style_id: str, script: Script) -> str:
    """A quote, then two pictures; the id of the first."""
    body = {"style": style_id, "prompt": script.prompts[0], "count": 2, "seed": SEED}
    quote = _checked(await buyer.http.post("/v1/quotes", json=body))
    teller.tell(
        f"A quote for two pictures of “{script.prompts[0]}”",
        f"{_money(quote['amount'])}, ready in about {_duration(quote['eta_s'])}; nothing is charged yet",
    )
    made = await _order(buyer, body, key=f"{style_id}-1")
    path = await _keep(settings, buyer, made)
    teller.tell(
        f"{len(made['outputs'])} pictures are made and charged: {_money(made['amount'])}", f"they lie in {path}"
    )
    return str(made["outputs"][0]["id"])


async def _vary(
    settings: Settings, teller: Teller, buyer: Buyer, style_id: str, output_id: str, script: Script
) -> None:
    picture = (await buyer.http.get(f"/v1/outputs/{output_id}")).content
    image = _checked(await buyer.http.post("/v1/images", files={"file": ("bought.png", picture, "image/png")}))
    body = {"style": style_id, "prompt": script.prompts[0], "image": image["id"], "strength": 0.6, "seed": SEED}
    made = await _order(buyer, body, key=f"{style_id}-2")
    await _keep(settings, buyer, made)
    teller.tell(f"A variation of the first picture is made and charged: {_money(made['amount'])}")


async def _verify(settings: Settings, teller: Teller, buyer: Buyer, output_id: str) -> None:
    picture = (await buyer.http.get(f"/v1/outputs/{output_id}")).content
    async with _connect(settings, None) as anybody:
        verdict = _checked(await anybody.post("/v1/verify", files={"file": ("picture.png", picture, "image/png")}))
    certificate = verdict["certificate"]
    teller.tell(
        f"Anybody can verify it: {verdict['verdict']}",
        f"{certificate['style']['name']} by {certificate['creator']['name']}, {certificate['tier']}:"
        f" {certificate['use']}",
    )


async def _switch(
    creator: httpx.AsyncClient, teller: Teller, buyer: Buyer, style_id: str, output_id: str, script: Script
) -> None:
    began_s = time.monotonic()
    _checked(await creator.put(f"/v1/styles/{style_id}/switch", json={"level": "off", "reason": OFF_REASON}))
    took = f"{(time.monotonic() - began_s) * 1000:.0f} ms"
    refused = await buyer.http.post(
        "/v1/generations",
        json={"style": style_id, "prompt": script.prompts[0]},
        headers={"Idempotency-Key": f"refused-{uuid.uuid4().hex}"},
    )
    teller.tell(f"The creator switches the style off; it holds after {took}")
    teller.tell(f"The next order is refused ({refused.status_code})", refused.json()["detail"])
    kept = await buyer.http.get(f"/v1/outputs/{output_id}")
    kept.raise_for_status()
    _checked(await creator.put(f"/v1/styles/{style_id}/switch", json={"level": "live"}))
    teller.tell("What was bought stays the client's; the style is switched on again")


async def _switch_on(conn: Connection, settings: Settings, style_id: str) -> None:
    """An earlier start may have been cut off between off and on."""
    async with _connect(settings, await _token(conn, settings, "creator")) as creator:
        state = _checked(await creator.get(f"/v1/styles/{style_id}"))["switch"]
        if (state["level"], state["reason"]) == ("off", OFF_REASON):
            _checked(await creator.put(f"/v1/styles/{style_id}/switch", json={"level": "live"}))


async def _order(buyer: Buyer, body: dict[str, Any], *, key: str) -> dict[str, Any]:
    """An order, waited for. The key is fixed: a demonstration that was cut off goes on with the same order."""
    made = _checked(
        await buyer.http.post("/v1/generations", json=body, headers={"Idempotency-Key": key, "Prefer": "wait=60"})
    )
    deadline = time.monotonic() + _PICTURE_S
    while made["state"] in ("queued", "running", "sealing") and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        made = _checked(await buyer.http.get(f"/v1/generations/{made['id']}"))
    if made["state"] != "settled":
        raise ValueError(f"the demonstration's order {made['id']} is {made['state']}: {made['message']}")
    return made


async def _keep(settings: Settings, buyer: Buyer, made: dict[str, Any]) -> Path:
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    for output in made["outputs"]:
        picture = await buyer.http.get(f"/v1/outputs/{output['id']}")
        (folder / f"{output['id']}.png").write_bytes(picture.content)
    return folder


async def _wait_ready(settings: Settings) -> None:
    deadline = time.monotonic() + _START_S
    async with httpx.AsyncClient(base_url=settings.origin, timeout=5) as http:
        while time.monotonic() < deadline:
            try:
                if (await http.get("/readyz")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.2)
    raise NotStarted(f"{settings.origin} did not answer in {_START_S:.0f} s; the lines above say why")


async def _published(conn: Connection) -> str | None:
    """The demonstration's published style, if it got that far before."""
    account = await account_by_email(conn, PEOPLE["creator"][0])
    style_id: str | None = await conn.fetchval(
        "SELECT s.id FROM service.styles s WHERE s.creator_id = $1 AND s.published_version_id IS NOT NULL"
        " AND EXISTS (SELECT FROM service.outputs o WHERE o.style_id = s.id) ORDER BY s.id LIMIT 1",
        account.id if account else None,
    )
    return style_id


async def _link(conn: Connection, settings: Settings, role: Role) -> str:
    email, name = PEOPLE[role]
    return await desk.invite(conn, settings, role=role, email=email, name=name, now=clock_of(settings)())


async def _token(conn: Connection, settings: Settings, role: Role) -> str:
    """A new token; those of earlier starts end with it, since nobody kept them."""
    email, _ = PEOPLE[role]
    account = await account_by_email(conn, email)
    assert account is not None
    now = clock_of(settings)()
    async with conn.transaction():
        for key in await keys.listing(conn, account_id=account.id):
            await keys.revoke(conn, key_id=key.id, account_id=account.id, now=now)
        return await desk.token(conn, settings, email=email, test=False, scopes=(), cap=None, now=now)


@asynccontextmanager
async def _buyer(conn: Connection, settings: Settings) -> AsyncIterator[Buyer]:
    token = await _token(conn, settings, "client")
    async with _connect(settings, token) as http:
        yield Buyer(http=http, token=token)


def _connect(settings: Settings, token: str | None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=settings.origin, headers=headers, timeout=120)


async def _events(http: httpx.AsyncClient, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Server-Sent Events until their end; taken up again where the connection breaks."""
    last, is_over = "0", False
    while not is_over:
        try:
            async with http.stream("GET", path, headers={"Last-Event-ID": last}, timeout=60) as answer:
                answer.raise_for_status()
                kind = ""
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        last = value
                    elif name == "event":
                        kind = value
                    elif name == "data":
                        yield kind, json.loads(value)
                is_over = True
        except httpx.TransportError:
            await asyncio.sleep(1)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    """The answer's content. Raises ValueError with the service's own sentence where it refused."""
    content = answer.json()
    if not answer.is_success:
        raise ValueError(f"{answer.request.method} {answer.request.url.path}: {content.get('detail', answer.text)}")
    return dict(content)


def _print_links(settings: Settings, links: dict[Role, str], token: str, style_id: str) -> None:
    print("  Sign in (each link works once):", flush=True)
    for role, link in links.items():
        print(f"    {role:<9} {link}", flush=True)
    body = json.dumps({"style": style_id, "prompt": "a red apple"})
    print("\n  Order a picture:", flush=True)
    print(f"    curl -s {settings.origin}/v1/generations -H 'Authorization: Bearer {token}' \\")
    print("      -H 'Content-Type: application/json' -H 'Prefer: wait=60' \\")
    print(f"      -H \"Idempotency-Key: $(date +%s)\" -d '{body}'\n", flush=True)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def _money(value: dict[str, Any]) -> str:
    return f"{value['amount'] // 100}.{value['amount'] % 100:02} {value['currency']}"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
