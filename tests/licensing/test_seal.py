"""Keys, seals and fingerprints on real pictures: what is signed, what a change does to it, what looks alike."""

import multiprocessing
import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import OKPKey
from PIL import Image

from licensing.authority import Authority, open_authority, public_keys, sign_document, verify_document
from licensing.certificates import certify, read_certificate
from licensing.errors import AuthorityBroken, SealRefused
from licensing.fingerprint import NEAR, distance, fingerprint
from licensing.seal import mime_of, read_seal, seal
from licensing.terms import Permissions
from tests.licensing.drawings import drawing, encoded
from tests.licensing.papers import CERTIFICATE, CLAIM
from tests.licensing.world import NOW, eur

KINDS = [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]


@pytest.mark.parametrize(("kind", "mime"), KINDS)
def test_a_seal_says_what_was_claimed_and_leaves_the_picture_as_it_was(authority: Authority, kind: str, mime: str):
    image = encoded(drawing(1), kind)

    sealed = seal(authority, image, mime, CLAIM)
    reading = read_seal(authority, sealed)

    assert (reading.state, reading.problems) == ("intact", ())
    assert (reading.claim["output_id"], reading.claim["style"], reading.claim["terms_version"]) == (
        "out_1",
        "Ink & wash",
        3,
    )
    assert mime_of(sealed) == mime
    assert fingerprint(sealed) == fingerprint(image)


def test_the_manifest_names_a_model_as_the_maker_and_forbids_training(authority: Authority):
    sealed = seal(authority, encoded(drawing(1), "PNG"), "image/png", CLAIM)

    for written in (
        b"trainedAlgorithmicMedia",
        b"cawg.training-mining",
        b"notAllowed",
        b"inputTo",
        b"c2pa.types.model",
    ):
        assert written in sealed
    assert b"c2pa.thumbnail" not in sealed
    allowed = seal(authority, encoded(drawing(1), "PNG"), "image/png", replace(CLAIM, training_allowed=True))
    assert b"notAllowed" not in allowed


@pytest.mark.parametrize(("kind", "mime"), KINDS)
def test_a_flipped_byte_is_noticed_wherever_the_picture_is(authority: Authority, kind: str, mime: str):
    sealed = seal(authority, encoded(drawing(2), kind), mime, CLAIM)
    choose = random.Random(7)

    for position in [len(sealed) - 20, *(choose.randrange(20, len(sealed)) for _ in range(30))]:
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        reading = read_seal(authority, bytes(damaged))

        # The manifest has room to spare that no signature covers; the file's own hash does (see verify).
        assert reading.state in ("broken", "absent", "foreign", "intact")
        if reading.state == "intact":
            assert reading.claim["output_id"] == "out_1"
            assert position < len(sealed) - 20


def test_a_changed_picture_under_our_seal_is_broken_but_still_says_what_it_was(authority: Authority):
    sealed = bytearray(seal(authority, encoded(drawing(2), "PNG"), "image/png", CLAIM))
    sealed[-20] ^= 1

    reading = read_seal(authority, bytes(sealed))

    assert (reading.state, reading.claim["output_id"]) == ("broken", "out_1")
    assert "assertion.dataHash.mismatch" in reading.problems


def test_another_operators_seal_is_foreign(authority: Authority, tmp_path: Path):
    other = open_authority(tmp_path / "other")
    sealed = seal(other, encoded(drawing(1), "PNG"), "image/png", CLAIM)

    reading = read_seal(authority, sealed)

    assert (reading.state, reading.claim) == ("foreign", {})


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", encoded(drawing(1), "PNG")[:900]]
)
def test_files_without_a_seal_have_none(authority: Authority, content: bytes):
    assert read_seal(authority, content).state == "absent"


def test_only_pictures_of_the_type_given_are_signed(authority: Authority):
    with pytest.raises(SealRefused, match="not image/png"):
        seal(authority, encoded(drawing(1), "JPEG"), "image/png", CLAIM)
    with pytest.raises(SealRefused, match="no picture"):
        seal(authority, b"text", "image/png", CLAIM)
    with pytest.raises(SealRefused, match="could not be sealed"):
        seal(authority, b"\x89PNG\r\n\x1a\nrubbish", "image/png", CLAIM)


def test_many_threads_seal_at_once(authority: Authority):
    image = encoded(drawing(3), "PNG")

    with ThreadPoolExecutor(4) as threads:
        claims = [replace(CLAIM, output_id=f"out_{number}") for number in range(12)]
        sealed = list(threads.map(lambda claim: seal(authority, image, "image/png", claim), claims))

    assert [read_seal(authority, file).claim["output_id"] for file in sealed] == [claim.output_id for claim in claims]


def test_a_certificate_comes_back_as_it_was_signed(authority: Authority):
    document = certify(authority, CERTIFICATE)

    assert read_certificate(authority, document) == CERTIFICATE


def test_a_certificate_keeps_what_its_licence_allowed_and_older_ones_are_read(authority: Authority):
    strict = replace(CERTIFICATE, permissions=Permissions(ceiling=5), expires_at=NOW, ownership_terms=2)
    payload = verify_document(authority, certify(authority, CERTIFICATE))
    for name in ("permissions", "expires_at", "ownership_terms"):
        del payload[name]

    assert read_certificate(authority, certify(authority, strict)) == strict
    assert read_certificate(authority, sign_document(authority, payload)) == CERTIFICATE


def test_a_changed_certificate_is_no_certificate(authority: Authority, tmp_path: Path):
    document = certify(authority, CERTIFICATE)
    header, _, signature = document.split(".")
    _, other_payload, _ = certify(authority, replace(CERTIFICATE, amount=eur(0))).split(".")

    assert read_certificate(authority, f"{header}.{other_payload}.{signature}") is None
    assert read_certificate(authority, document[:-4] + "AAAA") is None
    assert read_certificate(authority, "no.document.atall") is None
    assert read_certificate(authority, "Zoë") is None
    assert read_certificate(open_authority(tmp_path / "other"), document) is None
    assert read_certificate(authority, sign_document(authority, {"receipt": 1})) is None


def test_documents_can_be_checked_with_the_public_key_alone(authority: Authority):
    document = sign_document(authority, {"a": [1, "ü"]})
    (public,) = public_keys(authority)

    assert "d" not in public
    assert (
        jws.deserialize_compact(document, OKPKey.import_key(public), algorithms=["Ed25519"]).payload
        == '{"a":[1,"ü"]}'.encode()
    )
    assert verify_document(authority, document) == {"a": [1, "ü"]}


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path):
    folder = tmp_path / "deep" / "authority"

    first, again = open_authority(folder), open_authority(folder)

    assert first.root == again.root
    assert first.licence_key.thumbprint() == again.licence_key.thumbprint()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert [path.name for path in folder.parent.iterdir()] == ["authority"]
    assert "PRIVATE" not in repr(first)


def _thumbprint(folder: Path) -> str:
    return open_authority(folder).licence_key.thumbprint()


def test_processes_that_start_together_share_one_set_of_keys(tmp_path: Path):
    folder = tmp_path / "authority"

    with multiprocessing.get_context("fork").Pool(4) as pool:
        prints = pool.map(_thumbprint, [folder] * 8)

    assert len(set(prints)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["authority"]


def test_damaged_or_open_keys_are_refused_with_the_way_out(tmp_path: Path):
    folder = tmp_path / "authority"
    open_authority(folder)

    (folder / "seal.pem").chmod(0o644)
    with pytest.raises(AuthorityBroken, match="chmod"):
        open_authority(folder)
    (folder / "seal.pem").chmod(0o600)
    (folder / "licence.key").write_text("rubbish")
    with pytest.raises(AuthorityBroken, match="backup"):
        open_authority(folder)
    (folder / "licence.key").unlink()
    with pytest.raises(AuthorityBroken, match="missing"):
        open_authority(folder)


@pytest.mark.parametrize("name", ["root.pem", "seal.pem"])
def test_a_leaf_of_another_root_is_refused_before_it_seals_anything(tmp_path: Path, name: str):
    folder = tmp_path / "authority"
    open_authority(folder)
    open_authority(tmp_path / "other")

    (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())

    with pytest.raises(AuthorityBroken, match="does not fit"):
        open_authority(folder)


def test_a_signature_that_does_not_hold_seals_nothing(authority: Authority):
    wrong = replace(authority, seal_key=ec.generate_private_key(ec.SECP256R1()))

    with pytest.raises(SealRefused, match="out_1 could not be sealed"):
        seal(wrong, encoded(drawing(1), "PNG"), "image/png", CLAIM)


def test_a_fingerprint_survives_what_happens_to_pictures_online():
    for number in range(12):
        image = drawing(number)
        original = fingerprint(encoded(image, "PNG"))
        half = image.resize((128, 128), Image.Resampling.LANCZOS)
        double = image.resize((512, 512), Image.Resampling.BICUBIC)
        copies = [
            encoded(image, "JPEG", quality=40),
            encoded(image, "JPEG", quality=90),
            encoded(image, "WEBP", quality=50),
            encoded(half, "JPEG", quality=75),
            encoded(double, "PNG"),
        ]

        assert max(distance(original, fingerprint(copy)) for copy in copies) <= NEAR


def test_different_pictures_have_far_fingerprints():
    prints = [fingerprint(encoded(drawing(number, side=64), "PNG")) for number in range(120)]

    near = [
        (one, other)
        for one in range(len(prints))
        for other in range(one)
        if distance(prints[one], prints[other]) <= NEAR
    ]

    assert near == []


def test_a_fingerprint_sees_a_picture_on_white_and_upright():
    image = drawing(5)
    clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
    opaque = Image.new("RGB", image.size, "white")

    assert fingerprint(encoded(clear, "PNG")) == fingerprint(encoded(opaque, "PNG")) == "0" * 64
    turned = image.rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(turned, "PNG", exif=exif)
    assert distance(fingerprint(file), fingerprint(encoded(image, "PNG"))) <= NEAR


@pytest.mark.parametrize("content", [b"", b"text", encoded(drawing(1), "PNG")[:300]])
def test_what_is_no_picture_has_no_fingerprint(content: bytes):
    with pytest.raises(ValueError, match="not a picture"):
        fingerprint(content)


@pytest.mark.parametrize("side", [9_000, 20_000])
def test_a_picture_that_unpacks_beyond_measure_is_not_opened(side: int):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    bomb += struct.pack(">I", 10) + b"IDAT" + bytes(14)

    with pytest.raises(ValueError, match=r"too large|exceeds"):
        fingerprint(bomb)
