"""Two creators in one place: neither finds, reads, changes or counts anything of the other's."""

import pytest

from tests.service.conftest import Person, Place, configs, creator, other_creator, place, slug_of, with_works
from tests.service.test_trainings import start, wait_for

__all__ = ["configs", "creator", "other_creator", "place"]

READS = (
    "/v1/styles/{style}/works",
    "/v1/styles/{style}/review",
    "/v1/styles/{style}/trainings",
    "/v1/styles/{style}/versions",
    "/v1/styles/{style}/deletion",
    "/v1/works/{work}/file",
    "/v1/works/{work}/thumbnail",
    "/v1/trainings/{training}",
    "/v1/trainings/{training}/events",
    "/v1/versions/{version}",
    "/v1/versions/{version}/report",
    "/v1/versions/{version}/receipt",
    "/v1/versions/{version}/adapter",
)
CHANGES = (
    ("PATCH", "/v1/styles/{style}", {"name": "Mine"}),
    ("PUT", "/v1/styles/{style}/switch", {"level": "off"}),
    ("POST", "/v1/styles/{style}/trainings", {}),
    ("PATCH", "/v1/works/{work}", {"rights": "mine"}),
    ("DELETE", "/v1/works/{work}", None),
    ("POST", "/v1/trainings/{training}/cancel", None),
    ("POST", "/v1/trainings/{training}/pause", None),
    ("POST", "/v1/trainings/{training}/resume", None),
    ("POST", "/v1/versions/{version}/publish", None),
)


@pytest.fixture
async def theirs(creator: Person) -> dict[str, str]:
    """Ids of one thing of each kind that the first creator has."""
    style_id = await with_works(creator)
    training = await wait_for(creator, await start(creator, style_id), "passed")
    work = (await creator.http.get(f"/v1/styles/{style_id}/works")).json()["items"][0]
    return {"style": style_id, "work": work["id"], "training": training["id"], "version": training["version"]}


async def test_a_second_creator_finds_nothing_of_the_first(
    creator: Person, other_creator: Person, theirs: dict[str, str], place: Place
):
    before = [(await creator.http.get(path.format(**theirs))).content for path in READS]
    unknown = {kind: f"{one[:4]}unknown" for kind, one in theirs.items()}

    for method, path, body in [*(("GET", path, None) for path in READS), *CHANGES]:
        found = await other_creator.http.request(method, path.format(**theirs), json=body)
        missing = await other_creator.http.request(method, path.format(**unknown), json=body)

        assert slug_of(found) == "not_found", (method, path)
        kind = next(kind for kind, one in theirs.items() if one in found.json()["detail"])
        reads_the_same = found.json()["detail"].replace(theirs[kind], "") == missing.json()["detail"].replace(
            unknown[kind], ""
        )
        assert reads_the_same, (method, path)

    assert (await other_creator.http.get("/v1/earnings")).json()["by_style"] == []
    assert [(await creator.http.get(path.format(**theirs))).content for path in READS] == before
