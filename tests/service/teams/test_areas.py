"""Every path is in one area, and each level of a team reaches just its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, routing

from service.app import create_app
from service.areas import AREAS, LEVELS, Level, area_of, is_reached
from service.settings import Settings
from tests.service.calls import PARAMETERS
from tests.service.conftest import Place
from tests.service.teams.conftest import Seat, acting

ALL, NONE = ("makes", "pays", "manages"), ()
WHO_REACHES: dict[str, tuple[str, ...]] = {
    "open": ALL,
    "overview": ALL,
    "ordering": ("makes", "manages"),
    "pictures": ("makes", "manages"),
    "licences": ("pays", "manages"),
    "money": ("pays", "manages"),
    "keys": ("manages",),
    "webhooks": ("manages",),
    "disputes": ("manages",),
    "record": ("manages",),
    "terms": ("manages",),
    "team": NONE,
    "elsewhere": NONE,
}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """Its routes; nothing of it runs."""
    return create_app(Settings(home=tmp_path_factory.mktemp("home"), configs=Path("configs")), "postgresql://nowhere/")


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Each method and path, with something in the place of every name."""
    for route in routing.iter_route_contexts(app.routes):
        for method in sorted(set(route.methods or ()) - {"HEAD"}):
            yield method, re.sub(r"{(\w+)}", lambda name: PARAMETERS[name[1]].missing, route.path or "")


def test_every_route_is_in_exactly_one_area(application: FastAPI):
    routes = list(routes_of(application))

    areas = {line: [area.name for area in AREAS if area.has(*line)] for line in routes}

    wrong = {line: found for line, found in areas.items() if len(found) != 1}
    assert not wrong, f"say in service/areas.py who of a client's team reaches these: {wrong}"
    assert len(routes) > 300


def test_no_area_names_a_path_that_there_is_not(application: FastAPI):
    routes = list(routes_of(application))

    for area in AREAS:
        alone = [(path, type(area)(name="one", what=area.what, paths=(path,))) for path in area.paths]
        unused = [path for path, one in alone if not any(one.has(*line) for line in routes)]
        assert not unused, f"take these out of {area.name} in service/areas.py: {unused}"


@pytest.mark.parametrize(
    "line",
    [
        ("GET", "/nothing/like/it"),
        ("DELETE", "/desk"),
        ("GET", "/desk/moneys"),
        ("GET", "/desk/orders/gen_1/dispute"),
        ("GET", "/accounts"),
        ("POST", "/v1/generations/gen_1/events"),
    ],
)
def test_a_path_of_no_area_is_reached_at_no_level(line: tuple[str, str]):
    assert area_of(*line) is None
    assert not any(is_reached(level, *line) for level in LEVELS)


def test_head_goes_where_get_goes():
    assert is_reached("makes", "HEAD", "/desk/history")
    assert not is_reached("pays", "HEAD", "/desk/history")


def test_the_table_says_what_the_levels_say():
    assert {area.name: area.levels for area in AREAS if not area.is_own} == WHO_REACHES
    assert [area.name for area in AREAS if area.is_own] == ["own"]
    assert [area.name for area in AREAS if area.is_owners] == ["team"]


@pytest.mark.parametrize("level", LEVELS)
async def test_each_level_reaches_its_areas_and_is_refused_all_others(place: Place, level: Level):
    seat = await acting(place, await place.person("client"), level)
    failures = []

    for method, path in routes_of(place.app):
        area = area_of(method, path)
        assert area is not None
        if area.is_own or path.startswith(("/docs", "/redoc")):
            continue
        answer, said = await asked(seat, method, path)
        is_refused = answer == 403 and (("and " in said and "is not part of that" in said) or "no part of" in said)
        is_right = is_refused is (level not in WHO_REACHES[area.name])
        failures += [] if is_right else [f"{method} {path} ({area.name}) at {level}: {answer} {said[:200]}"]

    assert not failures, "\n".join(failures)


async def asked(seat: Seat, method: str, path: str) -> tuple[int, str]:
    headers = {"X-CSRF-Token": seat.csrf}
    form = {"csrf": seat.csrf} if method == "POST" and not path.startswith("/v1") else None
    answer = await seat.http.request(method, path, headers=headers, data=form)
    return answer.status_code, answer.text


async def test_a_refusal_names_the_level_the_area_and_who_can_change_it(place: Place):
    client = await place.person("client")
    seat = await acting(place, client, "makes")

    answer = await seat.call("GET", "/v1/usage")

    said = answer.json()["detail"]
    name = client.account.name
    assert said.startswith(f"You act for {name} as “Makes pictures”, and money is not part of that. {name} can change")
    assert said.endswith("/desk/team.")
