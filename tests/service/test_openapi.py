"""The API does what its OpenAPI document says: any request that fits the document, and any that does not, is answered
with a documented status, in a documented form, and never by a fault of ours."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.accounts import Role
from service.errors import SLUGS
from tests.service.calls import CALLS
from tests.service.tenants import Tenants, open_tenants
from tests.stories.processes import free_port

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ROLES: tuple[Role, ...] = get_args(Role)
# Reading first, then what changes things, then what ends them; a switch may destroy a style.
ORDER = ("GET", "POST", "PATCH", "PUT", "DELETE")


@dataclass(frozen=True, kw_only=True)
class Served:
    """Everybody's things behind a real socket: what a library sends is then parsed as any program's bytes are."""

    tenants: Tenants
    url: str
    operations: dict[str, APIOperation]


@pytest.fixture(scope="module")
async def served(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with open_tenants(database_url, tmp_path_factory.mktemp("tenants")) as tenants:
        app, port = tenants.market.app, free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="error"))
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        found = [one.ok() for one in schemathesis.openapi.from_dict(app.openapi()).get_all_operations()]
        operations = {one.label: one for one in found}
        yield Served(tenants=tenants, url=f"http://127.0.0.1:{port}", operations=operations)
        tenants.market.curtain.wait_at(None)
        server.should_exit = True
        await running


def test_every_problem_is_named_in_the_document(served: Served):
    document = served.tenants.market.app.openapi()

    slugs = {
        one.rsplit("/", 1)[-1] for one in document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    }

    assert slugs == SLUGS.keys()


@pytest.mark.parametrize("examples", [5, pytest.param(100, marks=pytest.mark.long)])
async def test_whatever_is_sent_the_answer_is_a_documented_one(served: Served, examples: int):
    failures: list[str] = []

    for line in sorted(served.operations, key=lambda line: (CALLS[line].is_end, ORDER.index(line.split(" ")[0]))):
        for role in CALLS[line].roles or (None,):
            for way in ways(served.operations[line]):
                failures += await asyncio.to_thread(_try, served, line, role, way, examples)

    assert not failures, "\n\n".join(failures)


def ways(operation: APIOperation) -> list[schemathesis.GenerationMode]:
    """What fits the document, and what does not; any text fits a name in a path, so nothing else can be tried there."""
    fits, does_not = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
    return [fits, does_not] if operation.body or operation.query else [fits]


def _try(served: Served, line: str, role: Role | None, way: schemathesis.GenerationMode, examples: int) -> list[str]:
    """What is wrong with the answers to a call, tried so often in one way: fitting the document, or not fitting it."""
    person = served.tenants.owners[role] if role else None
    headers = {"Authorization": f"Bearer {person.token}"} if person else {}

    # No look for the smallest example: the one that failed is told as a command line.
    @seed(examples)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=served.operations[line].as_strategy(way), is_real=st.booleans())
    def answers_as_documented(case: schemathesis.Case, is_real: bool) -> None:
        if is_real and way is schemathesis.GenerationMode.POSITIVE:
            _name_what_is_there(case, served.tenants.owned)
        answer = case.call(base_url=served.url, headers=headers, timeout=60)
        case.validate_response(answer, checks=CHECKS)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(Unsatisfiable):
                # A call that takes nothing has nothing that could not fit.
                answers_as_documented()
    except (Failure, FailureGroup, ExceptionGroup) as error:
        return [f"{line} as {role or 'a stranger'}, {way.value}: {error}"]
    return []


def _name_what_is_there(case: schemathesis.Case, owned: dict[str, Any]) -> None:
    """Put things of the asker's own where the request names some, so that it comes further than to `not_found`."""
    if case.path_parameters:
        case.path_parameters |= {name: owned.get(name, value) for name, value in case.path_parameters.items()}
    if isinstance(case.body, dict) and "style" in case.body:
        case.body["style"] = owned["style_id"]
        case.body |= {name: None for name in ("version", "image", "mask", "webhook") if name in case.body}
