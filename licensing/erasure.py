"""A person who leaves: what the gateway knows of them beside their id goes; holds, entries and outputs stay.

The id is a pseudonym from then on. Certificates name both parties, so those of this account are signed anew with
another name in its place; `verify` knows a document that was handed out before by everything else that it says.
"""

from dataclasses import replace
from datetime import datetime

from licensing.authority import Authority
from licensing.billing.methods import forget_method
from licensing.certificates import FORMER, Certificate, certify, read_certificate
from licensing.database import Connection
from licensing.disputes import forget_in_disputes
from licensing.payees import forget_payee


async def forget_account(conn: Connection, authority: Authority, *, account_id: str, email: str, now: datetime) -> int:
    """Forget an account's keys, the texts of its idempotency keys, its name, its rules, its address in the rules of
    others, where it was paid and by what it pays, and what it said in disputes; renew none of its periods. Twice is
    once. Returns how many certificates were signed anew.

    The caller has seen to it that no order, dispute or payout of the account is open, and that its provider forgets
    what it had saved.
    """
    await conn.execute(
        """
        UPDATE licensing.api_key SET revoked_at = coalesce(revoked_at, $2), hint = '',
            digest = sha256(convert_to('forgotten ' || key_id, 'UTF8'))
        WHERE account_id = $1
        """,
        *(account_id, now),
    )
    await conn.execute("DELETE FROM licensing.idempotency WHERE client_id = $1", account_id)
    await conn.execute("SELECT licensing.forget_in_rules($1, $2)", account_id, email)
    await forget_payee(conn, account_id)
    await conn.execute("SELECT licensing.forget_payer($1)", account_id)
    await forget_in_disputes(conn, account_id)
    await conn.execute("UPDATE licensing.allowance SET renews = false WHERE client_id = $1 AND renews", account_id)
    await forget_method(conn, client_id=account_id, now=now)
    rows = await conn.fetch(
        "SELECT output_id, certificate FROM licensing.output WHERE client_id = $1 OR creator_id = $1", account_id
    )
    changed = dict[str, str]()
    for row in rows:
        paper = read_certificate(authority, row["certificate"])
        if paper is not None and (nameless := _without_name(paper, account_id)) != paper:
            changed[row["output_id"]] = certify(authority, nameless)
    await conn.execute(
        "SELECT licensing.replace_certificates($1::text[], $2::text[])", list(changed), list(changed.values())
    )
    return len(changed)


def _without_name(paper: Certificate, account_id: str) -> Certificate:
    name = f"{FORMER}{account_id}"
    return replace(
        paper,
        client_name=name if paper.client_id == account_id else paper.client_name,
        creator_name=name if paper.creator_id == account_id else paper.creator_name,
    )
