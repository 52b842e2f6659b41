"""What a person of a client's team reaches: every path of this place in an area, and of each area the levels.

The one place where this is decided. A path of no area, or of two, is reached by nobody who acts for a client. What is a
person's own is theirs whatever their session acts for. Tokens are the account's, and no level is asked of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from licensing.sentence import Sentence, say

Level = Literal["makes", "pays", "manages"]
LEVELS: tuple[Level, ...] = get_args(Level)
LEVEL_NAMES: Mapping[Level, Sentence] = {
    "makes": say("Makes pictures"),
    "pays": say("Pays"),
    "manages": say("Manages"),
}
LEVEL_MEANINGS: Mapping[Level, Sentence] = {
    "makes": say("Orders pictures, sees all of them, their files and their prices; no money pages and no keys."),
    "pays": say("Sees and does what is about money: payments, invoices, plans, licences, spend, buyer; cannot order."),
    "manages": say("Does everything on the desk, keys too, but for the team itself and closing the account."),
}
"""What each level may, in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """Paths, and the levels that reach them. A path is written `GET /desk/orders/*`: without a method it is all of
    them, `*` is one part, and `/**` at the end is that path and all below it. `what` names it in a refusal.

    `is_own`: a person's, whatever the session acts for. `is_owners`: the client's alone.
    """

    name: str
    what: Sentence
    paths: tuple[str, ...]
    levels: tuple[Level, ...] = field(default=())
    is_own: bool = False
    is_owners: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(_pattern_of(path) for path in self.paths))

    def has(self, method: str, path: str) -> bool:
        """Whether a request is in it; HEAD is as GET."""
        return self._pattern.fullmatch(f"{'GET' if method == 'HEAD' else method} {path}") is not None


def _pattern_of(written: str) -> str:
    method, _, path = written.rpartition(" ")
    is_all_below = path.endswith("/**")
    parts = re.escape(path.removesuffix("/**")).replace(r"\*", "[^/]+")
    return f"(?:{method or '[A-Z]+'} {parts}{'(?:/.*)?' if is_all_below else ''})"


_STYLES = "/v1/styles/*"
AREAS: tuple[Area, ...] = (
    Area(
        name="own",
        what=say("what is a person's own"),
        is_own=True,
        paths=(
            *("/account/**", "/inbox/**", "/letters/off/**", "/language", "/team/join/**"),
            *("/sign-in/**", "/sign-out", "/sign-up/**"),
            *("/v1/account", "/v1/sessions/**", "/v1/letters/**", "/v1/letter-topics"),
        ),
    ),
    Area(
        name="open",
        what=say("what anybody may see"),
        levels=LEVELS,
        paths=(
            *("GET /", "/styles/like", "GET /styles/*", "/verify", "GET /switch", "GET /terms", "GET /reference/**"),
            *("GET /fees", "GET /report/**", "/consent/**", "GET /static/**", "GET /healthz", "GET /readyz"),
            *("GET /metrics", "GET /openapi.json", "GET /.well-known/**", "/v1/provider-events/*"),
            *("GET /v1/styles", f"GET {_STYLES}", f"GET {_STYLES}/examples/*", f"GET {_STYLES}/licence/**"),
            *(
                f"GET {_STYLES}/licence.xml",
                f"GET {_STYLES}/starting-points/**",
                "GET /v1/revocations/**",
                "/v1/verify",
            ),
            *("GET /v1/terms/**", "GET /v1/reports/**", "GET /v1/switch/latency"),
        ),
    ),
    Area(name="overview", what=say("the desk's first page"), levels=LEVELS, paths=("GET /desk",)),
    Area(
        name="ordering",
        what=say("ordering pictures"),
        levels=("makes", "manages"),
        paths=(
            *("/desk/make", "GET /desk/price", "POST /desk/orders/*/cancel", "POST /v1/generations"),
            *("POST /v1/generations/*/cancel", "POST /v1/quotes", "/v1/images/**"),
        ),
    ),
    Area(
        name="pictures",
        what=say("orders and their pictures"),
        levels=("makes", "manages"),
        paths=(
            *("GET /desk/orders/*", "GET /desk/outputs/*", "GET /desk/history/**", "GET /v1/generations"),
            *("GET /v1/generations/*", "GET /v1/generations/*/events", "GET /v1/outputs.zip", "GET /v1/outputs/*"),
            *("GET /v1/outputs/*/certificate", "GET /v1/outputs/*/receipt"),
        ),
    ),
    Area(
        name="licences",
        what=say("licences"),
        levels=("pays", "manages"),
        paths=("POST /styles/*/licence", "/v1/licences"),
    ),
    Area(
        name="money",
        what=say("money"),
        levels=("pays", "manages"),
        paths=(
            *("/desk/money/**", "GET /v1/payments", "POST /v1/payments", "GET /v1/payments/*", "/v1/payment-method"),
            *("/v1/subscription/**", "/v1/buyer", "GET /v1/invoices/**", "GET /v1/spend/**", "GET /v1/usage"),
        ),
    ),
    Area(name="keys", what=say("API keys"), levels=("manages",), paths=("/desk/keys/**",)),
    Area(name="webhooks", what=say("webhooks"), levels=("manages",), paths=("/desk/webhooks/**", "/v1/webhooks/**")),
    Area(
        name="disputes",
        what=say("disputes"),
        levels=("manages",),
        paths=(
            *("/desk/disputes/**", "/desk/outputs/*/dispute", "POST /v1/outputs/*/disputes", "GET /v1/disputes"),
            *(
                "GET /v1/disputes/*",
                "GET /v1/disputes/*/outputs/*",
                *(f"POST /v1/disputes/*/{act}" for act in ("notes", "appeal", "withdraw")),
            ),
        ),
    ),
    Area(name="record", what=say("the record"), levels=("manages",), paths=("GET /v1/audit",)),
    Area(
        name="terms",
        what=say("accepting the terms"),
        levels=("manages",),
        paths=("POST /terms", "POST /v1/terms/accept"),
    ),
    Area(name="team", what=say("the team"), is_owners=True, paths=("/desk/team/**", "/v1/team/**")),
    Area(
        name="elsewhere",
        what=say("the studio and the office"),
        paths=(
            *("/studio/**", "/office/**", "POST /v1/styles", f"PATCH {_STYLES}", f"GET {_STYLES}/deletion"),
            *(f"{_STYLES}/{noun}" for noun in ("works", "review", "uploads", "consents", "trainings", "estimate")),
            *(f"{_STYLES}/{noun}" for noun in ("versions", "switch", "clients/*/switch", "authors", "withheld")),
            *(f"{_STYLES}/rules/**", f"{_STYLES}/rates/**", "PUT /v1/switch", "GET /v1/switch/history"),
            *(f"/v1/{noun}/**" for noun in ("works", "uploads", "consents", "trainings", "versions", "tries", "rules")),
            *(f"/v1/{noun}/**" for noun in ("approvals", "data-use", "earnings", "statements", "authorships")),
            *(f"/v1/{noun}/**" for noun in ("payee", "payouts", "payout-runs", "dues", "creator-dues", "coupons")),
            *(f"/v1/{noun}/**" for noun in ("refunds", "refund-files", "bank-statements", "claims")),
            *("/v1/takedowns", "/v1/export", "POST /v1/outputs/*/refund", "POST /v1/disputes/*/decide"),
            *("POST /v1/payments/*/received", "POST /v1/payments/*/refunds"),
        ),
    ),
)


def area_of(method: str, path: str) -> Area | None:
    """The one area that a request is in; None for one that is in none, or in several."""
    found = [area for area in AREAS if area.has(method, path)]
    return found[0] if len(found) == 1 else None


def is_reached(level: Level | None, method: str, path: str) -> bool:
    """Whether who acts for a client at this level gets there. None for an account itself, which no area keeps out."""
    if level is None:
        return True
    area = area_of(method, path)
    return area is not None and (area.is_own or level in area.levels)


def is_own(method: str, path: str) -> bool:
    """Whether it is a person's own, whatever their session acts for."""
    area = area_of(method, path)
    return area is not None and area.is_own
