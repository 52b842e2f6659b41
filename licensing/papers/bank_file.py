"""Payouts as a file that an operator's bank takes: SEPA credit transfers, ISO 20022 pain.001.001.09.

Source: EPC132-08, the implementation guidelines of the European Payments Council for customers and their banks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from anyascii import anyascii
from lxml import etree
from stdnum import bic as bics
from stdnum import iban as ibans
from stdnum.exceptions import ValidationError

from licensing.errors import Refusal, refuse
from licensing.money import Money
from licensing.papers.characters import one_line
from licensing.sentence import say

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
SEPA_COUNTRIES = frozenset(
    [
        *("AD", "AL", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GI", "GR", "HR"),
        *("HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MC", "MD", "ME", "MK", "MT", "NL", "NO", "PL", "PT", "RO"),
        *("RS", "SE", "SI", "SK", "SM", "VA"),
    ]
)
"""The countries of IBANs that a credit transfer reaches (EPC409-09)."""
_AMOUNT_MAX = 99_999_999_999
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-?:().,'+ ")
_NAME_MAX, _ID_MAX, _REFERENCE_MAX = 70, 35, 140


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whose money is sent, and from where. `bic` only where the bank asks for it."""

    name: str
    iban: str
    bic: str | None = None


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One payout. `reference` is what its receiver reads; `end_to_end_id` comes back on both bank statements.

    Banks carry Latin letters and few signs: other scripts are transliterated, an underscore becomes a hyphen.
    """

    name: str
    iban: str
    amount: Money
    reference: str
    end_to_end_id: str
    bic: str | None = None


def bank_file(
    transfers: Sequence[Transfer], *, debtor: Account, execute_on: date, message_id: str, created_at: datetime
) -> bytes | Refusal:
    """The file (XML, UTF-8), one batch that the bank books as one sum.

    invalid_request for an IBAN or BIC that is none or that SEPA does not reach, and for what is not in euros. Raises
    ValueError for no transfers at all, for two with one id, and for ids that are too long: a bank would pay twice, or
    send back the whole file.
    """
    answers = [_unreachable(debtor), *map(_unreachable, transfers), *map(_uncarried, transfers)]
    refused = next(filter(None, answers), None)
    if refused:
        return refused
    ids = {_id(transfer.end_to_end_id) for transfer in transfers}
    if not transfers or len(ids) != len(transfers):
        raise ValueError(f"{message_id}: {len(transfers)} transfers with {len(ids)} ids")
    root = etree.Element(f"{{{NAMESPACE}}}Document", nsmap={None: NAMESPACE})
    initiation = _add(root, "CstmrCdtTrfInitn")
    header = _add(initiation, "GrpHdr")
    _add(header, "MsgId", _id(message_id))
    _add(header, "CreDtTm", f"{created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    _add_control(header, transfers)
    _add(_add(header, "InitgPty"), "Nm", _latin(debtor.name, _NAME_MAX))
    _add_batch(initiation, transfers, debtor, execute_on, message_id)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def checked_iban(text: str) -> str | Refusal:
    """An IBAN in compact form; invalid_request where its country, length or check digits are wrong."""
    try:
        return str(ibans.validate(text))
    except ValidationError:
        return refuse(
            "invalid_request", what=say("{iban!r} is no IBAN; check its letters and digits", iban=one_line(text))
        )


def _unreachable(party: Account | Transfer) -> Refusal | None:
    iban = checked_iban(party.iban)
    if isinstance(iban, Refusal):
        return iban
    if iban[:2] not in SEPA_COUNTRIES:
        return refuse(
            "invalid_request",
            what=say(
                "{iban} of {name} is in {country}, where SEPA does not reach; pay it by the table of payouts",
                iban=iban,
                name=party.name,
                country=iban[:2],
            ),
        )
    if party.bic and not bics.is_valid(party.bic):
        return refuse(
            "invalid_request",
            what=say("{bic!r} of {name} is no BIC; check it, or leave it out", bic=party.bic, name=party.name),
        )
    return None


def _uncarried(transfer: Transfer) -> Refusal | None:
    if transfer.amount.currency == "EUR" and 0 < transfer.amount.amount <= _AMOUNT_MAX:
        return None
    return refuse(
        "invalid_request",
        what=say(
            "A SEPA transfer carries 0.01 to 999999999.99 EUR, and {end_to_end_id} is {amount}; pay"
            " it by the table of payouts",
            end_to_end_id=transfer.end_to_end_id,
            amount=transfer.amount,
        ),
    )


def _add_batch(
    initiation: etree._Element, transfers: Sequence[Transfer], debtor: Account, execute_on: date, message_id: str
) -> None:
    batch = _add(initiation, "PmtInf")
    _add(batch, "PmtInfId", _id(message_id))
    _add(batch, "PmtMtd", "TRF")
    _add(batch, "BtchBookg", "true")
    _add_control(batch, transfers)
    _add(_add(_add(batch, "PmtTpInf"), "SvcLvl"), "Cd", "SEPA")
    _add(_add(batch, "ReqdExctnDt"), "Dt", execute_on.isoformat())
    _add(_add(batch, "Dbtr"), "Nm", _latin(debtor.name, _NAME_MAX))
    _add_iban(batch, "DbtrAcct", debtor.iban)
    institution = _add(_add(batch, "DbtrAgt"), "FinInstnId")
    if debtor.bic:
        _add(institution, "BICFI", bics.compact(debtor.bic))
    else:
        _add(_add(institution, "Othr"), "Id", "NOTPROVIDED")
    _add(batch, "ChrgBr", "SLEV")
    for transfer in transfers:
        _add_transfer(batch, transfer)


def _add_transfer(batch: etree._Element, transfer: Transfer) -> None:
    element = _add(batch, "CdtTrfTxInf")
    _add(_add(element, "PmtId"), "EndToEndId", _id(transfer.end_to_end_id))
    _add(_add(element, "Amt"), "InstdAmt", transfer.amount.number).set("Ccy", transfer.amount.currency)
    if transfer.bic:
        _add(_add(_add(element, "CdtrAgt"), "FinInstnId"), "BICFI", bics.compact(transfer.bic))
    _add(_add(element, "Cdtr"), "Nm", _latin(transfer.name, _NAME_MAX))
    _add_iban(element, "CdtrAcct", transfer.iban)
    _add(_add(element, "RmtInf"), "Ustrd", _latin(transfer.reference, _REFERENCE_MAX))


def _add_control(parent: etree._Element, transfers: Sequence[Transfer]) -> None:
    """Number and sum of the transfers: the bank counts again."""
    _add(parent, "NbOfTxs", str(len(transfers)))
    _add(parent, "CtrlSum", Money(sum(transfer.amount.amount for transfer in transfers), "EUR").number)


def _add_iban(parent: etree._Element, tag: str, iban: str) -> None:
    _add(_add(_add(parent, tag), "Id"), "IBAN", ibans.compact(iban))


def _add(parent: etree._Element, tag: str, text: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, f"{{{NAMESPACE}}}{tag}")
    element.text = text
    return element


def _latin(text: str, characters_max: int) -> str:
    """`text` in the characters that every bank carries, cut to length. What is left of nothing is a full stop, for the
    field must not be empty."""
    carried = "".join(character if character in _CHARACTERS else " " for character in anyascii(one_line(text)))
    return " ".join(carried.split())[:characters_max].strip() or "."


def _id(text: str) -> str:
    """Raises ValueError for what would be cut or changed beyond its underscores: an id must come back as it went."""
    changed = text.replace("_", "-")
    if not 0 < len(changed) <= _ID_MAX or not _CHARACTERS.issuperset(changed) or " " in changed or "/" in changed:
        raise ValueError(f"{text!r} is no id for a bank: at most {_ID_MAX} letters, digits and hyphens")
    return changed
