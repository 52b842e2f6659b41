"""Every call of the API and every page, by everybody: without a token, in another role, with a token that may do less,
for one's own things, for somebody else's, and for things that never were."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

import httpx
import pytest
from fastapi import routing

from service.accounts import Role
from tests.service.calls import CALLS, FORMS, NAMED, NAMED_OBJECTS, PARAMETERS, Call
from tests.service.conftest import browser, draw, sign_in, slug_of
from tests.service.tenants import Tenants, open_tenants

ROLES: tuple[Role, ...] = get_args(Role)
# Of an answer's headers: what differs from one call to the next, whatever was asked for.
RUNNING = {"ratelimit"}


@pytest.fixture(scope="module")
async def tenants(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with open_tenants(database_url, tmp_path_factory.mktemp("tenants")) as opened:
        yield opened
        opened.market.curtain.wait_at(None)


def test_every_call_and_every_name_in_a_path_is_described(tenants: Tenants):
    document = tenants.market.app.openapi()

    there = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    missing, gone = sorted(there - CALLS.keys()), sorted(CALLS.keys() - there)
    names = {name for line in (*there, *pages(tenants)) for name in re.findall(r"{(\w+)}", line)}

    assert not missing, f"add a line to CALLS in tests/service/calls.py that says who may make the call: {missing}"
    assert not gone, f"take the line out of CALLS in tests/service/calls.py; there is no such call: {gone}"
    unknown = sorted(names - PARAMETERS.keys())
    assert not unknown, f"say in PARAMETERS of tests/service/calls.py whose such a thing is: {unknown}"
    unmade = sorted(name for name in names if PARAMETERS[name].owner and name not in tenants.owned)
    assert not unmade, f"let open_tenants in tests/service/tenants.py make such a thing for its owner: {unmade}"


async def test_without_a_token_one_is_told_to_sign_in_and_with_a_wrong_one_as_well(tenants: Tenants):
    wrong = {"Authorization": "Bearer oh_live_nonsense"}
    failures = []

    for line, call in CALLS.items():
        plain = await send(tenants.market.stranger, line, call, tenants.owned)
        mistyped = await send(tenants.market.stranger, line, call, tenants.owned, headers=wrong)
        failures += [f"{line}: {plain.status_code}"] if (plain.status_code == 401) is not bool(call.roles) else []
        is_told = mistyped.status_code == 401 or (not call.roles and mistyped.status_code == plain.status_code)
        failures += [] if is_told else [f"{line} with a wrong token: {mistyped.status_code}"]
        if call.roles:
            assert slug_of(plain) == "unauthenticated"
            assert plain.headers["www-authenticate"].startswith("Bearer")

    assert not failures, "\n\n".join(failures)


async def test_another_role_is_refused_whosever_the_object_is(tenants: Tenants):
    missing = {name: parameter.missing for name, parameter in PARAMETERS.items()}
    failures = []

    for line, call in CALLS.items():
        for role in [role for role in ROLES if call.roles and role not in call.roles]:
            for values in (tenants.owned, tenants.owned | missing):
                answer = await send(tenants.owners[role].http, line, call, values)
                failures += [] if is_refused(answer) else [f"{line} as {role}: {answer.status_code}"]

    assert not failures, "\n\n".join(failures)


async def test_a_token_without_the_scope_is_refused_and_with_it_let_in(tenants: Tenants):
    failures = []
    scopes: dict[Role, tuple[str, ...]] = {
        "creator": ("read", "write"),
        "client": ("read", "generate"),
        "operator": ("read", "write"),
    }
    tokens = {
        (role, scope): await tenants.with_scopes(tenants.others[role], scope)
        for role in ROLES
        for scope in scopes[role]
    }

    for line, call in CALLS.items():
        for (role, scope), http in tokens.items():
            if role in call.roles:
                answer = await send(http, line, call, {name: one.missing for name, one in PARAMETERS.items()})
                is_let_in = scope != "read" if call.scope == "change" else scope == call.scope
                is_right = is_refused(answer) is not is_let_in
                failures += [] if is_right else [f"{line} as {role} with {scope}: {answer.status_code}"]

    assert not failures, "\n\n".join(failures)


async def test_anothers_object_is_answered_like_one_that_does_not_exist(tenants: Tenants):
    failures = []

    for line, call in CALLS.items():
        for role in [role for role in call.roles if role != "operator" and not call.is_published]:
            http = tenants.others[role].http
            for name, own in names_of_tenants(line, tenants):
                theirs = await send(http, line, call, own | {name: tenants.owned[name]})
                missing = await send(http, line, call, own | {name: PARAMETERS[name].missing})
                failures += difference(f"{line} as {role}, {name}", theirs, missing, tenants)

    assert not failures, "\n\n".join(failures)


async def test_what_is_not_published_is_answered_like_what_does_not_exist(tenants: Tenants):
    hidden = {"style_id": tenants.owned["hidden_style"]}
    never = {"style_id": PARAMETERS["style_id"].missing}
    failures = []

    for line, call in CALLS.items():
        names_a_style = "{style_id}" in line or "{style_id}" in str(call.json)
        for role in call.roles or (None, *ROLES):
            if names_a_style and "creator" not in call.roles:
                http = tenants.others[role].http if role else tenants.market.stranger
                theirs = await send(http, line, call, tenants.owned | hidden)
                missing = await send(http, line, call, tenants.owned | never)
                failures += difference(f"{line} as {role or 'a stranger'}", theirs, missing, tenants)

    assert not failures, "\n\n".join(failures)


async def test_an_object_named_in_a_body_or_a_query_tells_no_more(tenants: Tenants):
    failures = []

    for line, names in NAMED.items():
        call = CALLS[line]
        for role in [role for role in call.roles if role != "operator"]:
            for name in names:
                kind, never = NAMED_OBJECTS[name]
                answers = [
                    await send(tenants.others[role].http, line, call, tenants.owned, named={name: value})
                    for value in (tenants.owned[kind], never)
                ]
                # A list of nothing, a picture that is not there, an endpoint that is none of yours.
                failures += difference(f"{line} as {role}, {name}", *answers, tenants, statuses=(200, 404, 422))

    assert not failures, "\n\n".join(failures)


async def test_a_page_of_members_is_for_those_who_signed_in_and_for_their_role(tenants: Tenants):
    people = {role: await member(tenants, tenants.owners[role]) for role in ROLES}
    failures = []

    for line in pages(tenants):
        role = role_of(line)
        if role is None:
            continue
        stranger = await show(tenants.market.stranger, line, tenants.owned, {})
        is_sent = stranger.status_code == 303 and stranger.headers["location"].startswith("/sign-in")
        failures += [] if is_sent else [f"{line} as a stranger: {stranger.status_code}"]
        for other in [one for one in ROLES if one != role]:
            http, csrf = people[other]
            answer = await show(http, line, tenants.owned, {"csrf": csrf})
            failures += [] if answer.status_code == 403 else [f"{line} as {other}: {answer.status_code}"]

    assert not failures, "\n\n".join(failures)


async def test_anothers_page_reads_like_one_that_does_not_exist(tenants: Tenants):
    failures = []

    for line in pages(tenants):
        role = role_of(line)
        if role in (None, "operator"):
            continue
        http, csrf = await member(tenants, tenants.others[role])
        for name, own in names_of_tenants(line, tenants):
            form = FORMS.get(line, {}) | {"csrf": csrf}
            theirs = await show(http, line, own | {name: tenants.owned[name]}, form)
            missing = await show(http, line, own | {name: PARAMETERS[name].missing}, form)
            failures += difference(f"{line}, {name}", theirs, missing, tenants)

    assert not failures, "\n\n".join(failures)


async def test_what_is_ones_own_is_reached_by_every_call_that_names_it(tenants: Tenants):
    """Last, for it ends things. Else a path that reaches nothing would pass all of the above."""
    failures = []

    for line, call in sorted(CALLS.items(), key=lambda one: (one[1].is_end, one[0].startswith("DELETE"))):
        for role in call.roles:
            answer = await send(tenants.owners[role].http, line, call, tenants.owned | tenants.own_of[role])
            is_reached = answer.status_code not in (401, 403, 404) and answer.status_code < 500
            failures += [] if is_reached else [f"{line} as {role}: {answer.status_code} {answer.text[:200]}"]

    assert not failures, "\n\n".join(failures)


def pages(tenants: Tenants) -> list[str]:
    """Every page as `GET /desk/orders/{order_id}`."""
    found = []
    for route in routing.iter_route_contexts(tenants.market.app.routes):
        if not route.include_in_schema and route.path and route.path != "/openapi.json":
            found += [f"{method} {route.path}" for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def role_of(line: str) -> Role | None:
    """Whose page it is; None for everybody's."""
    first = line.split("/")[1]
    roles: dict[str, Role] = {"studio": "creator", "desk": "client", "office": "operator"}
    return roles.get(first)


def names_of_tenants(line: str, tenants: Tenants) -> Iterator[tuple[str, dict[str, str]]]:
    """Every name of a path that is somebody's, and what the names beside it may be: the owner's, and one's own."""
    names = [name for name in re.findall(r"{(\w+)}", line) if PARAMETERS[name].owner]
    for name in names:
        yield name, tenants.owned
        beside = {one: own for one, own in tenants.others_own.items() if one in names and one != name}
        if beside:
            yield name, tenants.owned | beside


async def send(
    http: httpx.AsyncClient,
    line: str,
    call: Call,
    values: dict[str, str],
    *,
    named: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Make a call with these names in its path, and these in its body or its query."""
    method, path = line.split(" ")
    body = filled(call.json, values)
    is_query = method == "GET"
    return await http.request(
        method,
        filled(path, values),
        params=(named or {}) if is_query else {},
        json=body if is_query or body is None else body | (named or {}),
        files={call.file: ("work.png", draw(), "image/png")} if call.file else None,
        headers=call.headers | (headers or {}),
    )


async def show(http: httpx.AsyncClient, line: str, values: dict[str, str], form: dict[str, str]) -> httpx.Response:
    """Ask for a page, or send its form, as a browser does."""
    method, path = line.split(" ")
    headers = {"Accept": "text/html"}
    return await http.request(method, filled(path, values), data=form if method == "POST" else None, headers=headers)


async def member(tenants: Tenants, person: Any) -> tuple[httpx.AsyncClient, str]:
    """Somebody's browser, and the word that its forms carry."""
    session = await sign_in(tenants.market, person.account)
    return browser(tenants.market, session), session.csrf


def filled(shape: Any, values: dict[str, str]) -> Any:
    """A path or a body with the names in braces replaced."""
    if isinstance(shape, dict):
        return {name: filled(value, values) for name, value in shape.items()}
    if isinstance(shape, list):
        return [filled(value, values) for value in shape]
    if isinstance(shape, str):
        return re.sub(r"{(\w+)}", lambda found: values.get(found[1], PARAMETERS[found[1]].missing), shape)
    return shape


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and slug_of(answer) == "forbidden"


def difference(
    what: str, theirs: httpx.Response, missing: httpx.Response, tenants: Tenants, *, statuses: tuple[int, ...] = (404,)
) -> list[str]:
    """What tells somebody else's object from none, as sentences; nothing, if all is well."""
    if theirs.status_code != missing.status_code or missing.status_code not in statuses:
        return [
            f"{what}: {theirs.status_code} for another's, {missing.status_code} for none; must be one of {statuses}"
        ]
    if same(theirs, tenants) != same(missing, tenants):
        return [f"{what}: the answers differ: {same(theirs, tenants)} and {same(missing, tenants)}"]
    return []


def same(answer: httpx.Response, tenants: Tenants) -> tuple[dict[str, str], str]:
    """Headers and body of an answer without the ids that were asked for."""
    text = answer.text
    for value in {*tenants.owned.values(), *(one.missing for one in PARAMETERS.values()), *never()}:
        text = text.replace(value, "…") if len(value) > 9 else text
    return {name: value for name, value in answer.headers.items() if name not in RUNNING}, text


def never() -> list[str]:
    return [missing for _, missing in NAMED_OBJECTS.values()]
