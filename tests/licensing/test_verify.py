"""The five verdicts, on pictures that were really sealed, sold and then damaged."""

import hashlib
import io
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from licensing import gateway
from licensing.authority import Authority, sign_document, verify_document
from licensing.certificates import Certificate, certify
from licensing.errors import SealRefused
from licensing.fingerprint import fingerprint
from licensing.orders import Made, Settled
from licensing.refunds import refund_output
from licensing.revocations import list_revocations, sign_revocations
from licensing.seal import SealClaim, seal
from licensing.terms import Permissions
from licensing.verify import Verdict, verify
from licensing.watermarks import Watermark
from licensing.watermarks.registry import key_of, note_mark
from tests.licensing.drawings import drawing, encoded, under_glare
from tests.licensing.plain_watermark import PlainMark
from tests.licensing.world import NOW, World, eur, new_id, refused

ANY_USE = Permissions()


@dataclass(frozen=True, kw_only=True)
class Sold:
    """A picture that was sold: its file, its certificate and what it shows."""

    output_id: str
    image: Image.Image
    file: bytes
    certificate: str


def made_of(authority: Authority, hold: Any, output_id: str, sealed: bytes, permissions: Permissions) -> Made:
    """What the gateway is told of a sealed picture, with its certificate."""
    sha256, phash = hashlib.sha256(sealed).hexdigest(), fingerprint(sealed)
    certificate = Certificate(
        output_id=output_id,
        order_id=hold.order_id,
        client_id=hold.client_id,
        client_name="Client",
        creator_id=hold.creator_id,
        creator_name="Creator",
        style_id=hold.style_id,
        style_name="Style",
        version_id="ver_1",
        tier=hold.tier,
        terms_version=hold.terms_version,
        use="Private use.",
        prompt_sha256="00" * 32,
        output_sha256=sha256,
        phash=phash,
        width=64,
        height=64,
        amount=eur(60),
        issued_at=hold.created_at,
        permissions=permissions,
        expires_at=permissions.ends_at(hold.created_at),
    )
    return Made(output_id=output_id, sha256=sha256, phash=phash, certificate=certify(authority, certificate))


def sealed_drawing(authority: Authority, hold: Any, output_id: str, image: Image.Image) -> bytes:
    claim = SealClaim(
        output_id=output_id,
        licence_id=hold.order_id,
        style_id=hold.style_id,
        style_name="Style",
        version_id="ver_1",
        creator_name="Creator",
        tier=hold.tier,
        terms_version=hold.terms_version,
        adapter_sha256="ab" * 32,
        made_at=hold.created_at,
    )
    return seal(authority, encoded(image, "PNG"), "image/png", claim)


async def sell(
    world: World,
    authority: Authority,
    number: int,
    *,
    test: bool = False,
    watermark: Watermark | None = None,
    permissions: Permissions = ANY_USE,
) -> Sold:
    """The whole way of one picture: reserve, begin, mark, sign, settle."""
    style, client = await world.style(), await world.client(prepaid=1000)
    key_id = (await world.key(client, kind="test")).id if test else None
    hold = await world.held(style, client, key_id=key_id, test=test)
    begun, output_id, image = await world.begin(hold), new_id("out"), drawing(number)
    async with world.pool.acquire() as conn:
        if watermark is not None:
            await note_mark(conn, output_id)
            marked = watermark.mark(encoded(image, "PNG"), key_of(output_id))
            image = Image.open(io.BytesIO(marked)).convert("RGB")
        digest = hashlib.sha256(encoded(image, "PNG")).hexdigest()
        await gateway.may_sign(conn, order_id=hold.order_id, fence=begun.fence, digest=digest, now=world.now)
        sealed = sealed_drawing(authority, hold, output_id, image)
        made = made_of(authority, hold, output_id, sealed, permissions)
        answer = await gateway.settle(conn, order_id=hold.order_id, fence=begun.fence, made=[made], now=world.now)
    assert isinstance(answer, Settled)
    return Sold(output_id=output_id, image=image, file=sealed, certificate=made.certificate)


async def judge(world: World, authority: Authority, content: bytes, *, now: datetime = NOW) -> Verdict:
    async with world.pool.acquire() as conn:
        return await verify(conn, authority, content, now=now)


async def test_the_file_that_was_sold_is_valid_and_says_everything(world: World, authority: Authority):
    sold = await sell(world, authority, 101)

    verdict = await judge(world, authority, sold.file)

    assert (verdict.verdict, verdict.output_id, verdict.document) == ("valid", sold.output_id, sold.certificate)
    assert (verdict.certificate.amount, verdict.certificate.tier) == (eur(60), "personal")


async def test_a_picture_whose_right_has_ended_is_genuine_and_says_so(world: World, authority: Authority):
    sold = await sell(world, authority, 120, permissions=Permissions(expiry_days=30, ceiling=9))
    end = NOW + timedelta(days=30)

    for content in (sold.file, sold.certificate.encode()):
        before = await judge(world, authority, content, now=end - timedelta(seconds=1))
        after = await judge(world, authority, content, now=end)

        assert (before.verdict, before.expired_at) == ("valid", None)
        assert before.certificate.permissions == Permissions(expiry_days=30, ceiling=9)
        assert (after.verdict, after.expired_at) == ("valid", end)
        assert after.sentence.endswith(f"The right to use it ended on {end:%Y-%m-%d}.")


async def test_of_what_was_taken_back_or_only_looks_like_it_no_end_is_told(world: World, authority: Authority):
    sold = await sell(world, authority, 121, permissions=Permissions(expiry_days=1))
    later = NOW + timedelta(days=9)

    stripped = await judge(world, authority, encoded(sold.image, "PNG"), now=later)
    async with world.pool.acquire() as conn:
        await refund_output(conn, output_id=sold.output_id, reason="a mistake", by="acc_operator", now=NOW)
    revoked = await judge(world, authority, sold.file, now=later)

    assert (stripped.verdict, stripped.expired_at) == ("marked_but_stripped", None)
    assert (revoked.verdict, revoked.expired_at) == ("revoked", None)


async def test_one_flipped_byte_makes_it_altered_anywhere_in_the_file(world: World, authority: Authority):
    sold = await sell(world, authority, 102)

    for position in range(40, len(sold.file), len(sold.file) // 25):
        damaged = bytearray(sold.file)
        damaged[position] ^= 1
        verdict = await judge(world, authority, bytes(damaged))

        assert verdict.verdict == "altered", (position, verdict.sentence)


async def test_a_flipped_byte_in_the_pixels_still_names_the_output(world: World, authority: Authority):
    sold = await sell(world, authority, 103)
    damaged = bytearray(sold.file)
    damaged[-20] ^= 1

    verdict = await judge(world, authority, bytes(damaged))

    assert (verdict.verdict, verdict.output_id) == ("altered", sold.output_id)


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 60), ("JPEG", 90), ("WEBP", 70), ("PNG", 0)])
async def test_saving_it_again_strips_the_mark_but_not_the_looks(
    world: World, authority: Authority, kind: str, quality: int
):
    sold = await sell(world, authority, 104 + quality)
    options = {} if kind == "PNG" else {"quality": quality}

    verdict = await judge(world, authority, encoded(sold.image, kind, **options))

    assert (verdict.verdict, verdict.output_id) == ("marked_but_stripped", sold.output_id)
    assert verdict.distance <= 14


async def test_a_picture_that_was_never_here_is_unknown(world: World, authority: Authority):
    await sell(world, authority, 105)

    for content in (encoded(drawing(9999), "PNG"), encoded(Image.new("RGB", (64, 64), "white"), "PNG"), b"text", b""):
        verdict = await judge(world, authority, content)
        assert (verdict.verdict, verdict.output_id) == ("unknown", None)


async def test_a_picture_that_was_signed_but_never_sold_is_unknown(world: World, authority: Authority):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    sealed = sealed_drawing(authority, hold, new_id("out"), drawing(106))

    verdict = await judge(world, authority, sealed)

    assert verdict.verdict == "unknown"
    assert "never sold" in verdict.sentence


async def test_a_refund_revokes_file_copy_and_certificate_with_its_reason(world: World, authority: Authority):
    sold = await sell(world, authority, 107)
    async with world.pool.acquire() as conn:
        first = await refund_output(conn, output_id=sold.output_id, reason="not as ordered", by="acc_op", now=world.now)
        again = await refund_output(conn, output_id=sold.output_id, reason="again", by="acc_op", now=world.now)

    verdicts = [
        await judge(world, authority, content)
        for content in (sold.file, encoded(sold.image, "JPEG", quality=80), sold.certificate.encode())
    ]

    assert (first.amount, first.repeated, again.repeated) == (eur(60), False, True)
    assert {(verdict.verdict, verdict.revoked_reason) for verdict in verdicts} == {("revoked", "not as ordered")}
    assert (await world.usage(verdicts[0].certificate.client_id)).prepaid == eur(1000)
    assert await world.balance(f"payable:{verdicts[0].certificate.creator_id}:EUR") == 0


async def test_an_unknown_output_cannot_be_refunded(world: World):
    async with world.pool.acquire() as conn:
        answer = await refund_output(conn, output_id="out_none", reason="r", by="b", now=world.now)

    refused(answer, "not_found")


async def test_a_certificate_alone_or_wrapped_is_valid(world: World, authority: Authority):
    sold = await sell(world, authority, 108)

    for content in (sold.certificate, f"  {sold.certificate}\n", json.dumps({"certificate": sold.certificate})):
        verdict = await judge(world, authority, content.encode())
        assert (verdict.verdict, verdict.output_id) == ("valid", sold.output_id)


async def test_a_changed_certificate_is_altered_and_a_strange_one_unknown(world: World, authority: Authority):
    sold = await sell(world, authority, 109)
    header, _, signature = sold.certificate.split(".")
    richer = certify(authority, replace((await judge(world, authority, sold.file)).certificate, tier="exclusive"))

    changed = await judge(world, authority, f"{header}.{richer.split('.')[1]}.{signature}".encode())
    unsold = await judge(world, authority, richer.encode())
    receipt = await judge(world, authority, sign_document(authority, {"receipt": 1}).encode())
    noise = [await judge(world, authority, text) for text in (b"aaa.bbb.ccc", b'{"certificate": 7}', b'{"a"', b"{}")]

    assert (changed.verdict, changed.output_id) == ("altered", sold.output_id)
    assert (unsold.verdict, receipt.verdict) == ("unknown", "unknown")
    assert {verdict.verdict for verdict in noise} == {"unknown"}


async def test_a_test_picture_is_never_taken_for_one_that_was_bought(world: World, authority: Authority):
    sold = await sell(world, authority, 111, test=True)

    verdicts = [await judge(world, authority, content) for content in (sold.file, sold.certificate.encode())]
    likeness = await judge(world, authority, encoded(sold.image, "JPEG", quality=80))

    assert {(verdict.verdict, verdict.is_test, verdict.output_id) for verdict in verdicts} == {
        ("unknown", True, sold.output_id)
    }
    assert all("nobody bought it" in verdict.sentence for verdict in verdicts)
    assert (likeness.verdict, likeness.output_id) == ("unknown", None)


async def test_a_verdict_says_whether_the_bytes_prove_it(world: World, authority: Authority):
    sold = await sell(world, authority, 112)
    damaged = bytearray(sold.file)
    damaged[-20] ^= 1
    header, _, signature = sold.certificate.split(".")
    other = certify(authority, replace((await judge(world, authority, sold.file)).certificate, tier="exclusive"))

    proven = [sold.file, sold.certificate.encode(), bytes(damaged)]
    claimed = [encoded(sold.image, "JPEG", quality=80), f"{header}.{other.split('.')[1]}.{signature}".encode()]

    assert [(await judge(world, authority, content)).is_certain for content in proven] == [True] * 3
    assert [(await judge(world, authority, content)).is_certain for content in claimed] == [False] * 2


async def test_a_mark_in_the_pixels_is_found_where_looks_are_not(world: World, authority: Authority):
    watermark = PlainMark()
    sold = await sell(world, authority, 113, watermark=watermark)
    changed = encoded(under_glare(sold.image), "PNG")

    async with world.pool.acquire() as conn:
        intact = await verify(conn, authority, sold.file, watermark=watermark, now=NOW)
        found = await verify(conn, authority, changed, watermark=watermark, now=NOW)
        unseen = await verify(conn, authority, changed, now=NOW)

    assert (intact.verdict, unseen.verdict) == ("valid", "unknown")
    assert (found.verdict, found.output_id, found.is_certain) == ("marked_but_stripped", sold.output_id, False)
    assert "invisible mark" in found.sentence


async def test_a_mark_of_what_was_never_sold_is_no_licence(world: World, authority: Authority):
    watermark, output_id = PlainMark(), new_id("out")
    marked = watermark.mark(encoded(drawing(114), "PNG"), key_of(output_id))

    async with world.pool.acquire() as conn:
        strange = await verify(conn, authority, marked, watermark=watermark, now=NOW)
        await note_mark(conn, output_id)
        unsold = await verify(conn, authority, marked, watermark=watermark, now=NOW)

    assert (strange.verdict, unsold.verdict, unsold.output_id) == ("unknown", "unknown", None)
    assert "Nothing like" in strange.sentence
    assert "never sold" in unsold.sentence


async def test_what_was_taken_back_can_be_read_in_order_and_as_one_signed_document(world: World, authority: Authority):
    sold = [await sell(world, authority, 120 + number) for number in range(3)]
    for number, one in enumerate(sold):
        async with world.pool.acquire() as conn:
            await refund_output(
                conn, output_id=one.output_id, reason=f"r{number}", by="acc_op", now=world.later(hours=1)
            )

    async with world.pool.acquire() as conn:
        all_of_them = await list_revocations(conn)
        behind = await list_revocations(conn, after=sold[0].output_id, limit=1)
        document = verify_document(authority, await sign_revocations(conn, authority, now=world.now))

    assert [(one.output_id, one.reason) for one in all_of_them[-3:]] == [
        (one.output_id, f"r{number}") for number, one in enumerate(sold)
    ]
    assert [one.output_id for one in behind] == [sold[1].output_id]
    assert document["kind"] == "ownhand.revocations.v1"
    assert document["as_of"] == world.now.isoformat(timespec="seconds")
    assert [one["output_id"] for one in document["revocations"]] == [one.output_id for one in all_of_them]
    assert set(document["revocations"][0]) == {"output_id", "revoked_at", "reason"}


async def test_nothing_is_signed_beyond_what_is_held(world: World):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client, count=2)
    digests = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]

    async def sign(digest: str, fence: int = 1) -> None:
        async with world.pool.acquire() as conn:
            await gateway.may_sign(conn, order_id=hold.order_id, fence=fence, digest=digest, now=world.now)

    with pytest.raises(SealRefused, match="attempt"):
        await sign(digests[0], fence=0)
    await world.begin(hold)
    for digest in (digests[0], digests[1], digests[0]):
        await sign(digest)
    with pytest.raises(SealRefused, match="2 of 2"):
        await sign(digests[2])
    await world.begin(hold)
    with pytest.raises(SealRefused, match="attempt 1 is not its attempt 2"):
        await sign(digests[2])
    await sign(digests[2], fence=2)
    async with world.pool.acquire() as conn:
        recorded = await conn.fetchval("SELECT count(*) FROM licensing.signing WHERE order_id = $1", hold.order_id)
    assert recorded == 3


@pytest.mark.parametrize("end", ["void", "off", "cancel"])
async def test_nothing_is_signed_for_an_order_that_is_over(world: World, end: str):
    style, client = await world.style(), await world.client(prepaid=1000)
    hold = await world.held(style, client)
    await world.begin(hold)
    if end == "void":
        await world.void(hold)
    elif end == "off":
        await world.set_level(style, "off")
    else:
        async with world.pool.acquire() as conn:
            await gateway.request_cancel(conn, order_id=hold.order_id, client_id=client)

    async with world.pool.acquire() as conn:
        with pytest.raises(SealRefused, match=hold.order_id):
            await gateway.may_sign(conn, order_id=hold.order_id, fence=1, digest="ab" * 32, now=world.now)
        with pytest.raises(SealRefused, match="no such order"):
            await gateway.may_sign(conn, order_id="gen_none", fence=1, digest="ab" * 32, now=world.now)
