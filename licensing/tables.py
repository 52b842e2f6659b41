"""The tables that pages query, as SQLAlchemy Core sees them. What they mean and refuse is in `migrations/`."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="licensing")


def _when(name: str) -> Column[datetime]:
    return Column(name, DateTime(timezone=True))


style = Table(
    "style",
    metadata,
    Column("style_id", Text, primary_key=True),
    Column("creator_id", Text),
    Column("currency", Text),
    Column("terms_version", Integer),
    _when("created_at"),
)

tier = Table(
    "tier",
    metadata,
    Column("style_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("tier", Text, primary_key=True),
    Column("position", Integer),
    Column("price", BigInteger),
    Column("use", Text),
    Column("offer_price", BigInteger),
    Column("offer_units", BigInteger),
    Column("offer_months", Integer),
)

hold = Table(
    "hold",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("client_id", Text),
    Column("key_id", Text),
    Column("creator_id", Text),
    Column("style_id", Text),
    Column("tier", Text),
    Column("count", Integer),
    Column("test", Boolean),
    Column("pay", Text),
    Column("amount", BigInteger),
    Column("currency", Text),
    Column("units", BigInteger),
    Column("running", Boolean),
    Column("state", Text),
    Column("reason", Text),
    _when("created_at"),
    _when("ended_at"),
    Column("made", Integer),
    Column("charged", BigInteger),
    Column("charged_units", BigInteger),
)

output = Table(
    "output",
    metadata,
    Column("output_id", Text, primary_key=True),
    Column("order_id", Text),
    Column("position", Integer),
    Column("client_id", Text),
    Column("creator_id", Text),
    Column("style_id", Text),
    Column("tier", Text),
    Column("test", Boolean),
    Column("sha256", Text),
    Column("certificate", Text),
    Column("price", BigInteger),
    Column("share", BigInteger),
    Column("fee", BigInteger),
    Column("currency", Text),
    _when("settled_at"),
    _when("revoked_at"),
    Column("revoked_reason", Text),
)

entry_group = Table(
    "entry_group",
    metadata,
    Column("group_no", BigInteger, primary_key=True),
    Column("kind", Text),
    Column("subject", Text),
    Column("body", JSONB),
    _when("at"),
)

entry = Table(
    "entry",
    metadata,
    Column("group_no", BigInteger, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("account_id", Text),
    Column("unit", Text),
    Column("amount", BigInteger),
)
