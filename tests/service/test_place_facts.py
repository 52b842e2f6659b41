"""What the set-up tells of storage and database: enough to know which, and no secret."""

from pathlib import Path

import pytest

from service.place_facts import database_words, storage_words
from service.settings import Settings

HOME = Path("/srv/ownhand")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "embedded, under /srv/ownhand"),
        ("postgresql://postgres:@/ownhand?host=%2Fsrv%2Fownhand%2Fpostgres", "embedded, under /srv/ownhand"),
        ("postgresql://mara:s3cret@db.example:5433/shop", "PostgreSQL at db.example, database shop"),
        ("postgresql:///shop", "PostgreSQL at this machine, database shop"),
    ],
)
def test_a_database_is_named_without_user_and_password(url: str | None, words: str):
    assert database_words(Settings(home=HOME, database_url=url)) == words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "the folder /srv/ownhand/objects"),
        ("file:/mnt/pictures", "the folder /mnt/pictures"),
        ("s3://bucket/prefix?endpoint=https://key:s3cret@minio.example", "the bucket bucket/prefix"),
    ],
)
def test_a_storage_is_named_without_its_keys(url: str | None, words: str):
    assert storage_words(Settings(home=HOME, storage_url=url)) == words
