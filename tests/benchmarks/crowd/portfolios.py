"""What creators have: styles with terms, works, trainings, versions, and what a worker found in the works."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from licensing.prices import Prices
from licensing.terms import put_terms
from service.reviewing import digest_of_works
from service.versions import ADAPTER, RECEIPT, REPORT, SHEET
from service.works import list_works, thumbnail_key
from tests.benchmarks.crowd.hand import Hand
from tests.benchmarks.crowd.people import People, Person
from tests.benchmarks.crowd.size import Size
from training.report import Pair, draw_sheet

_HOW = [
    "Loose",
    "Bold",
    "Quiet",
    "Round",
    "Dusty",
    "Bright",
    "Paper",
    "Night",
    "Soft",
    "Sharp",
    "Folk",
    "Nordic",
    "Salt",
    "Velvet",
    "Wild",
    "Plain",
]
_WHAT = [
    "Ink",
    "Icons",
    "Brush",
    "Shapes",
    "Lines",
    "Stamps",
    "Posters",
    "Botanics",
    "Harbours",
    "Letters",
    "Beasts",
    "Collage",
    "Stitches",
    "Maps",
]
_SUBJECTS = [
    "apple",
    "lighthouse",
    "whale",
    "teapot",
    "bicycle",
    "lantern",
    "owl",
    "bridge",
    "violin",
    "cactus",
    "kettle",
    "comet",
]
TRIGGER = "zorvik"
MOST_VERSIONS, MOST_TRAININGS = 25, 40
OFFERED = 3
"""Every so many works of its creator's own is offered as a starting point."""
STEPS, MIN_WORKS = 600, 4


@dataclass(frozen=True, kw_only=True)
class Sold:
    """A style that is on sale, and its published version, since `since`."""

    id: str
    creator: Person
    name: str
    version_id: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class _Style:
    id: str
    creator: Person
    name: str
    summary: str
    at: datetime
    num_works: int
    num_trainings: int
    num_versions: int


async def make_styles(hand: Hand, size: Size, people: People, *, base: str, edge: int) -> list[Sold]:
    """All styles; those on sale, the heaviest first. base: what they are trained over; edge: of its pictures."""
    styles = _styles(hand, size, people)
    rows = [
        {"id": s.id, "creator_id": s.creator.id, "name": s.name, "summary": s.summary, "base": base}
        | {"created_at": s.at, "updated_at": s.at}
        for s in styles
    ]
    await hand.put("service.styles", rows)
    prices: Prices = hand.web.prices
    for style in styles:
        terms = prices.default_terms(style_id=style.id, creator_id=style.creator.id)
        await put_terms(hand.conn, terms, by=style.creator.id, now=style.at)
    works = {style.id: _works(hand, style) for style in styles}
    await hand.put("service.works", [work for listed in works.values() for work in listed])
    await hand.put("service.looks", [_look(hand, work) for listed in works.values() for work in listed])
    files = _files(hand)
    sold = [await _train(hand, style, works[style.id], base=base, files=files) for style in styles]
    await hand.conn.execute(
        "UPDATE service.styles s SET published_version_id = v.id FROM service.versions v"
        " WHERE v.style_id = s.id AND v.state = 'published'"
    )
    await hand.conn.execute("ANALYZE")
    for style in styles:
        await _review(hand, style, edge)
    return [one for one in sold if one is not None]


def _styles(hand: Hand, size: Size, people: People) -> list[_Style]:
    """The first is the heaviest creator's, who has a tenth of all."""
    few = max(1, size.styles // 10)
    rest = size.works - size.heavy_works
    styles = []
    for number in range(size.styles):
        creator = people.creators[0] if number < few else hand.dice.choice(people.creators[1:])
        is_heaviest = number == 0
        has_any = is_heaviest or hand.dice.random() < 0.95
        share = size.heavy_works if is_heaviest else max(1, round(rest / (0.95 * size.styles)))
        trained = 0 if not has_any else 1 + (hand.dice.random() < 0.3)
        at = creator.since + timedelta(days=1 + hand.dice.uniform(0, 60), seconds=number)
        style = _Style(
            id=hand.id("sty", at),
            creator=creator,
            name=f"{hand.dice.choice(_HOW)} {hand.dice.choice(_WHAT)}",
            summary=f"{hand.dice.choice(_HOW)} {hand.dice.choice(_WHAT).lower()} drawn by hand, at home on any paper.",
            at=at,
            num_works=share if has_any else 0,
            num_trainings=min(MOST_TRAININGS, size.styles) if is_heaviest else trained + (hand.dice.random() < 0.2),
            num_versions=min(MOST_VERSIONS, size.styles) if is_heaviest else trained,
        )
        styles.append(style)
    return styles


def _works(hand: Hand, style: _Style) -> list[dict[str, Any]]:
    made = []
    for number in range(style.num_works):
        at = style.at + timedelta(minutes=number)
        work_id = hand.id("wrk", at)
        key = hand.lay(f"works/{style.id}/{work_id}.png")
        hand.lay(thumbnail_key(key))
        subject = hand.dice.choice(_SUBJECTS)
        rights = "mine" if hand.dice.random() < 0.97 else "unsure"
        made.append(
            {
                "id": work_id,
                "style_id": style.id,
                "creator_id": style.creator.id,
                "filename": f"{subject}-{number}.png",
                "mime": "image/png",
                "width": 96,
                "height": 96,
                "num_bytes": 900,
                "sha256": hand.hex(),
                "storage_key": key,
                "rights": rights,
                "captions": [f"a {subject}"],
                "include": hand.dice.random() < 0.98,
                "offered_at": at if number % OFFERED == 0 and rights == "mine" else None,
                "created_at": at,
                "updated_at": at,
            }
        )
    return made


def _look(hand: Hand, work: dict[str, Any]) -> dict[str, Any]:
    bands = {f"band_{number}": hand.dice.randrange(1 << 16) for number in range(4)}
    seen = {"bits": hand.dice.randbytes(8), "thumb": hand.dice.randbytes(16 * 16 * 3)}
    return {"work_id": work["id"], "creator_id": work["creator_id"], **seen, **bands}


async def _train(
    hand: Hand, style: _Style, works: list[dict[str, Any]], *, base: str, files: dict[str, Path]
) -> Sold | None:
    """Trainings of a style, day by day; the last version is on sale. The first ones did not pass."""
    trainings, versions = [], []
    manifest = [{"id": work["id"], "sha256": work["sha256"]} for work in works]
    for number in range(style.num_trainings):
        at = style.at + timedelta(days=1, hours=7 * number)
        passed = number - (style.num_trainings - style.num_versions)
        training = _training(hand, style, at, base=base, manifest=manifest, is_passed=passed >= 0)
        trainings.append(training)
        if passed >= 0:
            is_last = number == style.num_trainings - 1
            versions.append(_version(hand, style, training, passed + 1, files=files, is_on_sale=is_last))
    await hand.put("service.trainings", trainings)
    await hand.put("service.versions", versions)
    if not versions:
        return None
    last = versions[-1]
    return Sold(id=style.id, creator=style.creator, name=style.name, version_id=last["id"], since=last["published_at"])


def _training(
    hand: Hand, style: _Style, at: datetime, *, base: str, manifest: list[dict[str, Any]], is_passed: bool
) -> dict[str, Any]:
    training_id, took = hand.id("trn", at), timedelta(minutes=30)
    looks = [{"step": step, "gain": 0.3 * step / STEPS} for step in range(30, STEPS + 1, 30)]
    samples = [f"trainings/{training_id}/1/samples/{step:05}.png" for step in range(100, STEPS + 1, 100)]
    for key in samples:
        hand.lay(key)
    return {
        "id": training_id,
        "style_id": style.id,
        "creator_id": style.creator.id,
        "base": base,
        "recipe": f"{base}-style",
        "seed": 0,
        "state": "passed" if is_passed else hand.dice.choice(("refused", "failed", "canceled")),
        "fence": 1,
        "message": None if is_passed else "It copies its works; add different ones.",
        "manifest": json.dumps(manifest),
        "step": STEPS,
        "steps": STEPS,
        "loss": 0.1,
        "heldout": looks,
        "samples": [{"step": int(key[-9:-4]), "name": key.rsplit("/", 1)[-1], "key": key} for key in samples],
        "scores": {"heldout_gain": 0.3} if is_passed else {},
        "created_at": at,
        "started_at": at + timedelta(minutes=2),
        "ended_at": at + took,
        "updated_at": at + took,
    }


def _version(
    hand: Hand, style: _Style, training: dict[str, Any], number: int, *, files: dict[str, Path], is_on_sale: bool
) -> dict[str, Any]:
    at, folder = training["ended_at"], f"trainings/{training['id']}/1"
    version_id = hand.id("ver", at)
    training["version_id"] = version_id
    works = [one["id"] for one in json.loads(training["manifest"])]
    digests = [one["sha256"] for one in json.loads(training["manifest"])]
    adapter = hand.hex()
    return {
        "id": version_id,
        "style_id": style.id,
        "creator_id": style.creator.id,
        "training_id": training["id"],
        "number": number,
        "base": training["base"],
        "trigger": TRIGGER,
        "adapter_key": hand.lay(f"{folder}/{ADAPTER}", files[ADAPTER]),
        "adapter_sha256": adapter,
        "report_key": hand.lay(f"{folder}/{REPORT}", files[REPORT]),
        "receipt_key": hand.lay(f"{folder}/{RECEIPT}", files[RECEIPT]),
        "sheet_key": hand.lay(f"{folder}/{SHEET}", files[SHEET]),
        "looks_key": None,
        "examples": json.dumps([hand.lay(f"{folder}/examples/{one}.png") for one in range(1, 5)]),
        "receipt": {"adapter": {"sha256": adapter}, "works": {"trained": digests, "held_out": []}},
        "scores": {"heldout_gain": 0.3},
        "work_ids": json.dumps(works),
        "gate_passed": True,
        "state": "published" if is_on_sale else "draft",
        "created_at": at,
        "published_at": at + timedelta(hours=1) if is_on_sale or number % 2 else None,
    }


def _files(hand: Hand) -> dict[str, Path]:
    """What all versions have: an adapter without tensors, a report, a receipt, a sheet as trainers draw it."""
    with Image.open(hand.picture) as opened:
        picture = opened.convert("RGB")
    pair = Pair(caption="an apple", work=picture, without=picture, with_style=picture)
    files = {name: hand.picture.with_name(name) for name in (ADAPTER, REPORT, RECEIPT, SHEET)}
    files[ADAPTER].write_bytes((2).to_bytes(8, "little") + b"{}")
    files[REPORT].write_text("<!doctype html><title>Report</title><p>It looks right.")
    files[RECEIPT].write_text(json.dumps({"receipt": {}, "signature": None}))
    draw_sheet([pair] * 8).save(files[SHEET], format="PNG")
    return files


async def _review(hand: Hand, style: _Style, edge: int) -> None:
    """What a worker's look found, so that nobody has to look again when the page is asked for."""
    works = await list_works(hand.conn, style_id=style.id, creator_id=style.creator.id)
    included = [work for work in works if work.include]
    findings = [
        {
            "work": work.id,
            "kind": "blurred",
            "severity": "warning",
            "why": "It is blurred.",
            "fix": "Send a sharper one.",
        }
        for work in included[::9]
    ]
    review = {"of": digest_of_works(included, size=edge, min_works=MIN_WORKS), "findings": findings}
    await hand.conn.execute("UPDATE service.styles SET review = $2 WHERE id = $1", style.id, json.dumps(review))
