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
class Trial:
    """So many units for so many days, for nothing."""

    units: int
    days: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A subscription over all styles: `price` buys `units` every `months`, before tax. `covers` says how many units one
    picture of a tier takes; a tier that is not in it is paid with money.

    A client may let pictures beyond the quota come on account, for `overage` a unit, up to a cap of their own choice
    and of at most `overage_most`. `trial`: who never had a plan may try this one, at the operator's cost.
    """

    id: str
    name: str
    price: Money
    units: int
    months: int
    covers: Mapping[str, int]
    overage: Money | None = None
    overage_most: Money | None = None
    trial: Trial | None = None


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Prepaid money: who pays `price` gets `gives`. What it gives more is the operator's."""

    id: str
    name: str
    price: Money
    gives: Money


@dataclass(frozen=True, kw_only=True)
class Free:
    """What every client gets each month: so many pictures of one tier, each worth its price there, at the operator's
    cost."""

    tier: str
    units: int
    worth: Money


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What the operator charges where a creator says nothing else."""

    currency: str
    fee_bps: int
    notice_days: int
    training_minute: Money
    """What a creator pays for a minute of a training that passes its gate, out of earnings."""
    dues: Money
    """What a creator owes for a month, whatever is earned; 0 asks for nothing (`licensing.dues`)."""
    tiers: Mapping[str, Tier]
    plans: Mapping[str, Plan]
    packs: Mapping[str, Pack]
    free: Free | None
    retry_days: tuple[int, ...]
    """How many days after a renewal that found no money it is tried again."""
    payment_days: int
    """How long a client may take to pay an invoice over pictures that came on account."""
    payout_smallest: Money
    """The least that is paid out to a creator at once."""
    pause_days_most: int
    """How long a client may pause a plan."""

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
    training, payment = _take(table, "training", dict), _take(table, "payment", dict)
    dues = _take(table, "dues", dict) if "dues" in table else {"month": 0}
    tiers = {name: _tier(section, f"tiers.{name}", currency) for name, section in _sections(table, "tiers")}
    prices = Prices(
        currency=currency,
        fee_bps=_number(table, "operator_fee_bps", most=10_000),
        notice_days=_number(table, "notice_days"),
        training_minute=Money(_number(training, "minute"), currency),
        dues=Money(_number(dues, "month"), currency),
        tiers=tiers,
        plans={name: _plan(section, name, currency, tiers) for name, section in _sections(table, "plans")},
        packs={name: _pack(section, name, currency) for name, section in _sections(table, "packs")},
        free=_free(_take(table, "free", dict), tiers) if "free" in table else None,
        retry_days=_days(_take(payment, "retry_days", list)),
        payment_days=_number(payment, "days", most=365),
        payout_smallest=Money(_number(payment, "payout_smallest", least=1), currency),
        pause_days_most=_number(payment, "pause_days_most", least=1, most=365),
    )
    _finish(training, "training")
    _finish(payment, "payment")
    _finish(dues, "dues")
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
    price = _number(section, "price")
    tier = Tier(
        price=Money(price, currency),
        use=_take(section, "use", str),
        offer=offer,
        floor=_number(section, "floor", most=price) if "floor" in section else 0,
    )
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
        overage=Money(_number(section, "overage"), currency) if "overage" in section else None,
        overage_most=Money(_number(section, "overage_most"), currency) if "overage_most" in section else None,
        trial=_trial(_take(section, "trial", dict), name) if "trial" in section else None,
    )
    _finish(section, f"plans.{name}")
    if (plan.overage is None) != (plan.overage_most is None):
        raise PricesInvalid(f"plans.{name} needs both overage and overage_most, or neither")
    return plan


def _trial(section: dict[str, Any], plan: str) -> Trial:
    trial = Trial(units=_number(section, "units", least=1), days=_number(section, "days", least=1, most=365))
    _finish(section, f"plans.{plan}.trial")
    return trial


def _pack(section: dict[str, Any], name: str, currency: str) -> Pack:
    price = _number(section, "price", least=1)
    pack = Pack(
        id=name,
        name=_take(section, "name", str),
        price=Money(price, currency),
        gives=Money(_number(section, "gives", least=price), currency),
    )
    _finish(section, f"packs.{name}")
    return pack


def _free(section: dict[str, Any], tiers: Mapping[str, Tier]) -> Free:
    tier = _take(section, "tier", str)
    if tier not in tiers:
        raise PricesInvalid(f"free.tier must name a tier of this file; {tier} is none")
    free = Free(tier=tier, units=_number(section, "units", least=1), worth=tiers[tier].price)
    _finish(section, "free")
    return free


def _days(days: list[Any]) -> tuple[int, ...]:
    if not all(type(day) is int and day > 0 for day in days) or days != sorted(set(days)):
        raise PricesInvalid(
            f"payment.retry_days must be whole days above 0, each later than the one before, not {days}"
        )
    return tuple(days)


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
