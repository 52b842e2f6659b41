"""Spans by themselves: their numbers, what an error says of itself, and a process that nobody traces."""

import asyncio
import logging
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from service.errors import NotStarted
from service.ids import new_id, to_number
from service.logs import log_as
from service.tracing import sending, spans
from service.tracing.__main__ import main


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Any:
    """What is sent; `share` of all traces, where a test says so."""
    exporter, share = Kept(), getattr(request, "param", 1.0)
    provider = TracerProvider(id_generator=sending.Numbers(), sampler=TraceIdRatioBased(share))  # type: ignore[arg-type]
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.use(provider.get_tracer("test"))
    yield exporter.spans
    spans.use(None)


def test_an_id_is_the_number_of_its_trace():
    made = new_id("gen")
    root = spans.root_of(made)
    assert root is not None
    assert root.trace_id == to_number(made)
    assert root.span_id == root.trace_id % 2**64
    assert [spans.root_of(none) for none in ("", "gen_", "gen_short", made + "x", f"gen_{'u' * 26}", "z" * 30)] == [
        None
    ] * 6
    assert to_number("gen_" + "z" * 26) is None


def test_stories_of_one_thing_share_a_trace_and_others_do_not(kept: list[ReadableSpan]):
    first, second = new_id("gen"), new_id("gen")
    with spans.story_span("generation", first), spans.span("step", bytes=3):
        pass
    with spans.story_span("render", f"{first}.1.render"):
        pass
    with spans.story_span("generation", second):
        pass
    with spans.story_span("sweep", "no-id-of-anything"):
        pass

    step, own, render, other, none = kept
    assert step.attributes == {"ownhand.bytes": 3}
    assert own.parent is None
    assert [one.parent and one.parent.span_id for one in (step, render)] == [own.context.span_id] * 2
    assert step.context.trace_id == own.context.trace_id == render.context.trace_id == to_number(first)
    assert other.context.trace_id == to_number(second)
    assert none.parent is None
    assert none.context.trace_id not in (to_number(first), to_number(second))


@pytest.mark.parametrize("kept", [0.5], indirect=True)
def test_of_a_share_each_trace_is_sent_whole_or_not_at_all(kept: list[ReadableSpan]):
    ids = [new_id("gen") for _ in range(100)]
    for one in ids:
        with spans.story_span("generation", one):
            pass
        with spans.story_span("render", f"{one}.1.render"), spans.span("step"):
            pass
    names = [[span.name for span in kept if span.context.trace_id == to_number(one)] for one in ids]
    assert {tuple(sent) for sent in names} == {(), ("generation", "step", "render")}


def test_an_error_is_told_by_its_kind_and_not_by_its_words(kept: list[ReadableSpan]):
    with pytest.raises(ValueError, match="red apple"), spans.story_span("generation", new_id("gen")):
        raise ValueError("a red apple")
    assert kept[0].status.description == "ValueError"
    assert "apple" not in kept[0].to_json()


def test_a_story_that_is_cancelled_is_not_told(kept: list[ReadableSpan]):
    with pytest.raises(asyncio.CancelledError), spans.story_span("generation", new_id("gen")):
        raise asyncio.CancelledError
    assert kept == []


def test_a_line_of_the_log_names_the_trace_it_was_written_in(kept: list[ReadableSpan], capsys: Any):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        log_as("json", "INFO")
        with spans.story_span("generation", made := new_id("gen")):
            logging.getLogger("ownhand.test").info("within")
        logging.getLogger("ownhand.test").info("without")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    within, without = capsys.readouterr().err.splitlines()
    assert f'"trace": "{to_number(made):032x}"' in within
    assert "trace" not in without


def test_nothing_is_traced_without_a_collector():
    with sending.tracing(None, process="web"), spans.request_span("GET") as made:
        assert not made.is_recording()
        spans.answered(made, route="/", status=200)
    assert not trace.get_current_span().is_recording()


def test_what_sends_must_be_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with (
        pytest.raises(NotStarted, match="pip install 'ownhand"),
        sending.tracing("http://127.0.0.1:1/v1/traces", process="web"),
    ):
        pass


def test_a_collector_that_does_not_answer_delays_nobody(caplog: pytest.LogCaptureFixture):
    with sending.tracing("http://127.0.0.1:1/v1/traces", process="web"), spans.request_span("GET") as made:
        assert made.is_recording()


def test_the_trace_of_an_order_is_found_by_its_id(capsys: pytest.CaptureFixture[str]):
    made = new_id("gen")
    assert main([made]) == 0
    assert capsys.readouterr().out == f"{made}: {to_number(made):032x}\n"
    assert main(["gen_1"]) == 2
