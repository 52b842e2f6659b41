"""What crosses the engine's door: requests in, steps and pictures out. Thin: no torch."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.catalog import BaseSpec, enlargement, samplers_of, size_step
from inference.errors import ImageRefused, InvalidRequest
from inference.verdicts import Objection

MAX_PROMPT_CHARACTERS = 1000
MAX_STEPS = 100
MAX_ASKS = 3
"""Questions that a step asks about one picture, at most (`inference.guidance`)."""
MAX_GUIDANCE = 30.0
MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""
MAX_ADAPTERS = 4
MAX_ADAPTER_STRENGTH = 2.0
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_IMAGE_PIXELS = 40_000_000
DEFAULT_STRENGTH = 0.6
FORGOTTEN = "forgotten"
"""Why a picture stopped whose adapter the engine was told to forget, where its own stop function gave no reason."""


@dataclass(frozen=True, kw_only=True)
class AdapterRef:
    """One adapter file and how strongly a picture uses it."""

    path: Path
    sha256: str
    """Of the adapter's own file, in hexadecimal: the name under which the engine keeps it."""
    flat_sha256: str | None = None
    """Where `path` is a flat file made from that one (`inference.adapters.flat`): of the flat file. None: it is the own
    file. Both draw the same; a flat one is read sooner."""
    strength: float = 1.0
    trigger: str | None = None
    """The made-up word that calls the style (`call_of`). None: nothing is added to the prompt."""
    works: bytes | None = None
    """What the works look like that the style was made from (`likeness.pack_looks`): no picture that is nearly the same
    as one of them leaves. None: nobody looks for such."""

    @property
    def file_sha256(self) -> str:
        """Of the file that lies at `path`."""
        return self.flat_sha256 or self.sha256


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One picture to make. None leaves the choice to the base."""

    id: str
    base: str
    prompt: str
    seed: int
    negative_prompt: str = ""
    adapters: tuple[AdapterRef, ...] = ()
    width: int | None = None
    """Of the finished picture, as is `height`: where it is enlarged, that many times what the base draws."""
    height: int | None = None
    enlarge: bool = False
    """Have the base's enlarger draw the edges anew, larger; for bases that have one (`catalog.enlargement`)."""
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    image: bytes | None = None
    """Encoded source picture (PNG, JPEG, WebP) of a variation."""
    strength: float | None = None
    """How far a variation may leave its source: 0 keeps it, 1 forgets it."""
    mask: bytes | None = None
    """Encoded grey picture beside `image`: white is made anew, black is kept."""
    watched_as: str | None = None
    """Under which name an engine elsewhere can ask for itself whether the picture may go on. None: only its `stop` says
    so."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds from now until a picture would begin, and until it would be finished."""

    begins_s: float
    ends_s: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a picture is done."""

    index: int
    """Steps done, 1 to total."""
    total: int
    preview: bytes | None
    """A small JPEG of what the picture is becoming; only every few steps."""
    halfway: Callable[[], bytes]
    """Writes down where the picture stands, for an engine that goes on from there (`Engine.submit`). May be called
    later and in another thread, or not at all."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished picture."""

    request_id: str
    png: bytes
    width: int
    height: int
    seed: int
    steps: int
    seconds: float
    """From the first step to the encoded file."""
    receipt: Mapping[str, Any]
    """What is needed to make it again, as plain values (`inference.receipt`)."""
    notes: tuple[str, ...] = ()
    """Sentences for the person who asked, for example which words of a long prompt the base could not read."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A request that was told to stop. No picture exists."""

    request_id: str
    reason: str
    step: int
    """Steps that were done when it stopped."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    """How one of the places where adapters are kept did so far, and what lies there now."""

    hits: int
    """How often an adapter that was needed was there."""
    misses: int
    """How often one had to be brought there."""
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A request that a check objects to. No picture exists."""

    request_id: str
    objection: Objection
    step: int
    """Steps that were done by then."""


Result = Picture | Stopped | Refused
"""How a request ends that was taken and did not fail."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request with nothing left open: what `plan` made of it."""

    request: ImageRequest
    call: str
    """What calls the adapters' styles: `with_call` puts it behind the prompt. The negative prompt stays without it:
    guidance leads away from what the negative prompt says, so a style that stood there would be taken out again."""
    width: int
    """Of what the base draws, as is `height`."""
    height: int
    enlargement: int
    """How many times as large, along an edge, the finished picture is; 1 is not enlarged."""
    steps: int
    guidance: float
    sampler: str
    strength: float
    """1 where there is no source picture."""
    num_asks: int
    """Questions that a step asks about it (`inference.guidance`), as far as the base's settings tell."""

    @property
    def num_steps(self) -> int:
        """Steps that are made: a variation leaves out the first ones."""
        return min(int(self.steps * self.strength), self.steps)

    def share(self, spec: BaseSpec) -> float:
        """Pixels of what is drawn, in pictures of the base's own size."""
        return self.width * self.height / spec.size**2

    def row_steps(self, spec: BaseSpec) -> float:
        """What it costs to make, in steps of one question about a picture of the base's own size."""
        return self.num_steps * self.num_asks * self.share(spec)


def plan(request: ImageRequest, spec: BaseSpec) -> Plan:
    """Fill what a request left open from its base, and refuse what cannot be made.

    Raises InvalidRequest with a sentence that names the value and the way out. Reads no file but the base's settings.
    """
    strength = request.strength if request.strength is not None else DEFAULT_STRENGTH
    times = enlargement(spec) if request.enlarge else 1
    planned = Plan(
        request=request,
        call=call_of(request.prompt, request.adapters),
        width=spec.size if request.width is None else request.width // times,
        height=spec.size if request.height is None else request.height // times,
        enlargement=times,
        steps=spec.steps if request.steps is None else request.steps,
        guidance=spec.guidance if request.guidance is None else request.guidance,
        sampler=spec.sampler if request.sampler is None else request.sampler,
        strength=1.0 if request.image is None else strength,
        num_asks=_num_asks(request, spec),
    )
    if request.base != spec.id:
        raise InvalidRequest(f"the request is for the base {request.base!r}, this is {spec.id!r}; submit it there")
    _check_words(request)
    _check_size(request, times, spec)
    _check_numbers(planned, spec)
    _check_pictures(request)
    return planned


def call_of(prompt: str, adapters: tuple[AdapterRef, ...]) -> str:
    """The words that call the adapters' styles, as adapters are trained with them; none for what `prompt` calls."""
    typed = set(re.findall(r"\w+", prompt))
    triggers = dict.fromkeys(ref.trigger for ref in adapters if ref.trigger and ref.trigger not in typed)
    return ", ".join(f"{trigger} style" for trigger in triggers)


def with_call(words: str, call: str) -> str:
    """The words with the call behind them.

    Behind, because a CLIP text model reads forwards: the words before a call mean to the base what they always meant.
    """
    return ", ".join(part for part in (words, call) if part)


def _num_asks(request: ImageRequest, spec: BaseSpec) -> int:
    is_guided = (spec.guidance if request.guidance is None else request.guidance) != 1
    return 1 + is_guided + (spec.style_guidance > 0 and bool(request.adapters))


def _check_words(request: ImageRequest) -> None:
    if not request.prompt.strip():
        raise InvalidRequest("the prompt is empty; say what the picture should show, for example: a red apple")
    for name, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise InvalidRequest(
                f"the {name} has {len(text)} characters, at most {MAX_PROMPT_CHARACTERS} are read; shorten it"
            )
    if len(request.adapters) > MAX_ADAPTERS:
        raise InvalidRequest(f"{len(request.adapters)} adapters were given; at most {MAX_ADAPTERS} can share a picture")
    for ref in request.adapters:
        if not -MAX_ADAPTER_STRENGTH <= ref.strength <= MAX_ADAPTER_STRENGTH:
            raise InvalidRequest(
                f"adapter strength {ref.strength} is out of range; choose one from 0 to {MAX_ADAPTER_STRENGTH}"
            )


def _check_size(request: ImageRequest, times: int, spec: BaseSpec) -> None:
    if request.enlarge and times == 1:
        raise InvalidRequest(f"{spec.name} has no enlarger; leave `enlarge` out and take the picture as it is drawn")
    step, most = size_step(spec) * times, spec.max_size * times
    for name, edge in (("width", request.width), ("height", request.height)):
        if edge is None:
            continue
        if not step <= edge <= most:
            raise InvalidRequest(f"{name} {edge} is out of range; {spec.name} makes {step} to {most} pixels")
        if edge % step:
            nearest = min(max(round(edge / step), 1) * step, most // step * step)
            raise InvalidRequest(f"{name} {edge} is not a multiple of {step}; choose {nearest}")


def _check_numbers(planned: Plan, spec: BaseSpec) -> None:
    if planned.sampler not in samplers_of(spec):
        raise InvalidRequest(
            f"{spec.name} has no sampler {planned.sampler!r}; choose one of {', '.join(sorted(samplers_of(spec)))}"
        )
    if not 1 <= planned.steps <= MAX_STEPS:
        raise InvalidRequest(f"{planned.steps} steps were asked for; choose 1 to {MAX_STEPS}")
    if not 1 <= planned.guidance <= MAX_GUIDANCE:
        raise InvalidRequest(f"guidance {planned.guidance} is out of range; choose 1 to {MAX_GUIDANCE:g}")
    if not 0 <= planned.strength <= 1:
        raise InvalidRequest(
            f"strength {planned.strength} is out of range; choose 0 (keeps the source picture) to 1 (forgets it)"
        )
    if not 0 <= planned.request.seed <= MAX_SEED:
        raise InvalidRequest(f"seed {planned.request.seed} is out of range; choose 0 to {MAX_SEED}")


def _check_pictures(request: ImageRequest) -> None:
    if request.image is None and request.strength is not None:
        raise InvalidRequest("a strength was given without an image; add the source picture or leave strength out")
    if request.image is None and request.mask is not None:
        raise InvalidRequest("a mask was given without an image; add the picture that it covers")
    for name, content in (("image", request.image), ("mask", request.mask)):
        if content is not None and len(content) > MAX_IMAGE_BYTES:
            raise ImageRefused(
                f"the {name} has {len(content) / 1048576:.1f} MiB, at most {MAX_IMAGE_BYTES // 1048576} MiB are read; "
                "save it smaller",
                kind="too_many_bytes",
            )
