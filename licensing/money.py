"""Money as whole minor units of a currency; a split never loses or makes a unit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_CURRENCY = re.compile(r"[A-Z]{3}")
# Digits after the point (ISO 4217) where they are not 2.
_EXPONENTS = {"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3} | dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
)


@dataclass(frozen=True, order=True)
class Money:
    """`amount` minor units (cents) of `currency` (ISO 4217). Negative amounts are debts. Floats are refused."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise TypeError(f"money is whole minor units, not {self.amount!r}")
        if not _is_currency(self.currency):
            raise ValueError(f"currency {self.currency!r} is not three capital letters, as in EUR")

    @property
    def number(self) -> str:
        """The amount alone, in whole units with its digits after the point: Money(-1234, "EUR") is -12.34."""
        digits = minor_digits(self.currency)
        sign, text = "-" if self.amount < 0 else "", str(abs(self.amount)).rjust(digits + 1, "0")
        return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"

    def __str__(self) -> str:
        """As a person writes it: Money(-1234, "EUR") is -12.34 EUR."""
        return f"{self.number} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other).amount, self.currency)

    def __mul__(self, count: int) -> "Money":
        return Money(self.amount * count, self.currency)

    def split(self, weights: Sequence[int]) -> list["Money"]:
        """Shares in proportion to `weights`, summing to this exactly: see `split`."""
        return [Money(share, self.currency) for share in split(self.amount, weights)]

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added; convert one first")
        return other


@lru_cache(maxsize=256)
def _is_currency(text: str) -> bool:
    return _CURRENCY.fullmatch(text) is not None


def minor_digits(currency: str) -> int:
    """How many digits of a sum in this currency come after the point (ISO 4217)."""
    return _EXPONENTS.get(currency, 2)


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares of `amount` in proportion to `weights` by largest remainder (Hamilton's method).

    Every share is the exact one rounded down or up, and they sum to `amount`. Of equal remainders the earlier weight
    gets the unit. A negative amount is split as its positive twin.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError(f"weights {list(weights)} must not be negative and must not all be 0")
    sign, size = (-1, -amount) if amount < 0 else (1, amount)
    shares = [size * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
    for i in by_remainder[: size - sum(shares)]:
        shares[i] += 1
    return [sign * share for share in shares]
