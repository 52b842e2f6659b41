"""Transfers that the operator's bank is to carry out, as a file for it or as a table."""

from collections.abc import Sequence

from fastapi.responses import Response

from licensing.errors import Refusal
from licensing.papers.bank_file import Account, Transfer, bank_file
from licensing.papers.tables import transfers_csv
from licensing.sentence import say
from service.api.shapes import file_response
from service.errors import Problem, refused
from service.resources import Gateway


def transfers_paper(web: Gateway, listed: Sequence[Transfer], *, message_id: str, name: str, form: str) -> Response:
    """Raises Problem where nothing can be in it any more, the operator's own account is not configured, or a transfer
    cannot go by such a file."""
    if not listed:
        raise Problem(
            "conflict", say("Of nothing in this file the account is known any more; it was erased after its end.")
        )
    if form == "csv":
        return file_response(transfers_csv(listed), "text/csv", f"{name}.csv")
    seller = web.taxes.seller
    if seller is None or not seller.iban:
        raise Problem(
            "conflict", say("The bank must know whose money it sends: give name and iban in configs/seller.toml.")
        )
    now = web.clock()
    written = bank_file(
        listed,
        debtor=Account(name=seller.party.name, iban=seller.iban, bic=seller.bic),
        execute_on=now.date(),
        message_id=message_id,
        created_at=now,
    )
    if isinstance(written, Refusal):
        raise refused(written)
    return file_response(written, "application/xml", f"{name}.xml")
