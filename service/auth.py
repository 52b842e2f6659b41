"""Who asks: a token in `Authorization: Bearer`, or a browser's session. FastAPI dependencies.

A browser sends its cookie along with whatever any page makes it send. So a request that changes something must, when
it comes by cookie, come from our own pages (`Origin`) and show the session's CSRF token (header `X-CSRF-Token`; the
pages' forms send it as the field `csrf`, checked by `check_form`).
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated

from fastapi import Depends, Request

from licensing import keys
from licensing.sentence import say
from licensing.tenancy import HOUSE
from service import audit
from service.accounts import Account, Role, accounts_by_id
from service.areas import LEVEL_NAMES, area_of, is_own, is_reached
from service.db.connections import read
from service.db.tenancy import act_for
from service.errors import Problem
from service.limits import count_call, count_sign_in
from service.resources import Gateway
from service.sessions import Session, find_session
from service.who import Who

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SCOPES: dict[Role, tuple[str, ...]] = {
    "creator": ("read", "write"),
    "client": ("read", "generate"),
    "operator": ("read", "write"),
}


_HOLDERS = (
    f"SELECT {keys.KEY_COLUMNS}, {', '.join(f'a.{field.name}' for field in fields(Account))}"
    " FROM licensing.live_keys($1, $2) k LEFT JOIN service.accounts a ON a.id = k.account_id"
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks. `key_id` and `is_test` belong to a token, `session` to a browser; `scopes` is empty for no limit."""

    account_id: str
    role: Role
    scopes: frozenset[str] = frozenset()
    key_id: str | None = None
    is_test: bool = False
    session: Session | None = None
    ownership_terms: int = 0
    """The version of who owns what that the account has."""

    @property
    def who(self) -> Who:
        """The same for what is written down of what they do."""
        via = self.key_id or (self.session.mark if self.session else "")
        acts = self.session is not None and not self.session.is_persons
        person = self.session.person.id if self.session and acts else ""
        return Who(role=self.role, actor=self.account_id, via=via, person=person)


def party_of(account_id: str, role: Role) -> str:
    """For whom the database sees an account's requests made: the operator is the house."""
    return HOUSE if role == "operator" else account_id


async def gateway(request: Request) -> Gateway:
    """What the web process holds open. It waits for nothing, but one that is not async would be run in a thread."""
    opened: Gateway = request.app.state.gateway
    return opened


Web = Annotated[Gateway, Depends(gateway)]


async def anyone(request: Request, web: Web) -> Identity | None:
    """Who asks, or None for a stranger. Raises Problem for a token that is not valid: silence would hide a typo."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        return await _bearer(request, web, scheme, token.strip())
    session = await browser_session(request, web)
    if session is None:
        return None
    if request.method not in SAFE_METHODS:
        check_origin(request, web)
        check_csrf(session, request.headers.get("x-csrf-token", ""), is_own=_is_own(request))
    if owes_second_factor(web, session):
        raise Problem(
            "forbidden",
            say(
                "Operators need a second factor here; set one up at {origin}/account/second-factor.",
                origin=web.settings.origin,
            ),
        )
    return identity_of(session)


def owes_second_factor(web: Gateway, session: Session) -> bool:
    """Whether this place lets an operator in no further before a second factor is set up."""
    needs = web.settings.operators_need_second_factor and session.person.role == "operator"
    return needs and not session.has_second_factor


def identity_of(session: Session) -> Identity:
    """Whoever is signed in, as the API's functions know them."""
    account = session.account
    return Identity(account_id=account.id, role=account.role, session=session, ownership_terms=account.ownership_terms)


async def limited(request: Request, asker: Annotated[Identity | None, Depends(anyone)]) -> None:
    """Counts a call of the API. Raises Problem where there were too many."""
    count_call(request, asker.account_id if asker else None, asker.key_id if asker else None)


async def browser_session(request: Request, web: Web) -> Session | None:
    """The session of the browser's cookie, if there is a valid one. Raises Problem where it acts for a client, and
    what is asked for is not reached so, or the membership has ended."""
    session = await known_session(request, web)
    if session is not None:
        check_reach(web, session, request)
    return session


async def known_session(request: Request, web: Web) -> Session | None:
    """The same without a look at what is asked for, but for whose it is."""
    word = request.cookies.get(cookie_name(web))
    if not word:
        return None
    async with web.house() as conn:
        session = await find_session(conn, word=word, now=web.clock())
    if session is not None:
        if session.acts_for is not None and _is_own(request):
            session = session.as_person
        account = session.account
        # An operator who owes a second factor sees no more than what is their own.
        act_for(account.id if owes_second_factor(web, session) else party_of(account.id, account.role))
    return session


def check_reach(web: Gateway, session: Session, request: Request) -> None:
    """Raises Problem where a session acts for a client and its level does not reach what is asked for."""
    if session.acts_for is None:
        return
    area, team = area_of(request.method, request.scope["path"]), session.team
    if area is not None and (area.is_own or (team is None and area.name == "open")):
        return
    if team is None:
        raise Problem(
            "forbidden",
            say(
                "You do not act for this client any more: your membership in its team was ended, or its account was"
                " closed. Nothing was done. Press “Act for myself” at the top of the page to go on in your own name."
            ),
        )
    if is_reached(team.level, request.method, request.scope["path"]):
        return
    if area is None or not (area.levels or area.is_owners):
        raise Problem(
            "forbidden",
            say(
                "This is no part of what is done for {client}. Press “Act for myself” at the top of the page, then ask"
                " for it again.",
                client=team.name,
            ),
        )
    raise Problem(
        "forbidden",
        say(
            "You act for {client} as “{level}”, and {area} is not part of that. {client} can change what you may, on"
            " its page {origin}/desk/team.",
            client=team.name,
            level=LEVEL_NAMES[team.level],
            area=area.what,
            origin=web.settings.origin,
        ),
    )


def caller(*roles: Role, scope: str | None) -> Callable[..., Awaitable[Identity]]:
    """A dependency that lets in accounts of these roles; a token without scopes carries them all. scope: None for the
    one with which each role changes things."""

    async def known(found: Annotated[Identity | None, Depends(anyone)]) -> Identity:
        if found is None:
            raise Problem(
                "unauthenticated", "This call needs a token: send Authorization: Bearer oh_…, or sign in on the page."
            )
        if found.role not in roles:
            wanted = " or ".join(roles)
            raise Problem("forbidden", f"This call is for the role {wanted}; your account is a {found.role}'s.")
        needed = scope or SCOPES[found.role][-1]
        if found.scopes and needed not in found.scopes:
            raise Problem(
                "forbidden",
                f"This token may {', '.join(sorted(found.scopes))}, not {needed}; make one with --scopes {needed}.",
            )
        return found

    return known


Creator = Annotated[Identity, Depends(caller("creator", scope="write"))]
CreatorReading = Annotated[Identity, Depends(caller("creator", scope="read"))]
may_order = caller("client", scope="generate")
Client = Annotated[Identity, Depends(may_order)]
ClientReading = Annotated[Identity, Depends(caller("client", scope="read"))]
BuyerOrCreator = Annotated[Identity, Depends(caller("client", "creator", scope="read"))]
BuyerOrMaker = Annotated[Identity, Depends(caller("client", "creator", scope=None))]
MakerOrOperator = Annotated[Identity, Depends(caller("creator", "operator", scope=None))]
MakerOrOperatorReading = Annotated[Identity, Depends(caller("creator", "operator", scope="read"))]
Party = Annotated[Identity, Depends(caller("client", "creator", "operator", scope=None))]
PartyReading = Annotated[Identity, Depends(caller("client", "creator", "operator", scope="read"))]
OperatorReading = Annotated[Identity, Depends(caller("operator", scope="read"))]
Operator = Annotated[Identity, Depends(caller("operator", scope="write"))]
Member = Annotated[Identity, Depends(caller("creator", "client", "operator", scope=None))]
MemberReading = Annotated[Identity, Depends(caller("creator", "client", "operator", scope="read"))]
Anyone = Annotated[Identity | None, Depends(anyone)]
Limited = Depends(limited)


async def is_let_in(web: Gateway, asker: Identity) -> bool:
    """Whether who was let in a while ago still is: for answers that take long. A key may have been revoked since, a
    session ended, an account disabled."""
    if asker.session is not None:
        # A session is its person's row, whoever it acts for.
        async with web.house() as conn:
            found = await find_session(conn, word=asker.session.word, now=web.clock())
        return found is not None and _acts_still(asker.session, found)
    async with web.pool.acquire() as conn:
        assert asker.key_id is not None
        account = await accounts_by_id(conn, {asker.account_id})
        is_enabled = all(one.disabled_at is None for one in account.values()) and bool(account)
        return is_enabled and await keys.works(conn, key_id=asker.key_id, now=web.clock())


def _acts_still(then: Session, now: Session) -> bool:
    """Whether what was let in for somebody is so still: their own, or for the same client at the same level."""
    return then.is_persons or (now.account.id == then.account.id and now.level == then.level)


def check_terms(web: Gateway, asker: Identity) -> None:
    """Raises Problem where the asker's account was not asked yet about the version of who owns what that is in force.
    Asked before orders, purchases, uploads and publishing; what reads, ends or switches off never is."""
    version, has = web.ownership.version, asker.ownership_terms
    if has >= version:
        return
    origin = web.settings.origin
    raise Problem(
        "terms_not_accepted",
        f"The terms of who owns what have changed: version {version} is in force, and your account has"
        f" {f'version {has}' if has else 'none'}. Read it at {origin}/terms and accept it there, or by POST"
        " /v1/terms/accept. Reading, cancelling and switching off go on without.",
        extra={
            "version": version,
            "accepted": has or None,
            "read": f"{origin}/v1/terms",
            "accept": f"{origin}/v1/terms/accept",
        },
    )


def check_origin(request: Request, web: Gateway) -> None:
    """Raises Problem where a browser says that another site's page sent this request."""
    origin = request.headers.get("origin")
    own = {web.settings.origin, f"{request.url.scheme}://{request.headers.get('host', '')}"}
    if origin is not None and origin not in own:
        raise Problem(
            "forbidden",
            say(
                "This request comes from a page of {origin}, not from {settings_origin}.",
                origin=origin,
                settings_origin=web.settings.origin,
            ),
        )


def check_csrf(session: Session, token: str, *, is_own: bool = False) -> None:
    """Raises Problem unless `token` is the session's own, from a page that acted for the same account; what is a
    person's own may come from a page of before a switch."""
    wanted, given = session.csrf, token
    if is_own:
        wanted, given = wanted.partition(".")[0], given.partition(".")[0]
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise Problem("forbidden", say("The page you sent this from is out of date; reload it and try again."))


async def check_form(request: Request, web: Gateway, session: Session) -> None:
    """For a page's form: Origin, and the session's token in the field `csrf`. Raises Problem."""
    check_origin(request, web)
    token = (await request.form()).get("csrf", "")
    check_csrf(session, token if isinstance(token, str) else "", is_own=_is_own(request))


def _is_own(request: Request) -> bool:
    return is_own(request.method, request.scope["path"])


def cookie_name(web: Gateway) -> str:
    # With the prefix, browsers refuse the cookie from a neighbour domain; it needs TLS.
    return "__Host-ownhand" if web.settings.is_secure else "ownhand"


async def _find_holders(web: Gateway, tokens: Sequence[str]) -> list[tuple[keys.Caller | None, Account | None]]:
    """Which key each token is, and whose: asked in one statement."""
    digests, now = keys.digests_of(tokens, pepper=web.pepper), web.clock()
    async with web.pool.acquire() as conn:
        rows = await conn.fetch(_HOLDERS, list(set(digests)), now)
        found = await keys.callers_of(conn, digests, rows, now=now)
    accounts = {row["id"]: read(Account, row) for row in rows if row["id"] is not None}
    return [(caller, accounts.get(caller.account_id)) if caller else (None, None) for caller in found]


async def _bearer(request: Request, web: Gateway, scheme: str, token: str) -> Identity:
    found, account = await web.together(_find_holders, token)
    if scheme.lower() != "bearer" or found is None or account is None or account.disabled_at is not None:
        count_sign_in(request)
        raise Problem(
            "unauthenticated",
            say(
                "The token is not valid: mistyped, expired or revoked. Clients make a new one at"
                " {origin}/desk/keys; everybody else asks {operator_name} for one.",
                origin=web.settings.origin,
                operator_name=web.settings.operator_name,
            ),
        )
    asker = Identity(
        account_id=account.id,
        role=account.role,
        scopes=frozenset(found.scopes),
        key_id=found.key_id,
        is_test=found.kind == "test",
        ownership_terms=account.ownership_terms,
    )
    act_for(party_of(account.id, account.role))
    if found.is_first_use:
        async with web.pool.acquire() as conn:
            await audit.note(
                conn,
                "key_first_used",
                account_id=account.id,
                by=asker.who,
                now=web.clock(),
                subject=found.key_id,
            )
    return asker
