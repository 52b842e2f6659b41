"""A place with clients and the people of their teams, each in a browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service import teams
from service.accounts import Account
from service.areas import Level
from service.sessions import Session, find_session
from service.who import Who
from tests.service.accounts.conftest import Browser, SteadyClock, clock, letters_to, open_web
from tests.service.conftest import Person, Place, browser, sign_in

__all__ = ["clock"]


@pytest.fixture(scope="module")
async def place(
    database_url: str, configs: Path, tmp_path_factory: pytest.TempPathFactory, clock: SteadyClock
) -> AsyncIterator[Place]:
    """The web process alone. Accounts come by invitation."""
    home = tmp_path_factory.mktemp("home")
    async with open_web(database_url, configs, home, clock, requests_per_minute=100_000) as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Seat(Browser):
    """A person's browser, and what the session in it was when it was opened."""

    person: Person
    session: Session

    async def call(self, method: str, path: str, json: object = None) -> httpx.Response:
        """A call of the API by the cookie, as a page's script makes it."""
        return await self.http.request(method, path, json=json, headers={"X-CSRF-Token": self.csrf})


async def invite(place: Place, client: Account, email: str, level: Level = "makes") -> str:
    """The word of an invitation, as it stands in the letter."""
    web = place.gateway
    by = Who(role="client", actor=client.id)
    made = await teams.invite(web, client_id=client.id, email=email, level=level, by=by, now=web.clock())
    link: str = made.link or (await letters_to(place, email))[-1]["link"]
    return link.partition("word=")[2]


async def sit(place: Place, person: Person) -> Seat:
    session = await sign_in(place, person.account)
    return Seat(http=browser(place, session), csrf=session.csrf, person=person, session=session)


async def acting(place: Place, client: Person, level: Level, *, person: Person | None = None) -> Seat:
    """Somebody who has joined the client's team, and acts for it."""
    who = person or await place.person("client")
    word = await invite(place, client.account, who.account.email, level)
    seat = await sit(place, who)
    joined = await seat.send("/team/join", word=word)
    assert (joined.status_code, joined.headers["location"]) == (303, "/desk"), joined.text
    return await as_now(place, seat)


async def as_now(place: Place, seat: Seat) -> Seat:
    """The same browser with the word that its forms carry by now."""
    async with place.gateway.house() as conn:
        session = await find_session(conn, word=seat.session.word, now=place.gateway.clock())
    assert session is not None
    return Seat(http=seat.http, csrf=session.csrf, person=seat.person, session=session)


async def member_of(place: Place, client: Account) -> teams.TeamMember:
    """The only one in the client's team."""
    async with place.gateway.house() as conn:
        (found,) = await teams.list_members(conn, client.id)
    return found


async def end(place: Place, client: Account) -> None:
    """End the membership of the only one in the client's team."""
    web, member = place.gateway, await member_of(place, client)
    by = Who(role="client", actor=client.id)
    await teams.end_membership(web, client_id=client.id, member_id=member.id, by=by, now=web.clock())
