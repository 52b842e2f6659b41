"""What a worker and the replicas of its fleet say to each other. Thin: neither Ray nor torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.messages import Result, Tier
from inference.pace import Speed
from service.drawing import EngineOptions


@dataclass(frozen=True, kw_only=True)
class ReplicaOptions:
    """What a replica is started with. It is told nothing else of the settings: no key, no storage."""

    database_url: str
    """Where its own watch asks whether orders may go on."""
    device: str
    engines: EngineOptions
    num_threads: int
    """0 leaves it to torch."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A step is done, as `inference.messages.Step` says it."""

    index: int
    total: int
    preview: bytes | None
    halfway: bytes | None
    """Where the picture stands (`inference.halfway`); at its first step and then every `HALFWAY_EVERY_S`."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A picture that cannot be made; the error is an InferenceError."""

    error: Exception


Event = Heard | Failed | Result
HALFWAY_EVERY_S = 0.5
"""What the death of a replica costs a picture at most, beside the step it was in."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a replica stands, every few seconds."""

    device: str
    speeds: Mapping[str, Speed]
    """By base, of those that are open."""
    tiers: Mapping[str, Mapping[str, Tier]]
    """By base, then by place."""
    bringing_s: float
    """What it took lately until an adapter's file was there; 0 before one was brought."""
    adapters: frozenset[str]
    """Those whose files it has, by hash."""
