"""Answers of pages: a template as a whole page or as the one fragment that htmx asked for, and where a form leads."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from licensing.money import Money
from licensing.sentence import Sentence
from licensing.wording import in_words
from service import formats, languages
from service.areas import is_reached
from service.pages import words
from service.pages.assets import asset_url
from service.pages.visits import Visit
from service.settings import SIGN_UP_ROLES

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
# The same address answers with a page or a fragment, so caches must tell them apart. Pages show private things.
_CODE = re.compile(r"`([^`]+)`")
_HEADERS = {"Cache-Control": "no-store", "Vary": "HX-Request, HX-Target, Cookie, Accept-Language"}

_WORDS: Mapping[str, Any] = {
    "asset": asset_url,
    "count": formats.count,
    "languages": languages.LANGUAGES,
    "spoken": languages.spoken,
    "levels": words.LEVELS,
    "team_levels": words.TEAM_LEVELS,
    "training_words": words.TRAININGS,
    "generation_words": words.GENERATIONS,
    "message_words": words.MESSAGES,
    "delivery_words": words.DELIVERIES,
    "mail_words": words.MAILS,
    "version_words": words.VERSIONS,
    "rights_words": words.RIGHTS,
    "tier_words": words.TIERS,
    "approval_words": words.APPROVALS,
    "trust_words": words.TRUST,
    "role_words": words.ROLES,
    "sign_up_words": words.SIGN_UPS,
    "verdict_words": words.VERDICTS,
    "line_words": words.LINES,
    "movement_words": words.MOVEMENTS,
    "dues_line_words": words.DUES,
    "charge_words": words.CHARGES,
    "payment_words": words.PAYMENTS,
    "refund_words": words.REFUNDS,
    "payout_words": words.PAYOUTS,
    "bank_line_words": words.BANK_LINES,
    "paid_by": words.PAID_BY,
    "schedule_words": words.SCHEDULES,
    "dispute_words": words.DISPUTES,
    "wait_words": words.WAITS,
    "outcome_words": words.OUTCOMES,
    "act_words": words.ACTS,
    "case_words": words.CASES,
    "claim_words": words.CLAIM_STATES,
    "claim_outcome_words": words.CLAIM_OUTCOMES,
    "claim_act_words": words.CLAIM_ACTS,
    "failure_words": words.FAILURES,
    "need_words": words.NEEDS,
    "need_many": words.NEED_MANY,
    "home_of": words.HOME_OF,
    "place_of": words.PLACE_OF,
    "trust": Markup,
}
"""What every template knows by name."""


@cache
def environment() -> Environment:
    """The templates with the filters and words that they use. A missing value is an error, not an empty string."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        finalize=_said,
        # A version's templates are its own: nobody asks the disk for each card whether they changed.
        auto_reload=False,
    )
    made.policies["ext.i18n.trimmed"] = True
    # The extension's own method; it has no types.
    made.install_gettext_callables(  # type: ignore[attr-defined]
        languages.gettext, languages.ngettext, newstyle=True, pgettext=languages.pgettext, npgettext=languages.npgettext
    )
    for writer in (
        formats.money,
        formats.amount,
        formats.day,
        formats.days,
        formats.month,
        formats.rate,
        formats.clock,
        formats.duration,
        formats.stopwatch,
        formats.numeral,
        formats.tenths,
        formats.percent,
        formats.inline,
        formats.size,
    ):
        made.filters[writer.__name__] = writer
    made.filters["count"] = formats.count
    made.filters["coded"] = _coded
    made.filters["minor"] = Money
    made.filters["in_words"] = lambda permissions: [languages.translate(one) for one in in_words(permissions)]
    made.globals.update(_WORDS)
    return made


def _said(value: Any) -> Any:
    """A sentence is read in the reader's language wherever it is shown."""
    return languages.translate(value) if isinstance(value, Sentence) else value


def _coded(text: str) -> Markup:
    """Words between backticks as code, as docstrings write them."""
    return Markup(_CODE.sub(r'<code class="token">\1</code>', str(escape(text))))


def page(
    visit: Visit, template: str, *, fragments: Mapping[str, str] | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """`template` filled with `values`; only the fragment's template where htmx asks for one of `fragments`.

    `fragments` maps the id of the element that is replaced to the template of that element alone.
    """
    parts = [part for target, part in (fragments or {}).items() if is_fragment(visit.request, target)]
    name = parts[0] if parts else template
    text = environment().get_template(name).render(**_shared(visit), is_part=bool(parts), **values)
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


def see_other(url: str) -> RedirectResponse:
    """After a form: look there. Reloading the page then sends nothing twice."""
    return RedirectResponse(url, status_code=303)


def is_fragment(request: Request, target: str) -> bool:
    """True where htmx asks for what replaces the element `target`."""
    return "hx-request" in request.headers and request.headers.get("hx-target") == target


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _shared(visit: Visit) -> dict[str, Any]:
    session, version = visit.session, visit.web.ownership.version
    return {
        "account": session.account if session else None,
        # Who looks, which in a client's team is another than for whom the page is.
        "person": session.person if session else None,
        "acting": session,
        "reaches": lambda path: is_reached(session.level if session else None, "GET", path),
        "csrf_token": session.csrf if session else "",
        "unread": visit.unread,
        # The version that the account has not accepted yet; 0 where there is none.
        "terms_due": version if session and session.account.ownership_terms < version else 0,
        # Who may make an account without being asked to.
        "opens_to": SIGN_UP_ROLES[visit.web.settings.sign_up],
        "operator": visit.web.settings.operator_name,
        "path": visit.request.url.path,
        # Where a form that is on every page leads back to; what a form answered with is at no address.
        "here": _address(visit.request) if visit.request.method == "GET" else "/",
        "pack_names": {pack.id: pack.name for pack in visit.web.prices.packs.values()},
        # Prices are before tax; where none is charged nothing needs to be said about it.
        "charges_tax": visit.web.taxes.home is not None,
    }
