"""Spans, and whose trace they are in.

What a story is about has a trace of its own, named by its id: the 128 bits of the ULID in `gen_01jd3v...` are the
trace's. So every process knows it, nothing has to be passed on through queues, and whoever has an order's id finds its
trace. A request is a trace of its own, linked to the orders that it placed.

Spans name routes, stories, steps, bases and sizes: never a prompt, an address of a person, a file or a secret. For the
same reason an error is told by its kind alone: its words may be anybody's.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)
from opentelemetry.util.types import AttributeValue

from service.ids import to_number

_HALF = 2**64 - 1
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

chosen: ContextVar[SpanContext | None] = ContextVar("chosen", default=None)
"""What the next span is to be called, where that is not left to chance."""
_NONE = NoOpTracer()
_tracer: Tracer = _NONE


def use(tracer: Tracer | None) -> None:
    """Make the spans of this process by `tracer`; None for none."""
    global _tracer
    _tracer = tracer or _NONE


def root_of(thing_id: str) -> SpanContext | None:
    """The first span of the trace of what has this id; None for an id that is no ULID. Its own number is the second
    half of the trace's."""
    number = to_number(thing_id)
    if number is None or not number & _HALF:
        return None
    return SpanContext(trace_id=number, span_id=number & _HALF, is_remote=True, trace_flags=_SAMPLED)


@contextmanager
def span(name: str, **attributes: AttributeValue) -> Iterator[Span]:
    """A part of whatever is under way here. Attributes get the prefix `ownhand.`."""
    with _timed(_tracer.start_span(name, attributes=_named(attributes))) as made:
        yield made


def request_span(method: str) -> AbstractContextManager[Span]:
    """An answer to somebody's request; what a stranger says of traces is not gone by."""
    # Where nothing is traced, a request pays nothing for it.
    return nullcontext(INVALID_SPAN) if _tracer is _NONE else _request_span(method)


@contextmanager
def _request_span(method: str) -> Iterator[Span]:
    made = _tracer.start_span(method, context=Context(), kind=SpanKind.SERVER)
    made.set_attribute("http.request.method", method)
    with _timed(made):
        yield made


@contextmanager
def story_span(name: str, workflow_id: str) -> Iterator[None]:
    """A story of the thing whose id the workflow's begins with. Its own story (no more than the id) is the first span.

    A story that is cancelled is told again elsewhere, and is a span there.
    """
    thing_id, _, part = workflow_id.partition(".")
    root = root_of(thing_id)
    if root is not None and part:
        made = _tracer.start_span(name, context=trace.set_span_in_context(NonRecordingSpan(root), Context()))
    else:
        token = chosen.set(root)
        try:
            made = _tracer.start_span(name, context=Context())
        finally:
            chosen.reset(token)
    made.set_attribute("ownhand.story", workflow_id)
    with _timed(made):
        yield


def link(thing_id: str) -> None:
    """Say of the span under way here that it led to what has this id."""
    root = root_of(thing_id)
    if root is not None:
        trace.get_current_span().add_link(root)


def answered(made: Span, *, route: str, status: int) -> None:
    """What a request was answered with."""
    if made.is_recording():
        made.update_name(f"{made.attributes['http.request.method']} {route}")  # type: ignore[attr-defined]
        made.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            made.set_status(StatusCode.ERROR)


@contextmanager
def _timed(made: Span) -> Iterator[Span]:
    with trace.use_span(made, end_on_exit=False, record_exception=False, set_status_on_exception=False):
        try:
            yield made
        except Exception as error:
            made.set_status(StatusCode.ERROR, type(error).__name__)
            made.end()
            raise
    made.end()


def _named(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {f"ownhand.{name}": value for name, value in attributes.items()}
