"""One order, two processes, one trace: a collector hears of it, and of nothing that is nobody's business."""

import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id

from service.tracing.spans import root_of
from tests.stories.town import Town, open_town

PROMPT = "a red apple"
"""That a town's orders have."""


class Collector:
    """Takes spans as any collector does, and keeps them: their bodies, and each as a dictionary with `process`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [one for body in list(self.bodies) for one in _read(body)]

    def of(self, trace_id: str, *, until: set[str]) -> list[dict[str, Any]]:
        """The spans of a trace, once those of these names are among them."""

        def come() -> list[dict[str, Any]]:
            found = [one for one in self.spans if one["trace"] == trace_id]
            return found if until <= {one["name"] for one in found} else []

        return self.wait_for(come)

    def wait_for(self, come: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """What `come` finds, once that is something."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if found := come():
                return found
            time.sleep(0.2)
        raise AssertionError(f"it did not come; what came: {[one['name'] for one in self.spans]}")


def _read(body: bytes) -> Iterator[dict[str, Any]]:
    sent = ExportTraceServiceRequest.FromString(body)
    for by_process in sent.resource_spans:
        (process,) = [one.value.string_value for one in by_process.resource.attributes if one.key == "service.name"]
        for scope in by_process.scope_spans:
            for one in scope.spans:
                said = {
                    "process": process,
                    "name": one.name,
                    "trace": one.trace_id.hex(),
                    "id": one.span_id.hex(),
                    "parent": one.parent_span_id.hex(),
                    "links": [link.trace_id.hex() for link in one.links],
                }
                yield said | {"all": MessageToDict(one)}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}/v1/traces")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
async def traced(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Town, Collector]]:
    with collecting() as collector, pytest.MonkeyPatch.context() as environ:
        environ.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        async with open_town(database_url, tmp_path_factory.mktemp("town"), traces_url=collector.url) as town:
            yield town, collector


async def ordered(town: Town, *, count: int = 1) -> SpanContext:
    """An order that was made: the first span of its trace."""
    order = await town.ask(uuid.uuid4().hex, wait=60, count=count)
    assert order is not None
    root = root_of(order["id"])
    assert root is not None
    return root


async def test_an_order_is_one_trace_through_both_processes(traced: tuple[Town, Collector]):
    town, collector = traced

    root = await ordered(town, count=2)

    steps = {"begin_attempt", "draw", "draw_picture", "seal_pictures", "settle_order", "deliver", "generation"}
    spans = collector.of(format_trace_id(root.trace_id), until=steps)
    names = [one["name"] for one in spans]
    assert names.count("draw_picture") == names.count("store_picture") == 2
    assert {one["process"] for one in spans if one["name"] in ("render", "draw", "draw_picture")} == {"ownhand-worker"}
    assert {one["process"] for one in spans if one["name"] in ("generation", "settle_order")} == {"ownhand-web"}
    # Every span hangs below the first one, which is the order's own story.
    by_id = {one["id"]: one for one in spans}
    assert [one["name"] for one in spans if not one["parent"]] == ["generation"]
    assert all(one["parent"] in by_id for one in spans if one["parent"])
    (story,) = [one for one in spans if one["name"] == "generation"]
    assert story["id"] == format_span_id(root.span_id)
    assert by_id[next(one["parent"] for one in spans if one["name"] == "render")] is story
    drawn = next(one["all"] for one in spans if one["name"] == "draw_picture")
    assert {event["name"] for event in drawn["events"]} == {"step"}


async def test_a_request_is_linked_to_the_order_it_placed(traced: tuple[Town, Collector]):
    town, collector = traced
    placed = format_trace_id((await ordered(town)).trace_id)
    collector.of(placed, until={"generation"})

    (request,) = collector.wait_for(lambda: [one for one in collector.spans if placed in one["links"]])

    assert (request["name"], request["links"]) == ("POST /v1/generations", [placed])
    assert request["trace"] != placed


async def test_spans_say_no_prompt_no_secret_and_nobodys_address(traced: tuple[Town, Collector]):
    town, collector = traced
    root = await ordered(town)
    await town.client.http.get("/v1/generations", params={"cursor": "a-word-that-is-no-cursor"})
    collector.of(format_trace_id(root.trace_id), until={"generation"})
    collector.wait_for(lambda: [one for one in collector.spans if one["name"] == "GET /v1/generations"])

    said = b"".join(collector.bodies)

    for private in (PROMPT, town.client.token, town.client.account.email, "a-word-that-is-no-cursor"):
        assert private.encode() not in said
