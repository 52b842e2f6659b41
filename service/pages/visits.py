"""Who looks at a page. FastAPI dependencies; a page for members sends strangers to sign in.

Pages take a browser's session only, never a token. Every form but an upload is checked here, before its page's
function runs.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request
from starlette.datastructures import FormData

from licensing.sentence import say
from service.accounts import ROLE_NAMES, Account, Role
from service.auth import (
    SAFE_METHODS,
    Identity,
    Web,
    browser_session,
    check_form,
    check_origin,
    identity_of,
    owes_second_factor,
    party_of,
)
from service.db.tenancy import acting_for
from service.errors import Problem
from service.inbox import count_unread
from service.limits import count_form
from service.resources import Gateway
from service.sessions import Session


class SignInFirst(Exception):
    """Raised where a stranger asks for a member's page; `url` leads through the sign-in page and back."""

    def __init__(self, request: Request) -> None:
        back = request.url.path if request.method in SAFE_METHODS else ""
        self.url = "/sign-in" + (f"?{urlencode({'then': back})}" if back else "")
        super().__init__(self.url)


class SecondFactorFirst(SignInFirst):
    """Raised where an operator who needs a second factor has none yet; `url` leads to where one is set up."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.url = "/account/second-factor"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request for a page. `now` is the same for everything the page does. `unread` letters lie in the inbox."""

    request: Request
    web: Gateway
    session: Session | None
    now: datetime
    unread: int = 0

    async def form(self) -> FormData:
        return await self.request.form()

    async def field(self, name: str) -> str:
        """A text field of the form without blanks around it; empty where it is missing."""
        value = (await self.request.form()).get(name, "")
        return value.strip() if isinstance(value, str) else ""


@dataclass(frozen=True, kw_only=True)
class Member(Visit):
    """A visit by somebody who is signed in."""

    session: Session
    account: Account

    @property
    def identity(self) -> Identity:
        """The same person as the API's functions know them."""
        return identity_of(self.session)


async def visitor(request: Request, web: Web) -> Visit:
    """Anybody. A form that comes with a session must carry that session's token."""
    session = await browser_session(request, web)
    if request.method not in SAFE_METHODS:
        count_form(request, session.account.id if session else None)
        if session is None:
            check_origin(request, web)
        else:
            await check_form(request, web, session)
    return Visit(
        request=request, web=web, session=session, now=web.clock(), unread=await _count_unread(request, web, session)
    )


async def any_member(visit: Annotated[Visit, Depends(visitor)]) -> Member:
    """Whoever is signed in."""
    return _member(visit, None)


def member(role: Role) -> Callable[..., Awaitable[Member]]:
    """A dependency that lets in signed-in accounts of one role."""

    async def known(visit: Annotated[Visit, Depends(visitor)]) -> Member:
        return _member(visit, role)

    return known


async def uploader(request: Request, web: Web) -> Member:
    """A creator with a form that is not read yet, for it may be large: the page's function calls `check_csrf`."""
    session = await browser_session(request, web)
    count_form(request, session.account.id if session else None)
    check_origin(request, web)
    return _member(Visit(request=request, web=web, session=session, now=web.clock()), "creator")


async def operator_uploader(request: Request, web: Web) -> Member:
    """The operator with such a form."""
    session = await browser_session(request, web)
    count_form(request, session.account.id if session else None)
    check_origin(request, web)
    return _member(Visit(request=request, web=web, session=session, now=web.clock()), "operator")


def _member(visit: Visit, role: Role | None) -> Member:
    if visit.session is None:
        raise SignInFirst(visit.request)
    account = visit.session.account
    if owes_second_factor(visit.web, visit.session) and not visit.request.url.path.startswith("/account"):
        raise SecondFactorFirst(visit.request)
    if role is not None and account.role != role:
        raise Problem(
            "forbidden",
            say(
                "This page is for another kind of account ({role}); you are signed in as {email} ({account_role}).",
                role=ROLE_NAMES[role],
                email=visit.session.person.email,
                account_role=ROLE_NAMES[account.role],
            ),
        )
    return Member(
        request=visit.request,
        web=visit.web,
        session=visit.session,
        now=visit.now,
        unread=visit.unread,
        account=account,
    )


async def _count_unread(request: Request, web: Gateway, session: Session | None) -> int:
    """For the page's head, which a part that replaces another does not have."""
    if session is None or "hx-request" in request.headers:
        return 0
    # The inbox is the person's own, whoever they act for.
    with acting_for(party_of(session.person.id, session.person.role)):
        async with web.pool.acquire() as conn:
            return await count_unread(conn, session.person.id)


Visitor = Annotated[Visit, Depends(visitor)]
CreatorVisit = Annotated[Member, Depends(member("creator"))]
ClientVisit = Annotated[Member, Depends(member("client"))]
OperatorVisit = Annotated[Member, Depends(member("operator"))]
MemberVisit = Annotated[Member, Depends(any_member)]
Uploader = Annotated[Member, Depends(uploader)]
OperatorUploader = Annotated[Member, Depends(operator_uploader)]
