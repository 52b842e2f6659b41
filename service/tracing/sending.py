"""Sending spans to a collector by OTLP over HTTP, in batches, from a thread of its own.

A collector that does not answer delays nothing and nobody: spans wait in a bounded queue, and what it cannot hold is
dropped. Which share of traces is sent, and more, say the SDK's own variables (`OTEL_TRACES_SAMPLER`,
`OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_EXPORTER_OTLP_HEADERS`).
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from service import __version__
from service.errors import NotStarted
from service.tracing import spans


@contextmanager
def tracing(url: str | None, *, process: str) -> Iterator[None]:
    """Send the spans of this process to `url` (`http://collector:4318/v1/traces`) until the end of the block; what is
    still here is sent then. Without a url, nothing is traced. process: as what it is told apart.

    Raises NotStarted where what sends them is not installed.
    """
    if url is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NotStarted(
            "OWNHAND_TRACES_URL is set, and what sends traces is not installed: pip install 'ownhand[traces]'."
        ) from error
    told = {"service.namespace": "ownhand", "service.name": f"ownhand-{process}", "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(told), id_generator=Numbers(), shutdown_on_exit=False)  # type: ignore[arg-type]
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    spans.use(provider.get_tracer("ownhand", __version__))
    try:
        yield
    finally:
        spans.use(None)
        provider.shutdown()


class Numbers:
    """Numbers of traces and spans: what was chosen for them (`spans.chosen`), else by chance."""

    def generate_trace_id(self) -> int:
        known = spans.chosen.get()
        return known.trace_id if known else random.getrandbits(128) | 1

    def generate_span_id(self) -> int:
        known = spans.chosen.get()
        return known.span_id if known else random.getrandbits(64) | 1

    def is_trace_id_random(self) -> bool:
        """Whether the second half of a trace's number is by chance, which a ULID's is."""
        return True
