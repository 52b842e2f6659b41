"""Signing one picture: its certificate, its C2PA manifest, its perceptual hash. Runs in the web role, in threads.

A picture of a test key gets a certificate that says `test` and no manifest: nobody's model made it, and a seal that
said so would lie.
"""

import asyncio
import hashlib
import io
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from licensing.certificates import Certificate, certify
from licensing.database import Connection
from licensing.fingerprint import fingerprint
from licensing.gateway import find_hold
from licensing.money import Money
from licensing.orders import Hold
from licensing.seal import SealClaim, seal
from licensing.terms import StyleTerms, terms_at
from licensing.watermarks.registry import key_of, note_mark
from service import pending
from service.accounts import Account, account_by_id
from service.orders import Order
from service.resources import Gateway

MIME: Final = "image/png"


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One sealed picture under `pending/`; what the settle registers."""

    output_id: str
    number: int
    key: str
    mime: str
    width: int
    height: int
    num_bytes: int
    sha256: str
    phash: str
    certificate: str
    receipt: dict[str, Any] = field(default_factory=dict)
    """How it was made; empty for a picture of a test key."""


@dataclass(frozen=True, kw_only=True)
class Sealer:
    """What is the same for every picture of an order."""

    order: Order
    hold: Hold
    terms: StyleTerms
    style_name: str
    adapter_sha256: str
    creator: Account
    client: Account


async def sealer(conn: Connection, web: Gateway, order: Order) -> Sealer:
    """Read what the seals of an order say."""
    hold = await find_hold(conn, order.id, client_id=order.client_id)
    creator = await account_by_id(conn, order.creator_id)
    client = await account_by_id(conn, order.client_id)
    assert hold is not None
    assert creator is not None
    assert client is not None
    terms = await terms_at(conn, order.style_id, hold.terms_version)
    assert terms is not None
    row = await conn.fetchrow(
        "SELECT s.name, v.adapter_sha256 FROM service.styles s, service.versions v WHERE s.id = $1 AND v.id = $2",
        *(order.style_id, order.version_id),
    )
    assert row is not None
    return Sealer(
        order=order,
        hold=hold,
        terms=terms,
        style_name=row["name"],
        adapter_sha256=row["adapter_sha256"],
        creator=creator,
        client=client,
    )


async def seal_picture(web: Gateway, sealer: Sealer, *, number: int, png: bytes) -> Sealed:
    """Sign a picture and store it beside the unsealed one. The caller has asked `may_sign`."""
    sealed = await asyncio.to_thread(_seal_picture, web, sealer, number, png)
    if web.watermark is not None and not sealer.order.test:
        async with web.pool.acquire() as conn:
            await note_mark(conn, sealed.output_id)
    return sealed


def _seal_picture(web: Gateway, sealer: Sealer, number: int, png: bytes) -> Sealed:
    output_id = web.new_id("out")
    if web.watermark is not None and not sealer.order.test:
        png = web.watermark.mark(png, key_of(output_id))
    content = png if sealer.order.test else seal(web.authority, png, MIME, _claim(web, sealer, output_id))
    sha256, phash = hashlib.sha256(content).hexdigest(), fingerprint(png)
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    paper = _certificate(web, sealer, output_id, sha256=sha256, phash=phash, width=width, height=height)
    certificate = certify(web.authority, paper)
    key = pending.sealed_key(sealer.order.id, number, sha256)
    web.storage.put(key, content)
    return Sealed(
        output_id=output_id,
        number=number,
        key=key,
        mime=MIME,
        width=width,
        height=height,
        num_bytes=len(content),
        sha256=sha256,
        phash=phash,
        certificate=certificate,
    )


def _claim(web: Gateway, sealer: Sealer, output_id: str) -> SealClaim:
    order = sealer.order
    return SealClaim(
        output_id=output_id,
        licence_id=order.id,
        style_id=order.style_id,
        style_name=sealer.style_name,
        version_id=order.version_id,
        creator_name=sealer.creator.name,
        tier=order.tier,
        terms_version=sealer.hold.terms_version,
        adapter_sha256=sealer.adapter_sha256,
        made_at=web.clock(),
        training_allowed=sealer.terms.permissions.training,
    )


def _certificate(
    web: Gateway, sealer: Sealer, output_id: str, *, sha256: str, phash: str, width: int, height: int
) -> Certificate:
    order, hold = sealer.order, sealer.hold
    issued_at = web.clock().replace(microsecond=0)
    return Certificate(
        output_id=output_id,
        order_id=order.id,
        client_id=order.client_id,
        client_name=sealer.client.name,
        creator_id=order.creator_id,
        creator_name=sealer.creator.name,
        style_id=order.style_id,
        style_name=sealer.style_name,
        version_id=order.version_id,
        tier=order.tier,
        terms_version=hold.terms_version,
        use=sealer.terms.tiers[order.tier].use,
        prompt_sha256=hashlib.sha256(order.request["prompt"].encode()).hexdigest(),
        output_sha256=sha256,
        phash=phash,
        width=width,
        height=height,
        amount=Money(hold.amount.amount // hold.count, hold.amount.currency),
        issued_at=issued_at,
        test=order.test,
        permissions=sealer.terms.permissions,
        expires_at=sealer.terms.permissions.ends_at(issued_at),
        ownership_terms=order.ownership_terms,
    )
