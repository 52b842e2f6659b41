"""What only a bucket has: objects in parts, encryption, a rule, links, and hours in which it does not answer."""

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from click.testing import CliRunner

from service.__main__ import main
from service.doctor import examine
from service.errors import FileRefused, StorageAway
from service.settings import Settings, read_settings
from service.storage.closed import Closed
from service.storage.s3 import Bucket, open_bucket
from tests.setups import s3_server

PART = 16 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Server:
    """An S3 server, and a client that looks behind what ours does."""

    endpoint: str
    client: Any

    def new_bucket(self, name: str, *, versions: bool = False) -> None:
        self.client.create_bucket(Bucket=name)
        if versions:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def url(self, bucket: str, **options: object) -> str:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://{bucket}/live?endpoint={self.endpoint}&region=us-east-1{more}"

    def unfinished(self, bucket: str) -> list[str]:
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, s3_server() as endpoint:
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        yield Server(endpoint=endpoint, client=client)


@pytest.fixture
def opened(server: Server) -> Callable[..., tuple[str, Bucket]]:
    def open_new(*, versions: bool = False, **options: object) -> tuple[str, Bucket]:
        name = f"b{time.monotonic_ns()}"
        server.new_bucket(name, versions=versions)
        return name, open_bucket(server.url(name, **options))

    return open_new


class Breaking(io.RawIOBase):
    """A file that gives so many bytes and breaks then."""

    def __init__(self, num_bytes: int) -> None:
        self._left = num_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise OSError("the disk went away")
        count = min(len(buffer), self._left)
        buffer[:count] = bytes(count)
        self._left -= count
        return count


def test_a_large_object_goes_in_parts(server: Server, opened: Callable[..., tuple[str, Bucket]]):
    name, bucket = opened()
    content = b"ab" * PART

    bucket.put("weights/large", io.BytesIO(content))

    assert server.client.head_object(Bucket=name, Key="live/weights/large")["ETag"].endswith('-2"')
    assert bucket.get("weights/large") == content
    assert server.unfinished(name) == []


def test_of_one_that_breaks_in_its_middle_no_part_is_kept(server: Server, opened: Callable[..., tuple[str, Bucket]]):
    name, bucket = opened()

    with pytest.raises(Exception, match="went away"):
        bucket.put("weights/large", io.BufferedReader(Breaking(2 * PART + 5)))

    assert server.unfinished(name) == []
    assert not bucket.exists("weights/large")


def test_parts_that_a_killed_process_left_are_dropped_by_prefix(
    server: Server, opened: Callable[..., tuple[str, Bucket]]
):
    name, bucket = opened()
    for key in ("live/trainings/a/1", "live/trainings/b/1"):
        begun = server.client.create_multipart_upload(Bucket=name, Key=key)
        server.client.upload_part(Bucket=name, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"works")

    dropped = bucket.drop_unfinished("trainings/a/")

    assert dropped == 1
    assert server.unfinished(name) == ["live/trainings/b/1"]


def test_a_style_that_is_destroyed_leaves_no_version_and_no_part(
    server: Server, opened: Callable[..., tuple[str, Bucket]]
):
    name, bucket = opened(versions=True)
    for content in (b"first", b"second"):
        bucket.put("works/sty_1/a", content)
    bucket.move("works/sty_1/a", "works/sty_1/b")
    server.client.delete_object(Bucket=name, Key="live/works/sty_1/b")

    for key in {version.key for version in bucket.list_versions("works/sty_1/")} | {"works/sty_1/b"}:
        bucket.delete(key)

    left = server.client.list_object_versions(Bucket=name, Prefix="live/works/sty_1/")
    assert [*left.get("Versions", ()), *left.get("DeleteMarkers", ())] == []


def test_all_that_is_stored_is_encrypted_as_it_was_asked(server: Server, opened: Callable[..., tuple[str, Bucket]]):
    name, bucket = opened(encryption="aws:kms", kms_key="alias/ownhand")
    bucket.put("a", b"small")
    bucket.put("b", io.BytesIO(bytes(PART + 1)))
    bucket.copy("a", "c")
    bucket.move("c", "d")

    for key in ("a", "b", "d"):
        head = server.client.head_object(Bucket=name, Key=f"live/{key}")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/ownhand")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("encrypt=AES256", "no option 'encrypt'"),
        ("encryption=rot13", "'rot13'; choose from AES256"),
        ("kms_key=alias/x", "goes with encryption=aws:kms"),
        ("encryption=AES256&kms_key=alias/x", "goes with encryption=aws:kms"),
        ("tries=often", "'often'; write a whole number"),
        ("read_s=0", "'0'; write a whole number"),
    ],
)
def test_an_option_that_is_none_is_named(query: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        open_bucket(f"s3://somewhere/live?{query}")


def test_the_rule_goes_beside_those_that_a_bucket_has(
    server: Server, tmp_path: Path, opened: Callable[..., tuple[str, Bucket]]
):
    name, _ = opened()
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 9}}
    server.client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs]})
    environ = {"OWNHAND_STORAGE_URL": server.url(name), "OWNHAND_HOME": str(tmp_path)}

    for _ in range(2):
        said = CliRunner().invoke(main, ["set-up-bucket"], env=environ)
        assert said.exit_code == 0, said.output

    rules = server.client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert [rule["ID"] for rule in rules] == ["theirs", "ownhand-unfinished-uploads"]
    assert rules[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert rules[1]["Filter"]["Prefix"] == "live/"


async def test_the_doctor_says_whether_the_rule_is_there(
    server: Server, tmp_path: Path, opened: Callable[..., tuple[str, Bucket]], database_url: str
):
    name, _ = opened()
    settings = Settings(home=tmp_path, storage_url=server.url(name), database_url=database_url)

    async def said() -> str:
        return next(one.sentence for one in await examine(settings) if one.subject == "storage")

    before = await said()
    CliRunner().invoke(main, ["set-up-bucket"], env={"OWNHAND_STORAGE_URL": server.url(name)})

    assert "ownhand set-up-bucket" in before
    assert "it deletes unfinished uploads" in await said()


def test_a_folder_has_no_bucket_to_set_up(tmp_path: Path):
    said = CliRunner().invoke(main, ["set-up-bucket", "--home", str(tmp_path)])

    assert said.exit_code == 1
    assert "names no bucket" in said.output


def test_a_link_is_signed_for_its_time_and_one_object(opened: Callable[..., tuple[str, Bucket]]):
    _, bucket = opened()
    bucket.put("outputs/1.png", b"picture")

    link = bucket.link("outputs/1.png", seconds=30, mime="image/png", filename="out_1.png")

    assert link is not None
    asked = parse_qs(urlsplit(link).query)
    assert asked["X-Amz-Expires"] == ["30"]
    assert asked["response-cache-control"] == ["private, no-store"]
    assert "X-Amz-Signature" in asked
    answer = httpx.get(link)
    assert (answer.content, answer.headers["content-type"]) == (b"picture", "image/png")
    assert 'filename="out_1.png"' in answer.headers["content-disposition"]


@pytest.mark.parametrize("seconds", [0, 61, 3600])
def test_no_link_works_for_more_than_a_minute(opened: Callable[..., tuple[str, Bucket]], seconds: int):
    _, bucket = opened()

    with pytest.raises(ValueError, match="one second to 60"):
        bucket.link("outputs/1.png", seconds=seconds, mime="image/png", filename="x.png")
    if seconds:
        with pytest.raises(ValueError, match="at most 60"):
            read_settings({"OWNHAND_LINK_S": str(seconds)})


@pytest.mark.parametrize(
    "key",
    ["works/sty_1/a", "trainings/trn_1/1/adapter.safetensors", "trainings/trn_1/1/examples/1.png", "pending/g/1.png"],
)
def test_only_sold_pictures_ever_have_a_link(opened: Callable[..., tuple[str, Bucket]], key: str):
    _, bucket = opened()

    with pytest.raises(FileRefused, match="no sold picture"):
        Closed(bucket).link(key, seconds=30, mime="image/png", filename="x.png")


def test_a_bucket_that_answers_again_soon_is_tried_again(server: Server, opened: Callable[..., tuple[str, Bucket]]):
    _, bucket = opened()
    bucket.put("a", b"1")
    asked: list[str] = []

    def refuse_once(request: Any, **_: Any) -> Any:
        asked.append(request.url)
        if len(asked) == 1:
            return _refusal(request)
        return None

    bucket.client.meta.events.register("before-send.s3.GetObject", refuse_once)

    assert bucket.get("a") == b"1"
    assert len(asked) == 2


def test_one_that_goes_on_refusing_is_away(opened: Callable[..., tuple[str, Bucket]]):
    _, bucket = opened(tries=2)
    asked: list[str] = []

    def refuse(request: Any, **_: Any) -> Any:
        asked.append(request.url)
        return _refusal(request)

    bucket.client.meta.events.register("before-send.s3", refuse)

    with pytest.raises(StorageAway, match="could not serve a"):
        bucket.get("a")
    assert len(asked) == 2


def _refusal(request: Any) -> Any:
    from botocore.awsrequest import AWSResponse

    body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    raw = io.BytesIO(body)
    raw.stream = lambda amount=None, **_: iter([body])  # type: ignore[attr-defined]
    return AWSResponse(request.url, 503, {"content-type": "application/xml"}, raw)
