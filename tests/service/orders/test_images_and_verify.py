"""What strangers and clients hand in: pictures that are none, bombs, and files whose origin is asked."""

import io
import struct
import zlib

import pytest
from PIL import Image

from tests.service.conftest import draw, slug_of
from tests.service.market import Market


def bomb(edge: int = 20_000) -> bytes:
    """A PNG of a few kilobytes that says it is 400 million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not a picture at all", "is not a picture"),
        (b"", "is not a picture"),
        (bomb(), "has 400 million pixels, and at most 40 million are read; save it smaller"),
        (draw()[:200], "cut off"),
        (encoded("GIF"), "is a GIF file"),
    ],
    ids=["text", "empty", "bomb", "cut off", "another format"],
)
async def test_a_file_that_is_no_usable_picture_is_refused_by_name(market: Market, content: bytes, sentence: str):
    client = await market.client(cents=0)

    answer = await client.http.post("/v1/images", files={"file": ("mine.png", content)})

    assert (answer.status_code, slug_of(answer)) == (422, "image_refused")
    assert answer.json()["detail"].startswith("mine.png")
    assert sentence in answer.json()["detail"]


async def test_a_damaged_data_url_is_refused(market: Market):
    client = await market.client()

    answer = await market.order(client, image="data:image/png;base64,@@@", strength=0.5)

    assert (answer.status_code, slug_of(answer)) == (422, "image_refused")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_pictures_are_taken_as_a_form_or_as_they_are(market: Market, kind: str):
    client = await market.client(cents=0)
    content = encoded(kind)

    form = await client.http.post("/v1/images", files={"file": ("a", content)})
    plain = await client.http.post("/v1/images", content=content, headers={"Content-Type": "image/png"})

    assert form.status_code == plain.status_code == 201
    # Brought again it is kept for longer.
    assert form.json()["kept_until"] <= plain.json()["kept_until"]
    assert form.json() == plain.json() | {"kept_until": form.json()["kept_until"]}
    assert (form.json()["width"], form.json()["mime"]) == (16, f"image/{kind.lower()}")


async def test_another_kind_of_body_is_refused(market: Market):
    client = await market.client(cents=0)

    images = await client.http.post("/v1/images", json={"file": "x"})
    verify = await market.stranger.post("/v1/verify", content=b"a,b", headers={"Content-Type": "text/csv"})
    empty = await client.http.post("/v1/images", files={"other": ("a", b"x")})

    assert slug_of(images) == slug_of(verify) == "unsupported_media_type"
    assert slug_of(empty) == "invalid_request"


async def test_verify_tells_the_five_verdicts_apart(market: Market):
    client = await market.client()
    output = (await market.order(client, size=[64, 64])).json()["outputs"][0]["id"]
    picture = (await client.http.get(f"/v1/outputs/{output}")).content
    certificate = (await client.http.get(f"/v1/outputs/{output}/certificate")).json()["certificate"]

    async def verdict(content: bytes) -> str:
        answer = await market.stranger.post("/v1/verify", files={"file": ("a.png", content)})
        assert answer.status_code == 200, answer.text
        assert answer.json()["sentence"]
        return str(answer.json()["verdict"])

    flipped = bytearray(picture)
    flipped[-40] ^= 1
    stripped = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(stripped, "JPEG", quality=90)
    head, body, signature = certificate.split(".")

    assert await verdict(picture) == "valid"
    assert await verdict(certificate.encode()) == "valid"
    assert await verdict(bytes(flipped)) == "altered"
    assert await verdict(stripped.getvalue()) == "marked_but_stripped"
    assert await verdict(draw(size=64)) == "unknown"
    assert await verdict(b"anything") == "unknown"
    assert await verdict(f"{head}.{body[:-2]}AA.{signature}".encode()) in ("altered", "unknown")


async def test_verify_says_what_is_missing(market: Market):
    nothing = await market.stranger.post("/v1/verify", files={"other": ("a", b"x")})
    empty = await market.stranger.post("/v1/verify", files={"file": ("a", b"")})
    broken = await market.stranger.post("/v1/verify", content=b"{", headers={"Content-Type": "application/json"})

    assert {slug_of(answer) for answer in (nothing, empty, broken)} == {"invalid_request"}
