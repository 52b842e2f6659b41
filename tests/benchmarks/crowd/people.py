"""Who is there: creators, clients, an operator; their keys, sessions and links."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.benchmarks.crowd.hand import Hand
from tests.benchmarks.crowd.size import Size

_FIRST = [
    "Mara",
    "Jonas",
    "Ida",
    "Levi",
    "Noor",
    "Emil",
    "Ana",
    "Theo",
    "Zoe",
    "Kato",
    "Rosa",
    "Milan",
    "Lea",
    "Tom",
    "Aya",
    "Finn",
    "Juno",
    "Otto",
    "Vera",
    "Sami",
]
_LAST = [
    "Lind",
    "Moreau",
    "Okafor",
    "Brandt",
    "Silva",
    "Novak",
    "Weiss",
    "Costa",
    "Haas",
    "Ito",
    "Keller",
    "Duarte",
    "Varga",
    "Holm",
    "Rossi",
    "Patel",
]
_TRADES = [
    "Press",
    "Studio",
    "Agency",
    "Games",
    "Bakery",
    "Books",
    "Radio",
    "Museum",
    "Theatre",
    "Magazine",
    "Label",
    "Shop",
]
KEYS_OF_HEAVIEST = 60


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with an account."""

    id: str
    email: str
    name: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class People:
    """Of each kind the heaviest comes first."""

    creators: list[Person]
    clients: list[Person]
    operator: Person


async def invite(hand: Hand, size: Size) -> People:
    """Accounts with their keys, sessions and links."""
    operator = _person(hand, "operator", 0, f"{_FIRST[3]} {_LAST[0]}", hand.start)
    joined = [hand.start, *hand.times(size.creators - 1, 0.0, 0.6)]
    creators = [_person(hand, "creator", n, _creator_name(hand), at) for n, at in enumerate(joined)]
    joined = [hand.start, *hand.times(size.clients - 1, 0.0, 0.7)]
    clients = [_person(hand, "client", n, _client_name(hand), at) for n, at in enumerate(joined)]
    people = People(creators=creators, clients=clients, operator=operator)
    everybody = [("operator", operator), *(("creator", one) for one in creators), *(("client", one) for one in clients)]
    await hand.put("service.accounts", [_account(hand, role, one) for role, one in everybody])
    await hand.put("licensing.api_key", [key for role, one in everybody for key in _keys(hand, role, one, people)])
    await hand.put("service.sessions", [row for _, one in everybody for row in _sessions(hand, one)])
    await hand.put("service.sign_in_links", [_link(hand, one) for _, one in everybody])
    return people


def _person(hand: Hand, role: str, number: int, name: str, at: datetime) -> Person:
    return Person(id=hand.id("acc", at), email=f"{role}{number}@crowd.example", name=name, since=at)


def _creator_name(hand: Hand) -> str:
    return f"{hand.dice.choice(_FIRST)} {hand.dice.choice(_LAST)}"


def _client_name(hand: Hand) -> str:
    return f"{hand.dice.choice(_LAST)} {hand.dice.choice(_TRADES)}"


def _account(hand: Hand, role: str, one: Person) -> dict[str, Any]:
    words = {"id": one.id, "role": role, "email": one.email, "name": one.name}
    terms = hand.web.ownership.version
    return words | {"created_at": one.since, "ownership_terms": terms, "accepted_at": one.since + timedelta(hours=1)}


def _keys(hand: Hand, role: str, one: Person, people: People) -> list[dict[str, Any]]:
    kind = "live" if role == "client" else role
    count = KEYS_OF_HEAVIEST if one is people.clients[0] else hand.dice.randint(0, 2)
    return [
        {
            "key_id": hand.id("key", one.since + timedelta(days=number)),
            "account_id": one.id,
            "kind": kind,
            "hint": f"oh_{kind}_{hand.hex(2)}",
            "digest": hand.dice.randbytes(32),
            "scopes": ["read"],
            "created_at": one.since + timedelta(days=number),
            "revoked_at": one.since + timedelta(days=number + 40) if number < count - 4 else None,
            "last_used_at": one.since + timedelta(days=number + 1),
        }
        for number in range(count)
    ]


def _sessions(hand: Hand, one: Person) -> list[dict[str, Any]]:
    opened = hand.times(hand.dice.randint(1, 8), 0.9)
    return [
        {
            "digest": hand.dice.randbytes(32),
            "account_id": one.id,
            "created_at": at,
            "expires_at": at + timedelta(days=30),
            "seen_at": at + timedelta(hours=2),
            "ended_at": at + timedelta(hours=9) if hand.dice.random() < 0.5 else None,
        }
        for at in opened
    ]


def _link(hand: Hand, one: Person) -> dict[str, Any]:
    at = one.since
    times = {"created_at": at, "expires_at": at + timedelta(hours=1), "used_at": at + timedelta(minutes=3)}
    return {"digest": hand.dice.randbytes(32), "account_id": one.id, **times}
