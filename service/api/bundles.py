"""Several bought pictures in one file: a zip that is written while it is sent, so that it is never whole in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licensing.certificates import Certificate, read_certificate
from licensing.sentence import say
from service.api.verify import certificate_document
from service.archives import Archive
from service.errors import ObjectMissing, Problem, not_found
from service.formats import clock, count
from service.languages import ENGLISH, speaking
from service.outputs import Output, find_output, list_outputs
from service.resources import Gateway

PICTURES_MAX = 100
"""In one file."""
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True, kw_only=True)
class Bought:
    """A picture with its certificate, as signed and as read; `withdrawn` says why the sale was taken back."""

    output: Output
    signed: str
    paper: Certificate
    withdrawn: str | None

    @property
    def file(self) -> str:
        return f"{self.output.id}.{_SUFFIXES[self.output.mime]}"


async def find_bought(web: Gateway, output_ids: Sequence[str], *, client_id: str) -> list[Bought]:
    """A client's own pictures in the order they are named, each once. Raises Problem for none, for too many, and for
    one that is not there or not theirs."""
    wanted = list(dict.fromkeys(output_ids))
    if not wanted:
        raise Problem("invalid_request", say("No picture is named; choose at least one to put into the file."))
    if len(wanted) > PICTURES_MAX:
        raise Problem(
            "invalid_request",
            say(
                "{number} pictures were chosen, at most {most} fit into one file; take them in several.",
                number=len(wanted),
                most=PICTURES_MAX,
            ),
        )
    async with web.pool.acquire() as conn:
        outputs = {output.id: output for output in await list_outputs(conn, wanted, client_id=client_id)}
        rows = await conn.fetch(
            "SELECT output_id, certificate, revoked_at, revoked_reason FROM licensing.output"
            " WHERE output_id = ANY($1::text[]) AND client_id = $2",
            *(wanted, client_id),
        )
    signed = {row["output_id"]: row for row in rows}
    return [_bought(web, outputs.get(one), signed.get(one), one) for one in wanted]


async def write_zip(web: Gateway, bought: Sequence[Bought]) -> AsyncIterator[bytes]:
    """The zip, piece by piece: a sheet of licences first, then each picture with its certificate."""
    # Loads lxml, which a web process that starts does not wait for.
    from licensing.papers.tables import licences_csv

    now = web.clock()
    archive = Archive(now)
    # It goes on to others, with the pictures.
    with speaking(ENGLISH):
        read_me = _read_me(web, bought, now)
    yield archive.add("README.txt", read_me.encode())
    yield archive.add("licences.csv", licences_csv((one.paper, one.withdrawn) for one in bought))
    for one in bought:
        content = await _content(web, one.output)
        yield await asyncio.to_thread(archive.add, f"pictures/{one.file}", content)
        yield archive.add(f"certificates/{one.output.id}.json", _certificate(one))
    yield archive.close()


def _bought(web: Gateway, output: Output | None, row: Mapping[str, Any] | None, output_id: str) -> Bought:
    paper = read_certificate(web.authority, row["certificate"]) if row else None
    if output is None or row is None or paper is None:
        raise not_found("output", output_id)
    why = None if row["revoked_at"] is None else row["revoked_reason"] or "no reason was given"
    return Bought(output=output, signed=row["certificate"], paper=paper, withdrawn=why)


async def _content(web: Gateway, output: Output) -> bytes:
    try:
        return await asyncio.to_thread(web.storage.get, output.storage_key)
    except ObjectMissing:
        # It was moved to its final place since it was looked for: ask once more.
        async with web.pool.acquire() as conn:
            found = await find_output(conn, output.id, client_id=output.client_id)
        assert found is not None, "what was bought stays"
        return await asyncio.to_thread(web.storage.get, found.storage_key)


def _certificate(one: Bought) -> bytes:
    document = {
        "output": one.output.id,
        "certificate": one.signed,
        "document": certificate_document(one.paper),
        "revoked_reason": one.withdrawn,
    }
    return json.dumps(document, default=str, ensure_ascii=False, indent=1).encode()


def _read_me(web: Gateway, bought: Sequence[Bought], now: datetime) -> str:
    operator, origin = web.settings.operator_name, web.settings.origin
    lines = [
        f"{count(len(bought), 'picture')} from {operator}, put together on {clock(now)}.",
        "",
        "pictures/      the files as they were sold; each carries its licence inside",
        "certificates/  the signed licence of each picture: who may use it, and how",
        "licences.csv   the same as a table; amounts are in whole minor units",
        "",
        f"Anybody can check a picture or a certificate at {origin}/verify, also after its style is gone.",
        "Keep the certificates: a picture that was saved again by another program loses what it carries.",
        "",
    ]
    for one in bought:
        paper = one.paper
        lines += ["", one.file, f"  {paper.style_name}, by {paper.creator_name}", f"  {paper.tier}: {paper.use}"]
        lines += [f"  The right to use it ends on {clock(paper.expires_at)}."] if paper.expires_at else []
        lines += [f"  The sale was taken back: {one.withdrawn}"] if one.withdrawn else []
        lines += ["  A test picture: nobody bought it, and it may not be used."] if paper.test else []
    return "\r\n".join(lines) + "\r\n"
