"""What every storage keeps: the folder, S3 over its protocol against a server process, the memory that tests use."""

import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from service.errors import ObjectMissing
from service.storage import Storage, open_storage
from tests.contracts.memory_storage import Memory
from tests.setups import s3_server


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "bucket", "memory"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_endpoint: str
) -> Storage:
    if request.param == "folder":
        return open_storage(f"file:{tmp_path / 'objects'}", tmp_path)
    if request.param == "memory":
        return Memory()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    bucket = f"b{abs(hash(tmp_path))}"
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return open_storage(f"s3://{bucket}/under/here?endpoint={s3_endpoint}&region=us-east-1", tmp_path)


def test_what_was_put_can_be_got(storage: Storage):
    storage.put("works/a/1.png", b"one")

    assert storage.get("works/a/1.png") == b"one"
    assert storage.exists("works/a/1.png")


def test_putting_again_replaces(storage: Storage):
    storage.put("a", b"old and longer")

    storage.put("a", b"new")

    assert storage.get("a") == b"new"


def test_a_large_object_is_streamed_both_ways(storage: Storage):
    content = bytes(range(256)) * 4096 * 10

    storage.put("large", io.BytesIO(content))

    with storage.open("large") as file:
        assert file.read(1024) == content[:1024]
        assert 1024 + len(file.read()) == len(content)


@pytest.mark.parametrize("read", ["get", "open"])
def test_a_missing_key_is_an_answer_of_ours(storage: Storage, read: str):
    with pytest.raises(ObjectMissing):
        getattr(storage, read)("nothing/here")
    assert not storage.exists("nothing/here")


@pytest.mark.parametrize("change", ["copy", "move"])
def test_a_missing_source_is_an_answer_of_ours(storage: Storage, change: str):
    with pytest.raises(ObjectMissing):
        getattr(storage, change)("nothing", "elsewhere/here")

    assert list(storage.list_keys("")) == []


def test_deleting_twice_is_harmless(storage: Storage):
    storage.put("a/b", b"1")

    storage.delete("a/b")
    storage.delete("a/b")

    assert not storage.exists("a/b")


def test_a_copy_leaves_the_source_and_a_move_does_not(storage: Storage):
    storage.put("pending/1", b"picture")

    storage.copy("pending/1", "outputs/copy")
    storage.move("pending/1", "outputs/moved")

    assert list(storage.list_keys("")) == ["outputs/copy", "outputs/moved"]
    assert storage.get("outputs/copy") == storage.get("outputs/moved") == b"picture"


def test_keys_are_listed_by_prefix_in_order(storage: Storage):
    for key in ("b/2", "a/1", "a/10", "ab", "a-b/1"):
        storage.put(key, b"")

    assert list(storage.list_keys("a/")) == ["a/1", "a/10"]
    assert list(storage.list_keys("")) == ["a-b/1", "a/1", "a/10", "ab", "b/2"]
    assert list(storage.list_keys("zzz")) == []


def test_keys_are_listed_while_others_delete_them(tmp_path: Path):
    storage, over = open_storage(f"file:{tmp_path / 'objects'}", tmp_path), threading.Event()
    storage.put("stays", b"")

    def come_and_go() -> None:
        while not over.is_set():
            path = tmp_path / "objects" / "pending" / "order" / "1"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            storage.delete("pending/order/1")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(2000):
            assert set(storage.list_keys("")) - {"pending/order/1"} == {"stays"}
            assert {version.key for version in storage.list_versions("")} - {"pending/order/1"} == {"stays"}
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../outside", "a/../../b", "a//b", ".hidden", "a/.b", "a\\b", "a b", "ä", "a/" * 400]
)
def test_a_key_cannot_leave_its_place(storage: Storage, key: str):
    with pytest.raises(ValueError, match="storage key"):
        storage.put(key, b"")
    with pytest.raises(ValueError, match="storage key"):
        storage.exists(key)


def test_an_unfinished_put_leaves_what_was_there(storage: Storage):
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            raise OSError("the disk went away")

    storage.put("a", b"before")

    with pytest.raises(Exception, match="went away"):
        storage.put("a", io.BufferedReader(Broken()))

    assert storage.get("a") == b"before"
    assert list(storage.list_keys("")) == ["a"]


def test_an_unknown_kind_of_storage_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="ftp"):
        open_storage("ftp://somewhere/else", tmp_path)


def test_a_bucket_that_does_not_answer_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    storage = open_storage(f"s3://nowhere?endpoint=http://127.0.0.1:{port}&region=us-east-1", tmp_path)

    with pytest.raises(ConnectionError, match="could not be reached"):
        storage.get("a")
    with pytest.raises(ConnectionError, match="could not be reached"):
        storage.put("a", b"1")


def test_all_there_is_is_listed_with_its_size_and_hash(storage: Storage):
    storage.put("works/a", b"a work")
    storage.put("pending/b", b"")

    found = list(storage.list_versions("works/"))

    assert [(one.key, one.num_bytes, storage.digest(one)) for one in found] == [
        ("works/a", 6, hashlib.sha256(b"a work").hexdigest())
    ]
    assert {one.key for one in storage.list_versions("")} == {"works/a", "pending/b"}
    storage.delete("works/a")
    with pytest.raises(ObjectMissing):
        storage.digest(found[0])


def test_a_bucket_with_versions_forgets_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_endpoint: str):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    storage = open_storage(f"s3://versions/here?endpoint={s3_endpoint}&region=us-east-1", tmp_path)
    storage.put("works/a", b"old")
    storage.put("works/a", b"newer")
    storage.put("works/ab", b"another")
    # As other programs delete: what was there stays behind a mark.
    client.delete_object(Bucket="versions", Key="here/works/a")
    assert not storage.exists("works/a")

    hidden = {(one.key, one.num_bytes) for one in storage.list_versions("works/")}
    hashes = {storage.digest(one) for one in storage.list_versions("works/a") if one.key == "works/a"}
    storage.delete("works/a")

    assert hidden == {("works/a", 3), ("works/a", 5), ("works/ab", 7)}
    assert hashes == {hashlib.sha256(content).hexdigest() for content in (b"old", b"newer")}
    assert [one.key for one in storage.list_versions("works/")] == ["works/ab"]
    left = client.list_object_versions(Bucket="versions", Prefix="here/works/")
    assert "DeleteMarkers" not in left
    assert storage.get("works/ab") == b"another"


def test_what_was_never_finished_is_forgotten(storage: Storage):
    storage.put("works/a/1", b"whole")

    assert storage.drop_unfinished("works/") == 0
    assert storage.get("works/a/1") == b"whole"
