"""One uploaded file on its way to become a work: looked at, stored, noted. What is refused says why."""

import asyncio
import io
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image, ImageOps

from inference.likeness import Look, look_at
from inference.pictures import OpenedPicture
from licensing.sentence import known_again, say
from service.bases import base_here
from service.errors import Problem
from service.resemblance import compare_with_others
from service.resources import Gateway
from service.styles import Style
from service.withdrawing import is_withheld
from service.works import NewWork, Rights, StoredWork, add_work, digest_of, thumbnail_key, work_with_digest
from training.messages import Finding
from training.review.wording import TEMPLATES
from training.works import MAX_WORK_BYTES, inspect_upload

THUMBNAIL_EDGE = 384
_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}
_FILENAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file as it came."""

    filename: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of it: a work, new or there already, with what the look at it found; or a problem."""

    filename: str
    work: StoredWork | None = None
    is_new: bool = False
    findings: tuple[Finding, ...] = ()
    problem: Problem | None = None


async def take_upload(web: Gateway, style: Style, upload: Upload, *, rights: Rights) -> Taken:
    """Keep one file as a work of a style, or say why not. The same file again is the work that is there."""
    name = plain_filename(upload.filename)
    digest = await asyncio.to_thread(digest_of, upload.content)
    async with web.pool.acquire() as conn:
        there = await work_with_digest(conn, style_id=style.id, sha256=digest)
    if there is not None:
        return Taken(filename=name, work=there)
    work_id = web.new_id("wrk")
    size = base_here(web.settings, style.base).size
    opened, findings = await asyncio.to_thread(inspect_upload, work_id, upload.content, size=size)
    if opened is None:
        return Taken(filename=name, problem=_refusal(name, findings))
    new = _new_work(style, work_id, name, upload.content, opened, digest=digest, rights=rights)
    looks = await asyncio.to_thread(_looks_of, opened.image)
    await asyncio.to_thread(_store, web, new, upload.content, opened)
    stored = await _keep(web, new, looks)
    if isinstance(stored, StoredWork) and stored.id == new.id:
        return Taken(filename=name, work=stored, is_new=True, findings=tuple(findings))
    await asyncio.to_thread(_unstore, web, new)
    if isinstance(stored, StoredWork):
        return Taken(filename=name, work=stored)
    if stored is None:
        return Taken(filename=name, problem=_withheld(name, digest))
    sentence = say(
        "{name} was not kept: the style has {stored} works, the most there can be. Delete some and try again.",
        name=name,
        stored=stored,
    )
    return Taken(filename=name, problem=Problem("payload_too_large", sentence))


async def looks_of_upload(filename: str, content: bytes) -> tuple[Look, Look]:
    """What a picture looks like that is not kept, straight and mirrored. Raises Problem for what is none."""
    name = plain_filename(filename)
    opened, findings = await asyncio.to_thread(inspect_upload, name, content, size=1)
    if opened is None:
        raise _refusal(name, findings)
    return await asyncio.to_thread(_looks_of, opened.image)


async def _keep(web: Gateway, new: NewWork, looks: tuple[Look, Look]) -> StoredWork | int | None:
    """The work, compared with everybody's; how many there are where there is no room; None where a claim keeps it
    out."""
    async with web.house() as conn, conn.transaction():
        if await is_withheld(conn, digest=new.sha256, looks=looks, creator_id=new.creator_id):
            return None
        stored = await add_work(conn, new, most=web.settings.max_works_per_style, now=web.clock())
        if isinstance(stored, StoredWork) and stored.id == new.id:
            stored = await compare_with_others(conn, stored, looks, new_id=web.new_id, now=web.clock())
        return stored


def plain_filename(filename: str) -> str:
    """The last part of a path, without control characters: browsers send whatever people typed."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(character for character in last if character.isprintable()).strip(" .")
    return clean[-_FILENAME_CHARACTERS_MAX:] or "unnamed"


def findings_document(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def _new_work(
    style: Style, work_id: str, name: str, content: bytes, opened: OpenedPicture, *, digest: str, rights: Rights
) -> NewWork:
    ending = _ENDINGS[opened.format]
    return NewWork(
        id=work_id,
        style_id=style.id,
        creator_id=style.creator_id,
        filename=name,
        mime=f"image/{'jpeg' if ending == 'jpg' else ending}",
        width=opened.image.width,
        height=opened.image.height,
        num_bytes=len(content),
        sha256=digest,
        storage_key=f"works/{style.id}/{work_id}.{ending}",
        rights=rights,
    )


def _store(web: Gateway, work: NewWork, content: bytes, opened: OpenedPicture) -> None:
    small = opened.image.copy()
    small.thumbnail((THUMBNAIL_EDGE, THUMBNAIL_EDGE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=85)
    web.storage.put(thumbnail_key(work.storage_key), file.getvalue())
    web.storage.put(work.storage_key, content)


def _looks_of(image: Image.Image) -> tuple[Look, Look]:
    """What the picture looks like, and what it would look like in a mirror."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_EDGE, THUMBNAIL_EDGE), Image.Resampling.LANCZOS)
    return look_at(small), look_at(ImageOps.mirror(small))


def _unstore(web: Gateway, work: NewWork) -> None:
    web.storage.delete(work.storage_key)
    web.storage.delete(thumbnail_key(work.storage_key))


def _withheld(name: str, digest: str) -> Problem:
    return Problem(
        "image_refused",
        say(
            "{name} was not taken: this picture was taken out of a portfolio here, because somebody"
            " else claims it. If it is yours, say why; a person decides.",
            name=name,
        ),
        extra={"kind": "withheld", "sha256": digest},
    )


def _refusal(name: str, findings: list[Finding]) -> Problem:
    finding = next(one for one in findings if one.severity == "error")
    slug = "payload_too_large" if finding.kind == "too_many_bytes" else "image_refused"
    limit = {"max_bytes": MAX_WORK_BYTES} if slug == "payload_too_large" else {}
    why, fix = [known_again(text, TEMPLATES) for text in (finding.why, finding.fix)]
    said = say("{name}: {why} {fix}", name=name, why=why, fix=fix)
    return Problem(slug, said, extra={"kind": finding.kind, **limit})
