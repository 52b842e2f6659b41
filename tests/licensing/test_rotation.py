"""New keys while the old ones are in use: what was signed before stays valid, and who signs finds the new ones."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from joserfc.jwk import OKPKey

from licensing.authority import (
    LOOK_EVERY_S,
    AuthorityFolder,
    open_authority,
    public_keys,
    sign_document,
    verify_document,
)
from licensing.certificates import certify, read_certificate
from licensing.errors import AuthorityBroken
from licensing.keymaking import rotate_document_key, rotate_leaf
from licensing.seal import read_seal, seal
from tests.licensing.drawings import drawing, encoded
from tests.licensing.papers import CERTIFICATE, CLAIM


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    open_authority(tmp_path / "authority")
    return tmp_path / "authority"


def test_documents_of_every_key_there_ever_was_stay_valid(folder: Path):
    documents = [certify(open_authority(folder), CERTIFICATE)]

    for _ in range(3):
        rotate_document_key(folder)
        documents.append(certify(open_authority(folder), CERTIFICATE))

    now = open_authority(folder)
    assert len(set(documents)) == 4
    assert [read_certificate(now, document) for document in documents] == [CERTIFICATE] * 4


def test_strangers_find_every_key_and_the_present_one_first(folder: Path):
    kids = [open_authority(folder).licence_key.thumbprint(), rotate_document_key(folder), rotate_document_key(folder)]

    told = public_keys(open_authority(folder))

    assert [key["kid"] for key in told] == [kids[2], kids[0], kids[1]]
    assert not any("d" in key for key in told)
    assert {(key["alg"], key["use"]) for key in told} == {("Ed25519", "sig")}


def test_a_retired_key_is_kept_as_its_public_half_alone(folder: Path):
    secret = open_authority(folder).licence_key.as_dict(private=True)["d"]

    rotate_document_key(folder)

    assert secret not in "".join(path.read_text() for path in folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_seals_of_the_old_leaf_stay_intact_under_the_same_root(folder: Path):
    old = open_authority(folder)
    before = seal(old, encoded(drawing(1), "PNG"), "image/png", CLAIM)

    until = rotate_leaf(folder)

    new = open_authority(folder)
    after = seal(new, encoded(drawing(1), "PNG"), "image/png", CLAIM)
    assert new.root == old.root
    assert new.seal_key.private_numbers() != old.seal_key.private_numbers()
    assert [read_seal(one, file).state for one in (old, new) for file in (before, after)] == ["intact"] * 4
    assert until == x509.load_pem_x509_certificate(new.root.encode()).not_valid_after_utc


def test_a_running_process_takes_up_new_keys_within_seconds(folder: Path):
    now = [100.0]
    keys = AuthorityFolder(folder, clock=lambda: now[0])
    first = keys.current()

    kid = rotate_document_key(folder)
    rotate_leaf(folder)

    assert keys.current() is first
    now[0] += LOOK_EVERY_S
    assert keys.current().licence_key.thumbprint() == kid
    assert keys.current().chain != first.chain
    assert verify_document(keys.current(), sign_document(first, {"a": 1})) == {"a": 1}


def test_a_process_goes_on_with_its_keys_while_the_folder_cannot_be_opened(folder: Path, caplog):
    now = [100.0]
    keys = AuthorityFolder(folder, clock=lambda: now[0])
    first, content = keys.current(), (folder / "licence.key").read_bytes()

    (folder / "licence.key").write_text("rubbish")
    now[0] += LOOK_EVERY_S
    broken = keys.current()
    (folder / "licence.key").write_bytes(content)
    now[0] += LOOK_EVERY_S
    mended = keys.current()

    assert broken is first
    assert "the changed keys cannot be opened" in caplog.text
    assert mended.licence_key.thumbprint() == first.licence_key.thumbprint()


def test_without_the_roots_key_the_leaf_stays_and_documents_get_a_new_key(folder: Path, tmp_path: Path):
    old = open_authority(folder)
    (folder / "root.key").rename(tmp_path / "elsewhere")

    with pytest.raises(AuthorityBroken, match=r"root\.key is not here, .*; put it back for as long as that takes"):
        rotate_leaf(folder)
    rotate_document_key(folder)

    new = open_authority(folder)
    assert new.chain == old.chain
    assert new.licence_key.thumbprint() != old.licence_key.thumbprint()
    (tmp_path / "elsewhere").rename(folder / "root.key")
    rotate_leaf(folder)
    assert open_authority(folder).chain != old.chain


def test_another_roots_key_signs_no_leaf(folder: Path, tmp_path: Path):
    open_authority(tmp_path / "other")
    (folder / "root.key").write_bytes((tmp_path / "other" / "root.key").read_bytes())

    with pytest.raises(AuthorityBroken, match="is not the key of"):
        rotate_leaf(folder)


def test_rotations_at_the_same_time_lose_no_key(folder: Path):
    first = open_authority(folder).licence_key.thumbprint()

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: rotate_document_key(folder), range(8)))

    told = [key["kid"] for key in public_keys(open_authority(folder))]
    assert sorted(told) == sorted([first, *made])


def test_a_folder_whose_leaf_has_its_key_apart_is_opened_and_mended(folder: Path):
    text = (folder / "seal.pem").read_text()
    at = text.index("-----BEGIN PRIVATE KEY-----")
    (folder / "seal.pem").write_text(text[:at])
    (folder / "seal.key").write_text(text[at:])
    old = open_authority(folder)

    rotate_leaf(folder)

    assert not (folder / "seal.key").exists()
    assert open_authority(folder).chain != old.chain
    assert (
        read_seal(open_authority(folder), seal(old, encoded(drawing(1), "PNG"), "image/png", CLAIM)).state == "intact"
    )


def test_nobody_signs_by_naming_one_of_our_keys(folder: Path):
    kid = open_authority(folder).licence_key.thumbprint()
    rotate_document_key(folder)
    ours = open_authority(folder)
    forger = open_authority(folder.with_name("forger"))

    document = sign_document(forger, {"a": 1})
    _, payload, signature = document.split(".")

    for named in (kid, ours.licence_key.thumbprint(), None, 7, OKPKey.generate_key("Ed25519").thumbprint()):
        header = json.dumps({"alg": "Ed25519", "typ": "JWT"} | ({} if named is None else {"kid": named}))
        head = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
        assert verify_document(ours, f"{head}.{payload}.{signature}") is None
