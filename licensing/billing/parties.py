"""Who sells and who buys, as an invoice must name them."""

from dataclasses import dataclass

from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from licensing.errors import Refusal, refuse
from licensing.sentence import say

EU_COUNTRIES = frozenset(
    [
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU"),
        *("LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    ]
)
"""ISO 3166-1 codes of the countries of the European Union."""
_FIELD_CHARACTERS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Party:
    """A name and a postal address. `country` is ISO 3166-1 alpha-2; `vat_id` is compact, with its country's letters
    (`DE136695976`), None for who has none; `tax_number` is what a national office gave a seller instead."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    email: str = ""
    vat_id: str | None = None
    tax_number: str | None = None


_FIELDS = {
    "name": say("name"),
    "street": say("street"),
    "postcode": say("postcode"),
    "city": say("city"),
    "country": say("country"),
    "email": say("email"),
}


def checked(party: Party) -> Party | Refusal:
    """The party with its fields trimmed and its VAT id in compact form; invalid_request where an invoice could not name
    it. Whether an id is in use is not asked of anybody: its country, length and check digits are looked at."""
    texts = {name: getattr(party, name).strip() for name in ("name", "street", "postcode", "city", "country", "email")}
    for field in ("name", "street", "city", "country"):
        if not texts[field]:
            return refuse("invalid_request", what=say("An invoice needs a {field}; give one", field=_FIELDS[field]))
    for field, text in texts.items():
        if len(text) > _FIELD_CHARACTERS_MAX or any(not character.isprintable() for character in text):
            return refuse(
                "invalid_request",
                what=say(
                    "The {field} is too long for an invoice, or has signs that cannot be printed; give at"
                    " most {most} letters",
                    field=_FIELDS[field],
                    most=_FIELD_CHARACTERS_MAX,
                ),
            )
    country = texts["country"].upper()
    if len(country) != 2 or not country.isascii() or not country.isalpha():
        return refuse(
            "invalid_request",
            what=say("{country!r} is no country; give its two letters, as in DE", country=texts["country"]),
        )
    vat_id = party.vat_id.strip() if party.vat_id else None
    if vat_id:
        try:
            vat_id = str(vat.validate(vat_id))
        except ValidationError:
            return refuse(
                "invalid_request",
                what=say(
                    "{vat_id!r} is no VAT id of the European Union; check its letters and digits, or leave it out",
                    vat_id=vat_id,
                ),
            )
        # Greece writes EL in its ids and GR everywhere else.
        if vat_id[:2].replace("EL", "GR") != country:
            return refuse(
                "invalid_request",
                what=say(
                    "VAT id {vat_id} is not of {country}; give the country that gave it, or leave it out",
                    vat_id=vat_id,
                    country=country,
                ),
            )
    return Party(**texts | {"country": country}, vat_id=vat_id, tax_number=party.tax_number)
