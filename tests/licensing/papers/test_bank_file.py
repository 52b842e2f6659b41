"""A bank's file is valid by ISO 20022, pays each creator once, and carries nothing that SEPA does not."""

import importlib.resources
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from lxml import etree

from licensing.errors import Refusal
from licensing.money import Money
from licensing.papers.bank_file import NAMESPACE, Account, Transfer, bank_file, checked_iban
from tests.licensing.world import eur

HOUSE = Account(name="Atelier Łucja Dvořák & Töchter", iban="DE89 3704 0044 0532 0130 00", bic="COBADEFFXXX")
ADA = Transfer(
    name="Ada Lovelace",
    iban="GB29 NWBK 6016 1331 9268 19",
    amount=eur(12_345),
    reference="Statement March 2026",
    end_to_end_id="pyt_01jd3vqz8x5n7r2k4m6p8t0w1y",
)
ELENI = replace(
    ADA,
    name="Ελένη Γρηγορίου <&>",
    iban="GR1601101250000000012300695",
    bic="ETHNGRAA",
    amount=eur(1),
    end_to_end_id="pyt_2",
)


def file_of(*transfers: Transfer, debtor: Account = HOUSE) -> bytes | Refusal:
    return bank_file(
        transfers,
        debtor=debtor,
        execute_on=date(2026, 4, 2),
        message_id="run_2026_03",
        created_at=datetime(2026, 4, 1, 9, 30, 15, 999, tzinfo=UTC),
    )


def read(written: bytes | Refusal) -> etree._Element:
    assert isinstance(written, bytes), written
    root = etree.fromstring(written)
    schema = importlib.resources.files("sepaxml") / "schemas" / "pain.001.001.09.xsd"
    etree.XMLSchema(etree.parse(str(schema))).assertValid(root)
    return root


def texts(root: etree._Element, path: str) -> list[str]:
    path = "/".join(f"{{{NAMESPACE}}}{tag}" for tag in path.split("/"))
    return [element.text for element in root.iterfind(f".//{path}")]


def test_each_creator_is_paid_once_and_the_sums_agree():
    root = read(file_of(ADA, ELENI))

    assert texts(root, "InstdAmt") == ["123.45", "0.01"]
    assert texts(root, "CtrlSum") == ["123.46", "123.46"]
    assert texts(root, "NbOfTxs") == ["2", "2"]
    assert texts(root, "CdtrAcct/Id/IBAN") == ["GB29NWBK60161331926819", "GR1601101250000000012300695"]
    assert texts(root, "CdtrAgt/FinInstnId/BICFI") == ["ETHNGRAA"]
    assert texts(root, "EndToEndId") == ["pyt-01jd3vqz8x5n7r2k4m6p8t0w1y", "pyt-2"]
    assert texts(root, "ReqdExctnDt/Dt") == ["2026-04-02"]
    assert texts(root, "CreDtTm") == ["2026-04-01T09:30:15Z"]


def test_names_are_written_as_every_bank_can_carry_them():
    root = read(
        file_of(ADA, ELENI, replace(ADA, name="李\x00" * 90, end_to_end_id="3"), debtor=replace(HOUSE, bic=None))
    )

    assert texts(root, "Dbtr/Nm") == ["Atelier Lucja Dvorak Tochter"]
    assert texts(root, "Cdtr/Nm")[1] == "Eleni Grigorioy"
    assert 0 < len(texts(root, "Cdtr/Nm")[2]) <= 70
    assert texts(root, "DbtrAgt/FinInstnId/Othr/Id") == ["NOTPROVIDED"]


def test_the_same_payouts_are_the_same_bytes():
    assert file_of(ADA, ELENI) == file_of(ADA, ELENI)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iban": "GB29 NWBK 6016 1331 9268 18"}, "is no IBAN"),
        ({"iban": "AE070331234567890123456"}, "where SEPA does not reach"),
        ({"bic": "NOBIC"}, "is no BIC"),
        ({"amount": Money(100, "USD")}, "is 1.00 USD"),
        ({"amount": eur(0)}, "is 0.00 EUR"),
        ({"amount": eur(-1)}, "is -0.01 EUR"),
        ({"amount": eur(100_000_000_000)}, "is 1000000000.00 EUR"),
    ],
)
def test_what_sepa_does_not_carry_is_refused_by_name(changes: dict, said: str):
    refused = file_of(ELENI, replace(ADA, **changes))

    assert isinstance(refused, Refusal)
    assert refused.slug == "invalid_request"
    assert said in refused.message


def test_the_houses_own_account_is_checked_as_well():
    assert isinstance(file_of(ADA, debtor=replace(HOUSE, iban="DE00")), Refusal)


@pytest.mark.parametrize(
    "transfers",
    [(), (ADA, replace(ELENI, end_to_end_id=ADA.end_to_end_id)), (replace(ADA, end_to_end_id="x" * 36),)],
    ids=["none", "one id twice", "a long id"],
)
def test_a_bank_is_never_asked_for_nothing_or_for_one_payout_twice(transfers: tuple[Transfer, ...]):
    with pytest.raises(ValueError, match=r"transfers with|no id for a bank"):
        file_of(*transfers)


def test_an_iban_is_kept_compact():
    assert checked_iban("de89 3704 0044 0532 0130 00") == "DE89370400440532013000"
    assert isinstance(checked_iban("DE89 3704 0044 0532 0130 01"), Refusal)
