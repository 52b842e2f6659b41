"""A bank's statement is read to the cent, whatever version of camt.053 its bank writes."""

from datetime import UTC, datetime

import pytest

from licensing.bank_statements import STATEMENT_BYTES_MAX, STATEMENT_LINES_MAX, BankLine, read_camt053
from licensing.payments.manual import Manual, code_of
from tests.licensing.world import eur, refused

CODE = code_of("pay_1")
ENTRY = """
<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>{state}
<BookgDt><Dt>2025-11-05</Dt></BookgDt><AcctSvcrRef>{ref}</AcctSvcrRef>{details}</Ntry>"""
DETAILS = """<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>
<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls>"""
BATCH = """<NtryDtls>
<TxDtls><Refs><AcctSvcrRef>B1</AcctSvcrRef></Refs><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<RmtInf><Strd><CdtrRefInf><Ref>{code}</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
<TxDtls><AmtDtls><TxAmt><Amt Ccy="EUR">5.05</Amt></TxAmt></AmtDtls><RmtInf><Ustrd>tea</Ustrd></RmtInf></TxDtls>
</NtryDtls>"""


def statement(*entries: str, version: str = "08") -> bytes:
    return (
        f'<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}">'
        f"<BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr><Stmt><Id>1</Id>{''.join(entries)}</Stmt></BkToCstmrStmt>"
        "</Document>"
    ).encode()


def entry(
    amount: str, text: str, *, sign: str = "CRDT", state: str = "<Sts><Cd>BOOK</Cd></Sts>", ref: str = "L1"
) -> str:
    return ENTRY.format(amount=amount, sign=sign, state=state, ref=ref, details=DETAILS.format(text=text))


@pytest.mark.parametrize(("version", "state"), [("02", "<Sts>BOOK</Sts>"), ("08", "<Sts><Cd>BOOK</Cd></Sts>")])
def test_a_line_says_what_came_in_when_and_what_for(version: str, state: str):
    read = read_camt053(statement(entry("90.00", f"Invoice  {CODE}\n thanks", state=state), version=version))

    at = datetime(2025, 11, 5, tzinfo=UTC)
    assert read == (BankLine(id="L1", at=at, amount=eur(9000), text=f"Invoice {CODE} thanks NOTPROVIDED"),)


def test_what_went_out_is_below_zero_and_what_is_only_announced_is_left_out():
    read = read_camt053(
        statement(
            entry("12.34", "rent", sign="DBIT", ref="L2"),
            entry("50.00", CODE, state="<Sts><Cd>PDNG</Cd></Sts>", ref="L3"),
        )
    )

    assert isinstance(read, tuple)
    assert [(line.id, line.amount) for line in read] == [("L2", eur(-1234))]


def test_a_sum_of_several_transfers_is_a_line_for_each():
    batch = ENTRY.format(
        amount="15.05", sign="CRDT", state="<Sts>BOOK</Sts>", ref="L4", details=BATCH.format(code=CODE)
    )

    read = read_camt053(statement(batch, version="02"))

    assert isinstance(read, tuple)
    assert [(line.id, line.amount, line.text) for line in read] == [("B1", eur(1000), CODE), ("L4/1", eur(505), "tea")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"nothing", "no bank statement"),
        (b"<Document/>", "document 'Document'"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "no document type"),
        (statement(entry("ninety", CODE)), "no sum"),
        (statement(entry("90.005", CODE)), "no sum"),
        (statement(entry("NaN", CODE)), "no sum"),
        (statement(entry("90.00", CODE).replace("2025-11-05", "5.11.2025")), "no day"),
        (statement(entry("1e30", CODE)), "no sum"),
        (statement(entry("90.00", CODE))[:-40], "no bank statement"),
        (statement(entry("90.00", CODE)).decode().encode("utf-16"), "not written in UTF-8"),
        (b"\xff\xfe\x00", "not written in UTF-8"),
        (b" " * (STATEMENT_BYTES_MAX + 1), "has at most 20000000 bytes"),
        (statement(*[entry("1.00", "tea")] * (STATEMENT_LINES_MAX + 1)), "5,001 lines, and 5,000 are read at once"),
    ],
)
def test_what_is_no_statement_is_refused_with_the_way_out(content: bytes, says: str):
    answer = refused(read_camt053(content), "invalid_request")

    assert says in answer.message
    assert "export the bank's statement again" in answer.message


@pytest.mark.parametrize("unnamed", ["", "NONREF"])
def test_lines_without_a_name_have_the_same_one_in_every_file_and_each_its_own(unnamed: str):
    tea, rent = entry("2.00", "tea", ref=unnamed), entry("900.00", "rent", sign="DBIT", ref=unnamed)

    first, second = read_camt053(statement(tea, rent, tea)), read_camt053(statement(rent, tea, tea, rent))

    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert len({line.id for line in first}) == 3
    assert {line.id for line in first} < {line.id for line in second}
    assert len({line.id for line in second}) == 4


def test_who_sent_it_or_got_it_and_which_file_it_was_is_told():
    parties = """<RltdPties><Dbtr>{}</Dbtr><DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct></RltdPties>
        <RmtInf><Ustrd>money</Ustrd></RmtInf>"""
    old, new = parties.format("<Nm>Studio North</Nm>"), parties.format("<Pty><Nm>Studio North</Nm></Pty>")
    details = "<NtryDtls><TxDtls>{}</TxDtls></NtryDtls>"
    batch = "<NtryDtls><Btch><PmtInfId>run-7</PmtInfId><NbOfTxs>3</NbOfTxs></Btch></NtryDtls>"
    booked = {"state": "<Sts>BOOK</Sts>"}
    entries = [
        ENTRY.format(amount="5.00", sign="CRDT", ref="A", details=details.format(old), **booked),
        ENTRY.format(amount="5.00", sign="CRDT", ref="B", details=details.format(new), **booked),
        ENTRY.format(amount="9.00", sign="DBIT", ref="C", details=batch, **booked),
    ]

    read = read_camt053(statement(*entries))

    assert isinstance(read, tuple)
    assert [(line.holder, line.iban, line.text) for line in read] == [
        *[("Studio North", "DE89370400440532013000", "money")] * 2,
        ("", "", "run-7"),
    ]


async def test_codes_are_found_however_they_are_written_and_lines_count_once():
    at = datetime(2025, 11, 5, tzinfo=UTC)
    texts = [CODE, f"ref:{CODE.lower()}/x", CODE.replace("-", " "), " ".join(CODE), "rent", "OH-123"]
    lines = [BankLine(id=str(number), at=at, amount=eur(100), text=text) for number, text in enumerate(texts)]
    bank = Manual(lines=(*lines, *lines))

    charges = [one async for one in bank.list_charges(at)]
    others = [one async for one in bank.list_refunds(at)] + [one async for one in bank.list_transfers(at)]

    assert [(one.reference, one.amount, one.state) for one in charges] == [(CODE, eur(400), "succeeded")]
    assert others == []


def test_codes_have_no_letters_that_people_take_for_others():
    codes = {code_of(f"pay_{number}") for number in range(5000)}

    assert len(codes) == 5000
    assert not set("ILOU") & {letter for code in codes for letter in code[3:]}
