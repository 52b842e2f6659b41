"""The operator's prices as data: `configs/prices.toml` read into frozen values."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licensing.errors import PricesInvalid
from licensing.money import Money
from licensing.terms import Offer, Permissions, StyleTerms, Tier


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A subscription over all styles: `price` buys `units` every `months`. `covers` says how many units one picture of
    a tier takes; a tier that is not in it is paid with money."""

    id: str
    name: str
    price: Money
    units: int
    months: int
    covers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What the operator charges where a creator says nothing else."""

    currency: str
    fee_bps: int
    notice_days: int
    training_minute: Money
    """What a creator pays for a minute of a training that passes its gate, out of earnings."""
    tiers: Mapping[str, Tier]
    plans: Mapping[str, Plan]

    def default_terms(self, *, style_id: str, creator_id: str, permissions: Permissions | None = None) -> StyleTerms:
        """Terms for a style whose creator has not set any."""
        return StyleTerms(
            style_id=style_id,
            creator_id=creator_id,
            tiers=self.tiers,
            fee_bps=self.fee_bps,
            notice_days=self.notice_days,
            permissions=permissions or Permissions(),
        )


def load_prices(path: Path) -> Prices:
    """Read a prices file. Raises PricesInvalid naming the key that is missing, unknown or cannot be charged."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PricesInvalid(f"{path} cannot be read as prices: {error}") from error
    try:
        return _prices(table)
    except PricesInvalid as error:
        raise PricesInvalid(f"{path}: {error}") from error


def _prices(table: dict[str, Any]) -> Prices:
    currency = _take(table, "currency", str)
    try:
        Money(0, currency)
    except ValueError as error:
        raise PricesInvalid(str(error)) from error
    training = _take(table, "training", dict)
    tiers = {name: _tier(section, f"tiers.{name}", currency) for name, section in _sections(table, "tiers")}
    prices = Prices(
        currency=currency,
        fee_bps=_number(table, "operator_fee_bps", most=10_000),
        notice_days=_number(table, "notice_days"),
        training_minute=Money(_number(training, "minute"), currency),
        tiers=tiers,
        plans={name: _plan(section, name, currency, tiers) for name, section in _sections(table, "plans")},
    )
    _finish(training, "training")
    _finish(table, "the file")
    return prices


def _tier(section: dict[str, Any], where: str, currency: str) -> Tier:
    offer = None
    if "licence" in section:
        inner = _take(section, "licence", dict)
        offer = Offer(
            price=Money(_number(inner, "price"), currency),
            units=_number(inner, "units", least=1),
            months=_number(inner, "months", least=1),
        )
        _finish(inner, f"{where}.licence")
    tier = Tier(price=Money(_number(section, "price"), currency), use=_take(section, "use", str), offer=offer)
    _finish(section, where)
    return tier


def _plan(section: dict[str, Any], name: str, currency: str, tiers: Mapping[str, Tier]) -> Plan:
    covers = _take(section, "covers", dict)
    unknown = sorted(covers.keys() - tiers.keys())
    if unknown or not covers:
        raise PricesInvalid(f"plans.{name}.covers must name tiers of this file; {unknown} are none")
    plan = Plan(
        id=name,
        name=_take(section, "name", str),
        price=Money(_number(section, "price"), currency),
        units=_number(section, "units", least=1),
        months=_number(section, "months", least=1),
        covers={tier: _number(covers, tier, least=1) for tier in list(covers)},
    )
    _finish(section, f"plans.{name}")
    return plan


def _take(table: dict[str, Any], key: str, kind: type) -> Any:
    """Remove and return a value of type `kind`; what is left at the end are the keys nobody knows."""
    if type(table.get(key)) is not kind:
        raise PricesInvalid(f"{key} must be a {kind.__name__}, not {table.get(key)!r}")
    return table.pop(key)


def _number(table: dict[str, Any], key: str, *, least: int = 0, most: int = 10**12) -> int:
    number: int = _take(table, key, int)
    if not least <= number <= most:
        raise PricesInvalid(f"{key} must be between {least} and {most}, not {number}")
    return number


def _sections(table: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    sections = _take(table, key, dict)
    if not sections:
        raise PricesInvalid(f"[{key}.<name>] must be there at least once")
    return [(name, _take(sections, name, dict)) for name in list(sections)]


def _finish(table: dict[str, Any], where: str) -> None:
    if table:
        raise PricesInvalid(f"{where} has keys that mean nothing: {sorted(table)}")
