"""Objects in an S3 bucket. Needs the extra `s3` (boto3)."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from service.errors import ObjectMissing, StorageAway
from service.settings import LINK_S_MAX
from service.storage import Version, check_key

_MISSING = {"404", "NoSuchKey", "NotFound"}
_OPTIONS = ("endpoint", "region", "encryption", "kms_key", "tries", "connect_s", "read_s")
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_PART_BYTES = 16 * 1024**2
_TRANSFER = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=4)
"""Larger objects go in parts, four at once, each of which is tried again by itself; where one is given up, boto3 has
the bucket forget the others."""


def open_bucket(url: str) -> "Bucket":
    """The storage of `s3://bucket/prefix?endpoint=https://...`; credentials as boto3 finds them.

    Options: `endpoint`, `region`; `encryption` (AES256, aws:kms, aws:kms:dsse) and `kms_key`, where the bucket is to
    encrypt in another way than it does by itself; `tries` of each call (5, further and further apart: botocore's
    `standard`), `connect_s` (5) and `read_s` (30) of each try.

    The bucket is there already. Raises ValueError where the URL names none, or has an option that is none of these.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise ValueError(f"storage {url!r} names no bucket; write it like s3://bucket/prefix")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(f"a bucket has no option {name!r}; choose from {', '.join(_OPTIONS)}")
    client = boto3.client(
        "s3",
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region"),
        config=Config(
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": _count(options, "tries", 5)},
            connect_timeout=_count(options, "connect_s", 5),
            read_timeout=_count(options, "read_s", 30),
        ),
    )
    return Bucket(client, parts.netloc, parts.path.strip("/"), encryption=_encryption(options))


def _count(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdecimal() or not int(text):
        raise ValueError(f"the bucket's option {name} is {text!r}; write a whole number above 0")
    return int(text)


def _encryption(options: Mapping[str, str]) -> dict[str, str]:
    """What goes with everything that is stored."""
    kind, key = options.get("encryption"), options.get("kms_key")
    if kind is not None and kind not in _ENCRYPTIONS:
        raise ValueError(f"the bucket's option encryption is {kind!r}; choose from {', '.join(_ENCRYPTIONS)}")
    if key is not None and (kind is None or not kind.startswith("aws:kms")):
        raise ValueError("the bucket's option kms_key goes with encryption=aws:kms or aws:kms:dsse")
    found = {"ServerSideEncryption": kind, "SSEKMSKeyId": key}
    return {name: value for name, value in found.items() if value is not None}


class Bucket:
    """The Storage protocol over one bucket, `name`, or the part of it under `prefix`, which ends with a slash."""

    def __init__(self, client: Any, bucket: str, prefix: str, *, encryption: Mapping[str, str]) -> None:
        self.client = client
        self._encryption = dict(encryption)
        self.name = bucket
        self.prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, content: bytes | BinaryIO) -> None:
        file = io.BytesIO(content) if isinstance(content, bytes) else content
        # In parts where it is large; S3 shows the object when the last part has come.
        with _in_our_words(key):
            self.client.upload_fileobj(file, self.name, self._name(key), ExtraArgs=self._encryption, Config=_TRANSFER)

    def get(self, key: str) -> bytes:
        with self.open(key) as file, _in_our_words(key):
            return file.read()

    def open(self, key: str) -> BinaryIO:
        with _in_our_words(key):
            answer = self.client.get_object(Bucket=self.name, Key=self._name(key))
        return cast(BinaryIO, answer["Body"])

    def exists(self, key: str) -> bool:
        try:
            with _in_our_words(key):
                self.client.head_object(Bucket=self.name, Key=self._name(key))
        except ObjectMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        with _in_our_words(key):
            if not self._has_versions:
                self.client.delete_object(Bucket=self.name, Key=self._name(key))
                return
            for name in [name for found, name, _ in self._entries(key) if found == key]:
                self.client.delete_object(Bucket=self.name, Key=self._name(key), VersionId=name)

    def list_keys(self, prefix: str) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix + prefix)
        with _in_our_words(prefix):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield str(entry["Key"]).removeprefix(self.prefix)

    def list_versions(self, prefix: str) -> Iterator[Version]:
        with _in_our_words(prefix):
            for key, name, num_bytes in self._entries(prefix):
                if num_bytes is not None:
                    yield Version(key=key, name=name, num_bytes=num_bytes)

    def digest(self, version: Version) -> str:
        which = {"VersionId": version.name} if version.name else {}
        with _in_our_words(version.key):
            body = self.client.get_object(Bucket=self.name, Key=self.prefix + version.key, **which)["Body"]
            found = hashlib.sha256()
            for part in body.iter_chunks(1024**2):
                found.update(part)
        return found.hexdigest()

    @cached_property
    def _has_versions(self) -> bool:
        """Whether the bucket keeps what is replaced or deleted, or did once. Asked once a process."""
        return bool(self.client.get_bucket_versioning(Bucket=self.name).get("Status"))

    def _entries(self, prefix: str) -> Iterator[tuple[str, str, int | None]]:
        """Key, version and bytes of all there is; no bytes for a mark that says a key was deleted."""
        call = "list_object_versions" if self._has_versions else "list_objects_v2"
        pages = self.client.get_paginator(call).paginate(Bucket=self.name, Prefix=self.prefix + prefix)
        for page in pages:
            for entry in [*page.get("Contents", ()), *page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                yield str(entry["Key"]).removeprefix(self.prefix), entry.get("VersionId", ""), entry.get("Size")

    def copy(self, source: str, target: str) -> None:
        old, new = self._name(source), self._name(target)
        with _in_our_words(source):
            where = {"Bucket": self.name, "Key": old}
            self.client.copy(where, self.name, new, ExtraArgs=self._encryption, Config=_TRANSFER)

    def move(self, source: str, target: str) -> None:
        self.copy(source, target)
        self.delete(source)

    def drop_unfinished(self, prefix: str) -> int:
        count = 0
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.name, Prefix=self.prefix + prefix
        )
        with _in_our_words(prefix):
            for one in (upload for page in pages for upload in page.get("Uploads", ())):
                self.client.abort_multipart_upload(Bucket=self.name, Key=one["Key"], UploadId=one["UploadId"])
                count += 1
        return count

    def link(self, key: str, *, seconds: int, mime: str, filename: str) -> str | None:
        """Signed here, without asking the bucket. Raises ValueError for more than a minute: nobody can take it back."""
        if not 0 < seconds <= LINK_S_MAX:
            raise ValueError(f"a link was to work for {seconds} s; it is one second to {LINK_S_MAX}")
        asked = {
            "Bucket": self.name,
            "Key": self._name(key),
            "ResponseContentType": mime,
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
            "ResponseCacheControl": "private, no-store",
        }
        return str(self.client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)


@contextmanager
def _in_our_words(key: str) -> Iterator[None]:
    """What boto3 raises as what the rest of the service knows: a missing key, or a connection that may come back."""
    try:
        yield
    except ClientError as error:
        answer = error.response
        if answer.get("Error", {}).get("Code") in _MISSING:
            raise ObjectMissing(key) from error
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise StorageAway(f"the bucket could not serve {key}: {error}") from error
        raise
    except (BotoConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise StorageAway(f"the bucket could not be reached for {key}: {error}") from error
