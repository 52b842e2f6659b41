"""How the columns of this room's tables are written, and the metadata that all of them are in."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "service"
metadata = sa.MetaData(schema=SCHEMA)


def primary_id() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True)


def time(name: str, *, optional: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional)


def text(name: str, default: str | None = None, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=optional, server_default=default)


def number(name: str, default: str | None = None, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=optional, server_default=default)


def real(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=True)


def json(name: str, default: str = "{}") -> sa.Column[JSONB]:
    return sa.Column(name, JSONB, nullable=False, server_default=sa.text(f"'{default}'::jsonb"))


def flag(name: str, default: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text(default))


def row_of(table: str, name: str, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{SCHEMA}.{table}.id"), nullable=optional)


def one_of(column: str, words: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")
