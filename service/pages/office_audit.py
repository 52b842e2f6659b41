"""The audit log in the office: every line of everybody's record, by who, what, when and which style."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from licensing.database import Connection
from service.accounts import Account, account_by_email, account_by_id
from service.audit import Kind, Whose, list_everybodys
from service.errors import Problem, not_found
from service.languages import Words, gettext, translate
from service.pages.forms import chosen, day
from service.pages.render import page
from service.pages.visits import Member, OperatorVisit

router = APIRouter(include_in_schema=False)

_PER_PAGE = 50
_DAYS = 7
"""Shown where nobody says from when: all records of all time are long to read through."""
KINDS: tuple[Kind, ...] = tuple(kind for part in get_args(Kind) for kind in (get_args(part) or (part,)))
KIND_WORDS = Words(
    {
        "link_made": "link made",
        "link_shown": "link shown",
        "signed_in": "signed in",
        "signed_out": "signed out",
        "password_set": "password set",
        "second_factor_on": "second factor on",
        "second_factor_off": "second factor off",
        "recovery_codes_made": "recovery codes made",
        "recovery_code_used": "recovery code used",
        "key_cap_changed": "key cap changed",
        "sale_refunded": "sale refunded",
        "erasure_asked": "erasure asked",
        "account_erased": "account erased",
        "key_first_used": "key first used",
        "works_added": "works added",
        "rights_changed": "rights changed",
        "start_offered": "work offered as a starting point",
        "start_taken_back": "starting point taken back",
        "training_resumed": "training resumed",
        "version_published": "version published",
        "version_unpublished": "version unpublished",
        "version_restored": "version restored",
        "terms_accepted": "terms accepted",
        "payee_changed": "payee changed",
        "dues_consent_changed": "dues consent changed",
        "dues_paid": "dues paid",
        "dues_waived": "dues waived",
        "bank_statement_read": "bank statement read",
        "bank_statement_booked": "bank statement booked",
        "bank_statement_dropped": "bank statement dropped",
        "refund_sent": "refund sent",
        "refund_returned": "refund returned",
        "payee_connecting": "payee connecting",
        "member_invited": "member invited",
        "member_uninvited": "member uninvited",
        "member_joined": "member joined",
        "member_changed": "member changed",
        "member_ended": "member ended",
        "member_left": "member left",
        "key_made_by_member": "key made by a member",
        "key_revoked_by_member": "key revoked by a member",
        "account_made": "account made",
        "key_made": "key made",
        "key_revoked": "key revoked",
        "style_made": "style made",
        "style_emptied": "style emptied",
        "terms_changed": "terms changed",
        "rules_changed": "rules changed",
        "switch_changed": "switch changed",
        "pictures_released": "pictures released",
        "pictures_kept_back": "pictures kept back",
        "training_started": "training started",
        "training_ended": "training ended",
        "case_opened": "case opened",
        "case_answered": "case answered",
        "case_decided": "case decided",
        "withheld_appealed": "withheld appealed",
        "claim_opened": "claim opened",
        "claim_said": "claim said",
        "claim_decided": "claim decided",
        "claim_appealed": "claim appealed",
        "claim_withdrawn": "claim withdrawn",
        "claim_closed": "claim closed",
        "consent_asked": "consent asked",
        "consent_given": "consent given",
        "consent_refused": "consent refused",
        "consent_withdrawn": "consent withdrawn",
        "consent_revoked": "consent revoked",
        "work_removed": "work removed",
        "work_seen": "work seen",
        "others_work_seen": "others work seen",
        "file_refused": "file refused",
    }
)


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What was asked for, as it was typed."""

    who: str
    what: str
    style: str
    since: str
    until: str
    before: str

    @property
    def query(self) -> dict[str, str]:
        named = {"who": self.who, "what": self.what, "style": self.style, "since": self.since, "until": self.until}
        return {name: value for name, value in named.items() if value}


@router.get("/office/audit")
async def audit_page(
    visit: OperatorVisit,
    who: str = "",
    what: str = "",
    style: str = "",
    since: str = "",
    until: str = "",
    before: str = "",
) -> HTMLResponse:
    """The newest first, a page at a time."""
    given = (one.strip() for one in (who, what, style, since, until))
    asked = Filters(**dict(zip(("who", "what", "style", "since", "until"), given, strict=True)), before=before)
    try:
        found, first = await _find(visit, asked)
    except Problem as problem:
        return _show(visit, asked, [], problem=problem)
    return _show(visit, asked, found, first=first)


async def _find(visit: Member, asked: Filters) -> tuple[list[Whose], date]:
    last = day(asked.until, name=gettext("Until")).date() if asked.until else visit.now.date()
    first = day(asked.since, name=gettext("From")).date() if asked.since else last - timedelta(days=_DAYS - 1)
    async with visit.web.house() as conn:
        account = await _account(conn, asked.who) if asked.who else None
        try:
            found = await list_everybodys(
                conn,
                account_id=account.id if account else None,
                kind=chosen(asked.what, KINDS) if asked.what else None,
                style_id=asked.style or None,
                since=datetime.combine(first, time(), UTC),
                until=datetime.combine(last + timedelta(days=1), time(), UTC),
                limit=_PER_PAGE + 1,
                before=asked.before or None,
            )
        except ValueError as error:
            raise Problem("invalid_request", f"{error}.") from error
    return found, first


async def _account(conn: Connection, who: str) -> Account:
    found = await (account_by_email(conn, who) if "@" in who else account_by_id(conn, who))
    if found is None:
        raise not_found("account", who)
    return found


def _show(
    visit: Member, asked: Filters, found: list[Whose], *, first: date | None = None, problem: Problem | None = None
) -> HTMLResponse:
    older = ""
    if len(found) > _PER_PAGE:
        older = f"/office/audit?{urlencode(asked.query | {'before': found[_PER_PAGE - 1].entry.id})}"
    return page(
        visit,
        "office_audit.html",
        status=problem.status if problem else 200,
        problem=problem.document if problem else None,
        asked=asked,
        kinds=KIND_WORDS,
        translate=translate,
        lines=found[:_PER_PAGE],
        first=first,
        older=older,
    )
