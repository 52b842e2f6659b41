"""What makes a password, and how the wait between tries grows."""

import io
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest
import resvg_py
from PIL import Image

from service import totp
from service.devices import device_words
from service.errors import Problem
from service.pages.qr import qr_svg
from service.passwords import check_new, hash_password, is_outdated, matches
from service.sign_in_tries import PATIENCE

PEPPER = b"a pepper of tests"
# RFC 6238, appendix B: seconds, and the code of eight digits for SHA-1.
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_codes_are_those_of_the_standard(seconds: int, code: str):
    moment = datetime.fromtimestamp(seconds, UTC)

    assert totp.code_at(b"12345678901234567890", totp.step_of(moment), digits=8) == code


def test_a_code_is_good_half_a_minute_early_and_late_and_no_longer():
    secret, now = b"12345678901234567890", datetime(2026, 11, 29, tzinfo=UTC)
    code = totp.code_at(secret, totp.step_of(now))

    offsets = [
        steps for steps in range(-3, 4) if totp.matching_step(secret, code, now=now + steps * timedelta(seconds=30))
    ]

    assert offsets == [-1, 0, 1]


def test_an_app_reads_issuer_account_and_secret():
    link = totp.link(b"12345678901234567890", issuer="Bild & Werk", account="ann@example.org")

    assert link == (
        "otpauth://totp/Bild%20%26%20Werk:ann%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        "&issuer=Bild%20%26%20Werk&digits=6&period=30"
    )


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "nine char",
        "ann.miller@example.org",
        "Ann Miller",
        "annmiller2026",
        "Password123",
        "password!!!",
        "1234567890",
        "qwertyuiop",
        "aaaaaaaaaaaa",
        "abababababab",
        "correctcorrect",
        "x" * 201,
    ],
)
def test_what_a_stranger_tries_first_is_refused(password: str):
    with pytest.raises(Problem):
        check_new(password, email="ann.miller@example.org", name="Ann Miller")


@pytest.mark.parametrize("password", ["seven green kettles", "tulpe-amsel-42", "日本の鉛筆と紙と風と雨"])
def test_other_words_are_taken(password: str):
    check_new(password, email="ann.miller@example.org", name="Ann Miller")


async def test_only_the_password_under_the_same_pepper_matches_its_hash():
    kept = await hash_password("seven green kettles", pepper=PEPPER)

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "seven" not in kept
    assert await matches("seven green kettles", kept, pepper=PEPPER)
    assert not await matches("seven green kettle", kept, pepper=PEPPER)
    assert not await matches("seven green kettles", kept, pepper=b"another")
    assert not await matches("seven green kettles", None, pepper=PEPPER)
    assert not await matches("", None, pepper=PEPPER)


async def test_letters_are_the_same_however_a_keyboard_composes_them():
    kept = await hash_password("drei gr\u00fcne Kessel", pepper=PEPPER)

    assert await matches("drei gru\u0308ne Kessel", kept, pepper=PEPPER)


async def test_a_hash_of_other_costs_is_made_anew():
    kept = await hash_password("seven green kettles", pepper=PEPPER)

    assert not is_outdated(kept)
    assert is_outdated(kept.replace("m=19456", "m=8192"))
    assert not is_outdated(None)


def test_waits_double_and_end_somewhere():
    waits = [PATIENCE["password"].wait_after(count).total_seconds() for count in (1, 4, 5, 6, 7, 14, 15, 10_000)]

    assert waits == [0, 0, 2, 4, 8, 900, 900, 900]


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari on an iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"
            " Safari/537.36 Edg/141.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"
            " Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.5.0", ""),
        ("", ""),
    ],
)
def test_a_browser_is_named_as_its_owner_would(agent: str, words: str):
    assert device_words(agent) == words


def test_a_phone_reads_the_drawn_code():
    link = totp.link(b"12345678901234567890", issuer="Ownhand", account="ann@example.org")
    drawn = str(qr_svg(link, title="A code"))
    sized = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400" ')
    with Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=sized)))) as picture:
        pixels = np.asarray(picture.convert("L"))

    assert cv2.QRCodeDetector().detectAndDecode(pixels)[0] == link
    assert "style=" not in drawn
