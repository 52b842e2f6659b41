"""Rate limits: one token bucket per key, or per address for strangers; smaller ones for files that are to be judged,
for forms, and for signing in and for tokens that are none.

They protect this process from a program that runs wild, so they live in its memory: quotas and caps, which are about
money, live in the ledger. `limits` and `pyrate-limiter` bring stores and strategies of which this would use one
dictionary and one formula, so the bucket is written out.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from licensing.sentence import Sentence, say
from service.errors import Problem

_KEPT_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a call may come in, and how many more may follow it at once."""

    is_let_in: bool
    left: int
    full_in_s: float
    """Until the bucket is full again."""
    next_in_s: float
    """Until the next call is let in; 0 if it is now."""


class Buckets:
    """Token buckets by name. `per_minute` flow in, as many fit; the least recently used are forgotten."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> Verdict:
        """Take one token out of the bucket `name`, if there is one."""
        now = self._clock()
        rate = self.per_minute / 60
        level, at = self._levels.pop(name, (float(self.per_minute), now))
        level = min(self.per_minute, level + (now - at) * rate)
        is_let_in = level >= 1
        level -= is_let_in
        self._levels[name] = (level, now)
        if len(self._levels) > _KEPT_MAX:
            self._levels.popitem(last=False)
        return Verdict(
            is_let_in=is_let_in,
            left=int(level),
            full_in_s=(self.per_minute - level) / rate,
            next_in_s=max(0.0, (1 - level) / rate),
        )


def count_call(request: Request, account_id: str | None, key_id: str | None) -> None:
    """Count a call of the API. Raises Problem, as all of these."""
    _let_in(request, request.app.state.buckets, _who(request, account_id, key_id), say("calls"))


def count_check(request: Request, account_id: str | None) -> None:
    """Count a file that is to be judged: it may be large, and unpacking it is the most that a stranger can make this
    process do."""
    _let_in(request, request.app.state.checks, _who(request, account_id), say("checks"))


def count_search(request: Request, account_id: str | None) -> None:
    """Count a picture that somebody looks for a style with: a worker looks at each."""
    _let_in(request, request.app.state.searches, _who(request, account_id), say("searches by picture"))


def count_form(request: Request, account_id: str | None) -> None:
    """Count what somebody sends from a page."""
    _let_in(request, request.app.state.forms, _who(request, account_id), say("forms"))


def count_sign_in(request: Request) -> None:
    """Count somebody who shows a link, or a token that is none: whoever tries words until one fits. By address, for a
    wrong word names no account."""
    _let_in(request, request.app.state.sign_ins, _who(request, None), say("tries to sign in"))


def _let_in(request: Request, buckets: Buckets, who: str, what: Sentence) -> None:
    """Count, and have the answer say how many may follow, in the fields of draft-ietf-httpapi-ratelimit-headers."""
    verdict = buckets.take(who)
    headers = {
        "RateLimit-Policy": f'"{what}";q={buckets.per_minute};w=60',
        "RateLimit": f'"{what}";r={verdict.left};t={math.ceil(verdict.full_in_s)}',
    }
    if not verdict.is_let_in:
        raise Problem(
            "rate_limited",
            say(
                "{per_minute} {what} a minute are let in and this is one more; wait {next_in_s} s and go"
                " on more slowly.",
                per_minute=buckets.per_minute,
                what=what,
                next_in_s=math.ceil(verdict.next_in_s),
            ),
            retry_after_s=verdict.next_in_s,
            headers=headers,
        )
    request.state.limit_headers = headers


def _who(request: Request, account_id: str | None, key_id: str | None = None) -> str:
    if account_id is None:
        return f"address {request.client.host if request.client else 'unknown'}"
    return f"account {account_id} {key_id or ''}"
