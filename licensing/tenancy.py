"""Row-level security: which rows a party may see, kept by Postgres whatever a statement forgets to ask.

The application connects as APPLICATION, a role that owns nothing. Every connection says in the setting ACTING for whom
it acts: an account's id, or HOUSE for what the house does for several parties at once. One that says nothing sees
nothing. The verbs (`licensing.gateway` and others, `VERBS` here) run with the rights of the tables' owner: entries can
be written by them and by nothing else. So they ask for whom the connection acts (`require_house`, `require_party`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

APPLICATION = "ownhand_app"
ACTING = "ownhand.acting"
HOUSE = "house"
NOBODY = "nobody"
"""Acted for where nobody has said who they are: only what everybody may see."""

ME = f"(SELECT current_setting('{ACTING}', true))"
"""In SQL: for whom the connection acts. A query of its own, so that it is computed once for all rows."""
IS_HOUSE = f"{ME} = '{HOUSE}'"
EVERYBODY = f"{ME} <> ''"
NO_PARTY = "false"


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the application may do with a table.

    `seen` is SQL: whether the party ME sees a row; the house sees all. `writes` are the privileges beside SELECT, as
    GRANT takes them. `written` is SQL: which of the seen rows may be written at all, by whomever.
    """

    seen: str
    writes: str = ""
    written: str = "true"


def owned_by(*columns: str) -> str:
    """A row is its parties' whose ids stand in these columns."""
    return f"{ME} IN ({', '.join(columns)})"


_ITS_CREATOR = f"{IS_HOUSE} OR {owned_by('creator_id')}"


def _its_styles_creator(table: str) -> str:
    creator = f"EXISTS (SELECT FROM licensing.style s WHERE s.style_id = {table}.style_id AND s.creator_id = {ME})"
    return f"{IS_HOUSE} OR {creator}"


def _on_invoice(table: str) -> str:
    return f"EXISTS (SELECT FROM licensing.invoice i WHERE i.number = {table}.number)"


_ADD = "INSERT"
_OF_A_DISPUTE = "EXISTS (SELECT FROM licensing.dispute d WHERE d.dispute_id = {table}.dispute_id)"

TABLES: Mapping[str, Table] = {
    "style": Table(seen=EVERYBODY, writes="INSERT, UPDATE (terms_version)", written=_ITS_CREATOR),
    "terms": Table(seen=EVERYBODY, writes="INSERT", written=_its_styles_creator("terms")),
    "tier": Table(seen=EVERYBODY, writes="INSERT", written=_its_styles_creator("tier")),
    # Buyers read what a creator will not have drawn; for whom, the application keeps to itself.
    "rules": Table(seen=EVERYBODY, writes="INSERT", written=_ITS_CREATOR),
    "switch": Table(seen=f"{owned_by('creator_id', 'client_id')} OR client_id = '' AND {EVERYBODY}"),
    "switch_event": Table(seen=owned_by("creator_id", "client_id")),
    "api_key": Table(
        seen=owned_by("account_id"), writes="INSERT, UPDATE (cap, hint, digest, expires_at, revoked_at, last_used_at)"
    ),
    # Limits of keys are their owners' to set; money and units come by verbs.
    "budget": Table(
        seen=owned_by("owner_id"),
        writes="INSERT, UPDATE (granted)",
        written="kind = 'cap' AND EXISTS (SELECT FROM licensing.api_key k"
        " WHERE budget_id = 'cap:' || k.key_id AND k.account_id = budget.owner_id)",
    ),
    "allowance": Table(
        seen=owned_by("client_id", "creator_id"),
        writes="UPDATE (renews)",
        written=f"({IS_HOUSE} OR {owned_by('client_id')}) AND NOT (renews AND coalesce(tier = 'exclusive', false))",
    ),
    # By whom and at which rate they are taxed is worked out by the house.
    "buyer": Table(seen=f"{owned_by('client_id')} OR client_id = '' AND {EVERYBODY}"),
    "rate": Table(
        seen=f"{owned_by('client_id')} OR {_its_styles_creator('rate')}",
        writes=_ADD,
        written=_its_styles_creator("rate"),
    ),
    "author": Table(seen=EVERYBODY, writes=_ADD, written=_its_styles_creator("author")),
    "coupon": Table(seen=NO_PARTY, writes="INSERT, UPDATE (ended_at)"),
    "coupon_use": Table(seen=owned_by("client_id")),
    "renewal": Table(seen=owned_by("client_id")),
    "hold": Table(seen=owned_by("client_id", "creator_id")),
    "idempotency": Table(seen=owned_by("client_id"), writes="DELETE"),
    "signing": Table(seen="EXISTS (SELECT FROM licensing.hold h WHERE h.order_id = signing.order_id)"),
    "output": Table(
        seen=f"{owned_by('client_id', 'creator_id')} OR shared AND EXISTS (SELECT FROM licensing.output_share s"
        f" WHERE s.output_id = output.output_id AND s.author_id = {ME})"
    ),
    "output_share": Table(seen=owned_by("author_id")),
    "series": Table(seen=NO_PARTY),
    "invoice": Table(seen=owned_by("client_id")),
    "invoice_line": Table(seen=_on_invoice("invoice_line")),
    "invoice_tax": Table(seen=_on_invoice("invoice_tax")),
    "invoice_group": Table(seen=_on_invoice("invoice_group")),
    "payment": Table(seen=owned_by("client_id")),
    "payment_refund": Table(seen=owned_by("client_id")),
    "chargeback": Table(seen=owned_by("client_id")),
    # Whole accounts are for whoever sends refunds.
    "payer": Table(seen=NO_PARTY),
    "refund_file": Table(seen=NO_PARTY),
    "payment_setup": Table(seen=owned_by("client_id")),
    "payment_method": Table(seen=owned_by("client_id")),
    "psp_event": Table(seen=NO_PARTY, writes="INSERT"),
    "account": Table(seen=owned_by("owner_id")),
    "entry": Table(seen="EXISTS (SELECT FROM licensing.account a WHERE a.account_id = entry.account_id)"),
    "entry_group": Table(seen="EXISTS (SELECT FROM licensing.entry e WHERE e.group_no = entry_group.group_no)"),
    "link": Table(seen=EVERYBODY),
    "checkpoint": Table(seen=EVERYBODY, writes="INSERT", written=IS_HOUSE),
    # Whole accounts are for the file that goes to the bank; their owners see a part (`payees_of`).
    "payee": Table(seen=NO_PARTY),
    "payout_run": Table(seen=NO_PARTY),
    "payout": Table(seen=owned_by("creator_id")),
    "dues_price": Table(seen=EVERYBODY),
    "dues_consent": Table(seen=owned_by("creator_id")),
    "dues": Table(seen=owned_by("creator_id")),
    "dispute": Table(seen=owned_by("client_id", "creator_id")),
    "disputed": Table(seen=_OF_A_DISPUTE.format(table="disputed")),
    "dispute_note": Table(seen=_OF_A_DISPUTE.format(table="dispute_note")),
    "dispute_contact": Table(seen=NO_PARTY),
    "audit": Table(seen=NO_PARTY, writes="INSERT, UPDATE"),
    "closing": Table(seen=EVERYBODY, writes=_ADD, written=IS_HOUSE),
    "earned_day": Table(seen=owned_by("creator_id"), writes=_ADD, written=IS_HOUSE),
    "earned_month": Table(seen=owned_by("creator_id"), writes=_ADD, written=IS_HOUSE),
    "priced_day": Table(seen=owned_by("creator_id"), writes=_ADD, written=IS_HOUSE),
    "spent_day": Table(seen=owned_by("client_id"), writes=_ADD, written=IS_HOUSE),
    "mark": Table(seen=NO_PARTY, writes="INSERT"),
    "alembic_version": Table(seen=NO_PARTY),
}
VERBS = (
    "appeal_dispute",
    "balance_at",
    "begin_all",
    "begin_attempt",
    "begin_payment",
    "begin_payment_refund",
    "begin_setup",
    "booked",
    "buy_licence",
    "buy_plan",
    "cap_overage",
    "change_plan",
    "charge_training",
    "close_dispute",
    "closed_until",
    "confirm_run",
    "credit",
    "decide_dispute",
    "end_notice",
    "end_payment",
    "end_payment_refund",
    "end_setup",
    "expire_due",
    "forget_in_disputes",
    "forget_in_rules",
    "forget_method",
    "forget_payee",
    "forget_payer",
    "governing",
    "grant_free",
    "issue_papers",
    "keep_until",
    "let_dues_be_taken",
    "link_commit",
    "lower_dues",
    "make_refund_file",
    "make_run",
    "may_sign",
    "move_payout",
    "nearest_output",
    "note_chargeback",
    "note_payer",
    "open_dispute",
    "open_payout",
    "pause_plan",
    "pay_invoice",
    "payees_of",
    "post_dues",
    "put_buyer",
    "put_payee",
    "quote",
    "quote_plan",
    "refund_output",
    "renew",
    "replace_certificates",
    "request_cancel",
    "requeue",
    "reserve",
    "reserve_all",
    "reserve_plain",
    "resume_plan",
    "retry_renewal",
    "return_refund",
    "roll_over",
    "say_dues",
    "say_in_dispute",
    "send_refund",
    "set_switch",
    "settle_all",
    "switch_row",
    "void",
    "withdraw_dispute",
)


def binding(schema: str, tables: Mapping[str, Table]) -> str:
    """SQL that binds the application in a schema to what it may see and write. Running it again changes nothing."""
    statements = [
        f"GRANT USAGE ON SCHEMA {schema} TO {APPLICATION}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {APPLICATION}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {APPLICATION}",
    ]
    for name, table in tables.items():
        place = f"{schema}.{name}"
        privileges = f"SELECT, {table.writes}" if table.writes else "SELECT"
        seen = f"{IS_HOUSE} OR {table.seen}"
        statements += [
            f"ALTER TABLE {place} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {place} FORCE ROW LEVEL SECURITY",
            f"GRANT {privileges} ON {place} TO {APPLICATION}",
            *_policy("owner", place, "FOR ALL TO CURRENT_USER USING (true)"),
            *_policy("seen", place, f"FOR SELECT TO {APPLICATION} USING ({seen})"),
        ]
        for command, clause in _WRITING.items():
            if command in table.writes:
                allowed = f"({seen}) AND ({table.written})"
                how = " ".join(f"{word} ({allowed})" for word in clause)
                statements += _policy(command.lower(), place, f"FOR {command} TO {APPLICATION} {how}")
    return ";\n".join(statements)


_WRITING = {"INSERT": ("WITH CHECK",), "UPDATE": ("USING", "WITH CHECK"), "DELETE": ("USING",)}


def _policy(name: str, place: str, what: str) -> list[str]:
    return [f"DROP POLICY IF EXISTS {name} ON {place}", f"CREATE POLICY {name} ON {place} {what}"]


def lending_rights(schema: str, verbs: Collection[str]) -> str:
    """SQL by which these functions run with their owner's rights, and no schema can be slipped under them."""
    return f"""
DO $$
DECLARE
    v_function regprocedure;
    v_lent integer := 0;
BEGIN
    FOR v_function IN SELECT oid FROM pg_proc
        WHERE pronamespace = '{schema}'::regnamespace AND proname = ANY ('{{{",".join(verbs)}}}')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp', v_function);
        v_lent := v_lent + 1;
    END LOOP;
    ASSERT v_lent = {len(verbs)}, format('%s of {len(verbs)} verbs are there', v_lent);
END $$"""


def making_role() -> str:
    """SQL that makes the application's role if there is none. It cannot sign in until it is given a password."""
    return f"""
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APPLICATION}') THEN
        CREATE ROLE {APPLICATION} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
END $$"""
