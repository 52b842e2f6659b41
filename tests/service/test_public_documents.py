"""Checking our signatures without asking us more than once: public keys, the root, and how long they may be kept."""

import pytest
from cryptography import x509
from joserfc import jws
from joserfc.jwk import KeySet

from licensing.authority import LOOK_EVERY_S, AuthorityFolder, sign_document
from service import desk
from service.resources import authority_folder
from tests.service.conftest import Place


async def test_a_document_is_checked_with_the_published_keys_alone(place: Place):
    document = sign_document(place.gateway.authority, {"a": 1})

    answer = await place.stranger.get("/.well-known/jwks.json")

    keys = KeySet.import_key_set(answer.json())
    assert jws.deserialize_compact(document, keys, algorithms=["Ed25519"]).payload == b'{"a":1}'
    assert not any("d" in key for key in answer.json()["keys"])
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_root_of_all_seals_is_published(place: Place):
    answer = await place.stranger.get("/.well-known/ownhand-root.pem")

    root = x509.load_pem_x509_certificate(answer.content)
    assert root.issuer == root.subject
    assert b"PRIVATE" not in answer.content
    assert answer.headers["content-type"].startswith("application/x-pem-file")
    assert answer.headers["cache-control"] == "public, max-age=86400"


async def test_keys_that_were_rotated_are_published_by_the_running_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    old = sign_document(place.gateway.authority, {"a": 1})
    before = (await place.stranger.get("/.well-known/jwks.json")).json()["keys"]

    desk.rotate_keys(place.settings, seal=True, documents=True)
    folder = AuthorityFolder(authority_folder(place.settings))
    looked_at = place.gateway.authority_folder._looked_at
    monkeypatch.setattr(place.gateway.authority_folder, "_looked_at", looked_at - LOOK_EVERY_S)
    after = (await place.stranger.get("/.well-known/jwks.json")).json()["keys"]

    assert len(after) == len(before) + 1
    assert after[0]["kid"] == folder.current().licence_key.thumbprint()
    told = await place.stranger.post("/v1/verify", json={"certificate": old})
    assert told.json()["sentence"] == "This document was signed here, but it is no certificate of an output."
