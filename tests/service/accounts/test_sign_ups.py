"""Who may make an account, and that nobody makes one for an address that is not theirs."""

from datetime import timedelta

import httpx
import pytest

from service.ids import new_id
from service.retention import prune_sign_ins
from service.settings import read_settings
from tests.service.accounts.conftest import (
    PASSWORD,
    Browser,
    SteadyClock,
    chosen,
    hidden,
    letters_to,
    stranger,
    words,
)
from tests.service.conftest import Person, Place

Form = dict[str, str]


@pytest.fixture
def form(place: Place) -> Form:
    version = str(place.gateway.ownership.version)
    return {"role": "client", "name": "Ann Miller", "email": f"{new_id('new')}@example.org", "terms": version}


async def sign_up(place: Place, form: Form) -> httpx.Response:
    return await stranger(place).send("/sign-up", **form)


async def confirm(place: Place, link: str, **fields: str) -> tuple[Browser, httpx.Response]:
    seat = stranger(place)
    page = await seat.read(link)
    sent = {name: hidden(page, name) for name in ("word", "terms")} | {"name": "Ann Miller"}
    return seat, await seat.send("/sign-up/confirm", **sent | fields)


async def has_account(place: Place, email: str) -> bool:
    async with place.owner() as conn:
        found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM service.accounts WHERE email = $1)", email)
        return found


@pytest.mark.parametrize("role", ["client", "creator"])
async def test_an_account_is_made_by_the_link_and_not_by_the_form(place: Place, form: Form, role: str):
    answer = await sign_up(place, form | {"role": role})
    assert f"A letter is on its way to {form['email']}" in words(answer)
    assert not await has_account(place, form["email"])
    (letter,) = await letters_to(place, form["email"])
    shown = await stranger(place).read(letter["link"])
    assert not await has_account(place, form["email"]), "mail programs open links, too"

    seat, made = await confirm(place, letter["link"], password=PASSWORD)

    assert "Ann Miller" in shown.text
    assert made.status_code == 303
    assert made.headers["location"] == {"client": "/desk", "creator": "/studio"}[role]
    account = await seat.read("/account")
    assert form["email"] in words(account)
    assert (await seat.read(made.headers["location"])).status_code == 200
    by_password = await stranger(place).send("/sign-in/password", email=form["email"], password=PASSWORD)
    assert by_password.status_code == 303
    async with place.owner() as conn:
        row = await conn.fetchrow(
            "SELECT role, name, ownership_terms, accepted_at FROM service.accounts WHERE email = $1", form["email"]
        )
    assert row is not None
    assert (row["role"], row["name"], row["ownership_terms"]) == (role, "Ann Miller", int(form["terms"]))
    assert row["accepted_at"] is not None


async def test_a_link_makes_one_account_and_works_for_a_day(place: Place, form: Form, clock: SteadyClock):
    await sign_up(place, form)
    await sign_up(place, form)
    first, second = [one["link"] for one in await letters_to(place, form["email"])]
    page = await stranger(place).read(first)

    _, made = await confirm(place, first)
    word, terms = hidden(page, "word"), hidden(page, "terms")
    again = await stranger(place).send("/sign-up/confirm", word=word, terms=terms, name="Eve", password="another ten")
    other = await stranger(place).read(second)
    late = form | {"email": f"late-{form['email']}"}
    await sign_up(place, late)
    (letter,) = await letters_to(place, late["email"])
    clock.ahead += timedelta(hours=25)
    too_late = await stranger(place).read(letter["link"])

    assert made.status_code == 303
    assert again.status_code == 409
    assert (other.status_code, too_late.status_code) == (422, 422)
    assert "This link does not work any more" in too_late.text
    clock.ahead += timedelta(days=1)
    await prune_sign_ins(place.gateway)
    async with place.owner() as conn:
        assert await conn.fetchval("SELECT count(*) FROM service.sign_ups WHERE email = $1", late["email"]) == 0


async def test_who_types_anothers_address_learns_nothing_and_its_owner_is_told(
    place: Place, client: Person, form: Form
):
    taken = form | {"email": client.account.email, "name": "Eve"}
    answers = [words(await sign_up(place, one)).replace(one["email"], "…") for one in (form, taken)]

    assert answers[0] == answers[1]
    (letter,) = await letters_to(place, client.account.email)
    assert (letter["subject"], letter["link"]) == ("You have an account here already", "")
    async with place.owner() as conn:
        assert await conn.fetchval("SELECT name FROM service.accounts WHERE id = $1", client.account.id) != "Eve"


async def test_a_form_that_fails_says_why_and_keeps_what_was_typed(place: Place, form: Form):
    wrong = {
        "role": ("", "Say what you are here for"),
        "name": ("", "Give a name"),
        "email": ("nowhere", "is no e-mail address"),
        "terms": ("", "say yes to it"),
    }
    for field, (value, sentence) in wrong.items():
        answer = await sign_up(place, form | {field: value})

        assert (answer.status_code, sentence in words(answer)) == (422, True), words(answer)
        kept = {"name": form["name"], "email": form["email"]} | {field: value}
        assert kept["name"] in answer.text
        assert kept["email"] in answer.text
    assert await letters_to(place, form["email"]) == []


async def test_an_operators_account_is_never_to_be_had(place: Place, form: Form):
    assert (await sign_up(place, form | {"role": "operator"})).status_code == 422


async def test_a_weak_password_does_not_use_the_link_up(place: Place, form: Form):
    await sign_up(place, form)
    (letter,) = await letters_to(place, form["email"])

    _, weak = await confirm(place, letter["link"], password="Ann Miller")
    _, made = await confirm(place, letter["link"], password="")

    assert (weak.status_code, "your address or name" in words(weak)) == (422, True)
    assert made.status_code == 303


async def test_nobodys_mailbox_is_filled_with_sign_ups(place: Place, form: Form):
    statuses = [(await sign_up(place, form)).status_code for _ in range(5)]

    assert statuses == [200, 200, 200, 429, 429]


@pytest.mark.parametrize(
    ("mode", "roles"), [("invitation", ()), ("clients", ("client",)), ("everyone", ("creator", "client"))]
)
async def test_the_setting_says_who_may_sign_up(place: Place, form: Form, mode: str, roles: tuple[str, ...]):
    with chosen(place, sign_up=mode):
        page, entry = await stranger(place).read("/sign-up"), await stranger(place).read("/sign-in")
        statuses = {
            role: (await sign_up(place, form | {"role": role, "email": f"{role}-{form['email']}"})).status_code
            for role in ("creator", "client")
        }

    assert {role for role, status in statuses.items() if status == 200} == set(roles)
    assert {status for role, status in statuses.items() if role not in roles} <= {403}
    assert ("Accounts come by invitation here" in words(page)) is (not roles)
    assert ("Make an account" in words(entry)) is bool(roles)


async def test_a_link_that_was_sent_before_makes_nothing_once_sign_up_is_closed(place: Place, form: Form):
    await sign_up(place, form)
    (letter,) = await letters_to(place, form["email"])

    with chosen(place, sign_up="invitation"):
        _, answer = await confirm(place, letter["link"])

    assert answer.status_code == 403
    assert not await has_account(place, form["email"])


async def test_where_no_e_mail_is_sent_people_are_told_to_ask(place: Place, client: Person, form: Form):
    with chosen(place, smtp_url=None, mail_from=""):
        signed_up = await sign_up(place, form)
        asked = await stranger(place).send("/sign-in/send", email=client.account.email)

    for answer in (signed_up, asked):
        assert "No e-mail is sent from here." in words(answer)


def test_a_mode_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="'open'; write one of invitation, clients, everyone"):
        read_settings({"OWNHAND_SIGN_UP": "open"})
