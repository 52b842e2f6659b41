"""What crosses the trainer's door: a request in, events out, each one JSON object a line. Thin: no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from training.errors import RequestInvalid

MAX_WORKS = 500
MAX_CAPTIONS_PER_WORK = 8
MAX_CAPTION_CHARACTERS = 300
MAX_SEED = 2**53 - 1

Precision = Literal["float32", "bfloat16"]
TrainingState = Literal["preparing", "training", "measuring", "passed", "refused", "failed", "interrupted"]
TRAINING_ENDS: frozenset[TrainingState] = frozenset({"passed", "refused", "failed", "interrupted"})
"""A training that has said one of these touches nothing any more; an interrupted one goes on when it is asked again."""
Severity = Literal["error", "warning", "note"]
"""error: the work is left out; warning: it is used, better look; note: for information."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One file of a portfolio."""

    id: str
    path: Path
    captions: tuple[str, ...] = ()
    """Words for it, the creator's own or suggested ones; the file name stands in where there are none."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the steps of a training are computed, as measured to be best on a machine (`training.probe`)."""

    precision: Precision = "float32"
    """In which the base answers; adapters and losses are float32 in any case."""
    is_checkpointed: bool = False
    """Gradient checkpointing: what lies between layers is computed again in the backward pass instead of kept."""
    rows_at_once: int = 0
    """Rows of a batch that fit into memory together; 0: all of them."""
    num_threads: int = 0
    """Of a CPU, and never more than there are; 0: as many as torch takes by itself."""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """One adapter to train. The caller attests the rights to every work in it."""

    id: str
    base: str
    """An id in `configs/bases/`, or the path of such a file."""
    works: tuple[Work, ...]
    out: Path
    """Folder that gets exactly `adapter.safetensors`, `receipt.json` and `report.html`."""
    scratch: Path
    """Folder for checkpoints and samples; running the same request again continues from what lies there."""
    seed: int = 0
    recipe: str = ""
    """A name in `configs/recipes/` or the path of such a file; empty: the base's (`recipe.recipe_for`)."""
    trigger: str = ""
    """The made-up word that will call the style; empty: derived from the works."""
    style_words: tuple[str, ...] = ()
    """Names of the creator and of the style: never part of a caption."""
    is_reviewed: bool = False
    """True: the creator has seen a whole review of these works; only what the training itself needs is looked at."""
    max_minutes: float = 0.0
    """Hard limit of the time that the training's own work may take, over all of its runs; 0: none."""
    way: Way | None = None
    """None: the machine is measured at the start; a CPU of one thread takes the plain way."""
    take: int = 0
    """Steps after which an adapter of a training that ended is judged, in place of learning: `scratch` then holds what
    that training kept (`training.kept`). 0: learn."""

    def to_json(self) -> str:
        """The request as one JSON object, for `python -m training.run`."""
        return json.dumps(asdict(self), default=str, indent=1)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something the review saw, in words a creator can act on."""

    work: str | None
    """Id of the work; None: about the portfolio as a whole."""
    kind: str
    severity: Severity
    why: str
    fix: str
    about: tuple[str, ...] = ()
    """Ids of the works that a finding about the whole portfolio speaks of."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a captioning model says that a work shows: suggestions, the likeliest first."""

    work: str
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StateChanged:
    """The training entered a state; `message` explains refused and failed."""

    state: TrainingState
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the machine was measured to need for a whole training."""

    seconds: float
    steps: int
    memory_bytes: int = 0
    """The most that the process takes, on a GPU of the GPU's own memory; 0: not measured."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What `training.probe` measured of one machine with one recipe over one base."""

    opening_s: float
    """Until the base is open."""
    picture_s: float
    """Encoding one picture."""
    prompt_s: float
    """Reading one prompt."""
    step_s: float
    memory_bytes: int
    way: Way
    """The fastest way that fits into memory."""
    device: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    step: int
    steps: int
    loss: float
    eta_s: float


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How much better than the base the adapter draws works it never saw, as a share of the base's loss."""

    step: int
    gain: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A picture drawn on the way; `path` is a PNG in the scratch folder."""

    step: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class Done:
    """The files are written. `scores` are the gate's numbers by name."""

    adapter: Path
    receipt: Path
    report: Path
    scores: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[Path, ...] = ()
    """PNGs in the scratch folder, drawn with the style: the only pictures of a training that anybody may see."""
    flat: Path | None = None
    """In the scratch folder, of an adapter that passed: its flat file, which an engine reads sooner
    (`inference.adapters.flat`)."""
    looks: Path | None = None
    """In the scratch folder: what all works look like (`inference.likeness.pack_looks`). It tells whoever draws with
    the adapter what is a near-copy, and is as private as the works."""
    kept: tuple[Path, ...] = ()
    """In the scratch folder: what another adapter of this training can be judged by later (`training.kept`), as private
    as the adapter."""


Event = StateChanged | Finding | Described | Estimate | Speed | Progress | HeldOut | Sample | Done
EVENTS: dict[str, type[Event]] = {
    "state": StateChanged,
    "finding": Finding,
    "described": Described,
    "estimate": Estimate,
    "speed": Speed,
    "progress": Progress,
    "heldout": HeldOut,
    "sample": Sample,
    "done": Done,
}
NAMES = {kind: name for name, kind in EVENTS.items()}


def event_line(event: Event, *, training: str = "") -> str:
    """An event as one line of JSON, `{"event": <name>, ...}`, without the line's end; first, if it is named, whose."""
    whose = {"training": training} if training else {}
    # What is no number is no JSON either, and whoever reads the line could not keep it.
    return json.dumps({**whose, "event": NAMES[type(event)], **asdict(event)}, default=str, allow_nan=False)


def read_event(line: str) -> Event:
    """What `event_line` wrote, of whichever training. Raises ValueError on anything else."""
    return read_line(line)[1]


def read_line(line: str) -> tuple[str, Event]:
    """Whose event a line of `event_line` is, "" where it names nobody, and the event. Raises ValueError on others."""
    content: dict[str, Any] = json.loads(line)
    if not isinstance(content, dict) or content.get("event") not in EVENTS:
        raise ValueError(f"not an event of a training: {line[:80]!r}")
    training = str(content.pop("training", ""))
    kind = EVENTS[content.pop("event")]
    paths = {entry.name for entry in fields(kind) if entry.type is Path}
    values: dict[str, Any] = {name: Path(value) if name in paths else value for name, value in content.items()}
    if values.get("flat") is not None:
        values["flat"] = Path(values["flat"])
    if values.get("looks"):
        values["looks"] = Path(values["looks"])
    for name in {"examples", "kept"} & set(values):
        values[name] = tuple(Path(path) for path in values[name])
    for name in {"about", "captions"} & set(values):
        values[name] = tuple(values[name])
    if "way" in values:
        values["way"] = Way(**values["way"])
    return training, kind(**values)


def read_request(text: str) -> TrainingRequest:
    """What `TrainingRequest.to_json` wrote. Raises RequestInvalid, naming the first thing that is wrong."""
    try:
        content: dict[str, Any] = json.loads(text)
        works = read_works(content.pop("works"))
        out, scratch = Path(content.pop("out")), Path(content.pop("scratch"))
        words = tuple(content.pop("style_words", ()))
        way = Way(**content.pop("way")) if content.get("way") else None
        request = TrainingRequest(works=works, out=out, scratch=scratch, style_words=words, **{**content, "way": way})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestInvalid(f"the training request cannot be read: {error!r}") from error
    check_request(request)
    return request


def read_works(entries: Sequence[Mapping[str, Any]]) -> tuple[Work, ...]:
    """Works as a request's JSON holds them. Raises KeyError, TypeError or AttributeError on anything else."""
    return tuple(
        Work(id=str(work["id"]), path=Path(work["path"]), captions=tuple(work.get("captions", ()))) for work in entries
    )


def check_request(request: TrainingRequest) -> None:
    """Raise RequestInvalid if the request breaks a limit that needs no look at the files."""
    if len(request.works) > MAX_WORKS:
        raise RequestInvalid(
            f"{len(request.works)} works were given, at most {MAX_WORKS} train one style; choose the most typical ones"
        )
    if len({work.id for work in request.works}) < len(request.works):
        raise RequestInvalid("two works have the same id; give each work its own")
    if request.max_minutes < 0:
        raise RequestInvalid(f"{request.max_minutes:g} minutes are no time; give more than 0, or 0 for no limit")
    if request.take < 0:
        raise RequestInvalid(f"an adapter after {request.take} steps was asked for; name one that was kept")
    if not 0 <= request.seed <= MAX_SEED:
        raise RequestInvalid(f"seed {request.seed} is out of range; choose 0 to {MAX_SEED}")
