"""Objects in an S3 bucket. Needs the extra `s3` (boto3)."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from service.errors import ObjectMissing
from service.storage import Version, check_key

_MISSING = {"404", "NoSuchKey", "NotFound"}


def open_bucket(url: str) -> "Bucket":
    """The storage of `s3://bucket/prefix?endpoint=https://...&region=...`; credentials as boto3 finds them.

    The bucket is there already. Raises ValueError where the URL names none.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise ValueError(f"storage {url!r} names no bucket; write it like s3://bucket/prefix")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    client = boto3.client(
        "s3",
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region"),
        config=Config(signature_version="s3v4", retries={"mode": "standard", "max_attempts": 5}),
    )
    return Bucket(client, parts.netloc, parts.path.strip("/"))


class Bucket:
    """The Storage protocol over one bucket, or the part of it under a prefix."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, content: bytes | BinaryIO) -> None:
        file = io.BytesIO(content) if isinstance(content, bytes) else content
        # In parts where it is large; S3 shows the object when the last part has come.
        with _in_our_words(key):
            self._client.upload_fileobj(file, self._bucket, self._name(key))

    def get(self, key: str) -> bytes:
        with self.open(key) as file, _in_our_words(key):
            return file.read()

    def open(self, key: str) -> BinaryIO:
        with _in_our_words(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
        return cast(BinaryIO, answer["Body"])

    def exists(self, key: str) -> bool:
        try:
            with _in_our_words(key):
                self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except ObjectMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        with _in_our_words(key):
            if not self._has_versions:
                self._client.delete_object(Bucket=self._bucket, Key=self._name(key))
                return
            for name in [name for found, name, _ in self._entries(key) if found == key]:
                self._client.delete_object(Bucket=self._bucket, Key=self._name(key), VersionId=name)

    def list_keys(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _in_our_words(prefix):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield str(entry["Key"]).removeprefix(self._prefix)

    def list_versions(self, prefix: str) -> Iterator[Version]:
        with _in_our_words(prefix):
            for key, name, num_bytes in self._entries(prefix):
                if num_bytes is not None:
                    yield Version(key=key, name=name, num_bytes=num_bytes)

    def digest(self, version: Version) -> str:
        which = {"VersionId": version.name} if version.name else {}
        with _in_our_words(version.key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + version.key, **which)["Body"]
            found = hashlib.sha256()
            for part in body.iter_chunks(1024**2):
                found.update(part)
        return found.hexdigest()

    @cached_property
    def _has_versions(self) -> bool:
        """Whether the bucket keeps what is replaced or deleted, or did once. Asked once a process."""
        return bool(self._client.get_bucket_versioning(Bucket=self._bucket).get("Status"))

    def _entries(self, prefix: str) -> Iterator[tuple[str, str, int | None]]:
        """Key, version and bytes of all there is; no bytes for a mark that says a key was deleted."""
        call = "list_object_versions" if self._has_versions else "list_objects_v2"
        pages = self._client.get_paginator(call).paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
        for page in pages:
            for entry in [*page.get("Contents", ()), *page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                yield str(entry["Key"]).removeprefix(self._prefix), entry.get("VersionId", ""), entry.get("Size")

    def copy(self, source: str, target: str) -> None:
        old, new = self._name(source), self._name(target)
        with _in_our_words(source):
            self._client.copy({"Bucket": self._bucket, "Key": old}, self._bucket, new)

    def move(self, source: str, target: str) -> None:
        self.copy(source, target)
        self.delete(source)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)


@contextmanager
def _in_our_words(key: str) -> Iterator[None]:
    """What boto3 raises as what the rest of the service knows: a missing key, or a connection that may come back."""
    try:
        yield
    except ClientError as error:
        answer = error.response
        if answer.get("Error", {}).get("Code") in _MISSING:
            raise ObjectMissing(key) from error
        if answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionError(f"the bucket could not serve {key}: {error}") from error
        raise
    except (BotoConnectionError, HTTPClientError) as error:
        raise ConnectionError(f"the bucket could not be reached for {key}: {error}") from error
