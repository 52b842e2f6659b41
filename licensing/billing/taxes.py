"""Which tax a buyer pays: the operator's rates, `configs/seller.toml`, and the rule that picks one."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stdnum import iban
from stdnum.exceptions import ValidationError

from licensing.billing.invoices import TaxRate
from licensing.billing.parties import EU_COUNTRIES, Party, checked
from licensing.errors import PricesInvalid, Refusal
from licensing.sentence import say

REVERSE_CHARGE = say("Reverse charge: the recipient is liable for the VAT.")
OUTSIDE = say("Not subject to VAT here: the recipient is outside the European Union.")
_BPS_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Seller:
    """Who issues invoices. `prefix` begins their numbers, `pay_to` says how one pays what is due. `iban` is the account
    that creators are paid from, by a file for the bank; empty where there is none."""

    party: Party
    prefix: str
    pay_to: str
    iban: str = ""
    bic: str | None = None


@dataclass(frozen=True, kw_only=True)
class Taxes:
    """Rates in hundredths of a percent by country; `home` for whoever tells nothing. `home` None: no tax is charged,
    and invoices say `exempt` as the reason."""

    home: int | None
    rates: Mapping[str, int]
    exempt: str
    seller: Seller | None

    def rate_for(self, buyer: Party | None) -> TaxRate:
        """The rate for what this buyer buys, None for somebody who told nothing.

        Digital services of the European Union: taxed where the buyer is (an own rate for that country, else the home
        rate); a business elsewhere in the Union, with a VAT id, owes the tax itself; outside of it none is due here.
        """
        if self.home is None:
            return TaxRate(category="E", bps=0, why=self.exempt)
        home = self.seller.party.country if self.seller else None
        if buyer is None or buyer.country == home:
            return _standard(self.home)
        if buyer.country not in EU_COUNTRIES:
            return TaxRate(category="O", bps=0, why=OUTSIDE)
        if buyer.vat_id:
            return TaxRate(category="AE", bps=0, why=REVERSE_CHARGE)
        return _standard(self.rates.get(buyer.country, self.home))


def load_taxes(path: Path) -> Taxes:
    """Read a seller file. Raises PricesInvalid naming what is missing, unknown or cannot be."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PricesInvalid(f"{path} cannot be read as a seller: {error}") from error
    unknown = sorted(table.keys() - {"tax", "seller"})
    if unknown or not isinstance(table.get("tax"), dict):
        raise PricesInvalid(f"{path}: it needs [tax] and may have [seller]; {unknown} mean nothing")
    try:
        seller = _seller(table["seller"]) if "seller" in table else None
        return _taxes(table["tax"], seller)
    except PricesInvalid as error:
        raise PricesInvalid(f"{path}: {error}") from error


def _standard(bps: int) -> TaxRate:
    return TaxRate(category="S", bps=bps) if bps else TaxRate(category="E", bps=0, why=say("No VAT is due."))


def _taxes(table: dict[str, Any], seller: Seller | None) -> Taxes:
    unknown = sorted(table.keys() - {"home", "rates", "exempt"})
    if unknown:
        raise PricesInvalid(f"[tax] has keys that mean nothing: {unknown}")
    home, rates, exempt = table.get("home"), table.get("rates", {}), table.get("exempt", "")
    wrong = [rate for rate in ([home] if home is not None else []) + list(rates.values()) if not _is_rate(rate)]
    if wrong:
        raise PricesInvalid(f"tax rates are whole hundredths of a percent from 0 to {_BPS_MAX}, not {wrong}")
    if home is None and (rates or not exempt):
        raise PricesInvalid("[tax] needs `home`, or no rates and the sentence `exempt`")
    if home is not None and seller is None:
        raise PricesInvalid("whoever charges tax is named on invoices: [seller] is missing")
    return Taxes(home=home, rates=rates, exempt=exempt, seller=seller)


def _seller(table: dict[str, Any]) -> Seller:
    fields = {"name", "street", "postcode", "city", "country", "email", "vat_id", "tax_number"}
    own = {"prefix", "pay_to", "iban", "bic"}
    unknown = sorted(table.keys() - fields - own)
    if unknown or not all(isinstance(value, str) for value in table.values()):
        raise PricesInvalid(f"[seller] has keys that mean nothing, or values that are no text: {unknown}")
    values = {name: table.get(name, "") for name in fields}
    values |= {name: values[name] or None for name in ("vat_id", "tax_number")}
    party = checked(Party(**values))
    if isinstance(party, Refusal):
        raise PricesInvalid(f"[seller]: {party.message}")
    if not party.vat_id and not party.tax_number:
        raise PricesInvalid("[seller] needs a vat_id or a tax_number: invoices must have one")
    return Seller(
        party=party,
        prefix=table.get("prefix", ""),
        pay_to=table.get("pay_to", ""),
        iban=_iban(table.get("iban", "")),
        bic=table.get("bic"),
    )


def _iban(text: str) -> str:
    try:
        return str(iban.validate(text)) if text else ""
    except ValidationError as error:
        raise PricesInvalid(f"[seller]: {text!r} is no IBAN; look for a mistyped letter or digit") from error


def _is_rate(rate: object) -> bool:
    return type(rate) is int and 0 <= rate <= _BPS_MAX
