"""Which bases exist and what each can do, read from `configs/bases/<id>.toml` without opening one. Thin: no torch."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from inference.base_licences import forbids
from inference.errors import BaseUnusable

BASES = Path(__file__).resolve().parent.parent / "configs" / "bases"


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A diffusers scheduler, `module:class`, and how its settings differ from the base's own."""

    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)


SAMPLERS = {
    "ddim": Sampler(scheduler="diffusers:DDIMScheduler"),
    "ddpm": Sampler(scheduler="diffusers:DDPMScheduler"),
    "dpmpp_2m": Sampler(scheduler="diffusers:DPMSolverMultistepScheduler"),
    "dpmpp_2m_karras": Sampler(scheduler="diffusers:DPMSolverMultistepScheduler", settings={"use_karras_sigmas": True}),
    "euler": Sampler(scheduler="diffusers:EulerDiscreteScheduler"),
    "euler_a": Sampler(scheduler="diffusers:EulerAncestralDiscreteScheduler"),
    "heun": Sampler(scheduler="diffusers:HeunDiscreteScheduler"),
    "lcm": Sampler(scheduler="diffusers:LCMScheduler"),
    "pndm": Sampler(scheduler="diffusers:PNDMScheduler", settings={"skip_prk_steps": True}),
    "unipc": Sampler(scheduler="diffusers:UniPCMultistepScheduler"),
}
"""Name -> the diffusers scheduler that `inference.samplers` reads out, for diffusion bases."""
FLOW_SAMPLERS = {"flow_euler": Sampler(scheduler="diffusers:FlowMatchEulerDiscreteScheduler")}
"""The same for flow-matching bases."""
WEIGHTS_AND_SETTINGS = {".safetensors", ".json", ".txt", ".jinja"}
ENLARGER = "enlarger"
"""The part of a base's folder that enlarges its pictures (`inference.enlarger`); not every base has one."""
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Credit:
    """One source that a base was made from."""

    name: str
    licence: str
    url: str = ""
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class BaseSpec:
    """One base: open weights in a standard pipeline folder, and the settings that suit it."""

    id: str
    name: str
    family: str
    """A key of `inference.bases.FAMILIES`."""
    path: Path
    """The pipeline folder (`model_index.json`, `vae/`, ...); a relative one starts at the file's folder."""
    size: int
    """Edge of the square picture the base was trained on, in pixels."""
    max_size: int
    """Longest edge a request may ask for, in pixels."""
    steps: int
    """Denoising steps when a request names none."""
    guidance: float
    """Classifier-free guidance when a request names none; 1 is none."""
    sampler: str
    """A key of `SAMPLERS` or `FLOW_SAMPLERS`."""
    lora_targets: tuple[str, ...]
    """Endings of the names of the layers that an adapter trains, unless its recipe says otherwise."""
    licence: str
    """SPDX identifier or name of the weights' own licence."""
    commercial: bool | None = None
    """Whether pictures made with it may be sold; None: its licence decides (`inference.base_licences`)."""
    style_guidance: float = 0.0
    """How far a picture goes from what the base sees in the words to what its adapters see in them, beside `guidance`
    (`inference.guidance`); 0: adapters act as in stock pipelines."""
    known_words: tuple[str, ...] = ()
    """Words that the base draws well, to try styles on."""
    styles: Path | None = None
    """A safetensors file of how some styles are drawn, by name, (any number, T) numbers of `textures` each: what a
    creator's style must be told from. A relative path starts at the file's folder."""
    guidance_rescale: float = 0.0
    """Share by which a guided prediction is brought back to the deviation of the unguided one (arXiv 2305.08891)."""
    size_step: int = 0
    """Edges must be multiples of this; 0 takes what the pipeline's own files say."""
    sha256: str = ""
    """The `fingerprint` the folder must have; empty: not checked."""
    summary: str = ""
    credits: tuple[Credit, ...] = ()


def base_spec(name: str, *, folder: Path = BASES) -> BaseSpec:
    """The base called `name`: an id in `folder`, or the path of a .toml file of the same form elsewhere.

    Raises BaseUnusable if there is no such base or its file has an unknown, missing or impossible entry.
    """
    file = _file_of(name, folder)
    try:
        changed_ns = file.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        raise BaseUnusable(f"there is no base {name!r}; there are: {_known(folder)}") from None
    return _read_file(file, changed_ns)


def list_bases(*, folder: Path = BASES) -> list[BaseSpec]:
    """Every base in `folder`, by id."""
    return [base_spec(file.stem, folder=folder) for file in sorted(folder.glob("*.toml"))]


def samplers_of(spec: BaseSpec) -> Mapping[str, Sampler]:
    """The samplers that can draw with a base: those of the kind of its own one."""
    return FLOW_SAMPLERS if spec.sampler in FLOW_SAMPLERS else SAMPLERS


def size_step(spec: BaseSpec) -> int:
    """The number that width and height must be multiples of, in pixels.

    A picture is cut down by the VAE and then by the denoiser, by halves at every level or into patches; both say how in
    the folder's own config files.
    """
    if spec.size_step:
        return spec.size_step
    denoiser = "transformer" if _has(spec.path, "transformer") else "unet"
    return _cut(_component(spec.path, "vae")) * _cut(_component(spec.path, denoiser))


def _cut(config: Mapping[str, Any]) -> int:
    """How many times smaller, along an edge, a network makes what it is given."""
    patch = config.get("patch_size") or 1
    levels = len(config.get("block_out_channels", ())) or 1
    return int(2 ** (levels - 1) * (patch[0] if isinstance(patch, list) else patch))


def enlargement(spec: BaseSpec) -> int:
    """How many times larger, along an edge, the base's enlarger makes a picture; 1 where the base has none."""
    return int(_component(spec.path, ENLARGER)["factor"]) if _has(spec.path, ENLARGER) else 1


def fingerprint(spec: BaseSpec) -> str:
    """One SHA-256 over the names and contents of all files in the base's folder that decide its pictures."""
    return _fingerprint(spec.path)


def require_unchanged(spec: BaseSpec) -> str:
    """The fingerprint, after comparing it with the one the base's file promises. Raises BaseUnusable if they differ."""
    found = fingerprint(spec)
    if spec.sha256 and found != spec.sha256:
        raise BaseUnusable(
            f"the files of base {spec.id!r} have the fingerprint {found}, its entry promises {spec.sha256}; "
            f"restore the folder {spec.path.name!r} or correct sha256 in {spec.id}.toml"
        )
    return found


@cache
def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in WEIGHTS_AND_SETTINGS)
    if not files:
        raise BaseUnusable(f"the base folder {folder.name!r} is empty or missing; restore it")
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


@cache
def _has(folder: Path, part: str) -> bool:
    return (folder / part).is_dir()


@cache
def _component(folder: Path, part: str) -> Mapping[str, Any]:
    file = folder / part / "config.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaseUnusable(f"the base folder {folder.name!r} has no readable {part}/config.json; restore it") from error
    assert isinstance(content, dict)
    return content


@lru_cache(maxsize=64)
def _file_of(name: str, folder: Path) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    if IDENTIFIER.fullmatch(name):
        return folder / f"{name}.toml"
    raise BaseUnusable(f"{name!r} is not the id of a base; there are: {_known(folder)}")


@lru_cache(maxsize=64)
def _read_file(file: Path, changed_ns: int) -> BaseSpec:
    """changed_ns: when it was written; every request asks for its base, and the file hardly ever changes."""
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BaseUnusable(f"{file.name} is not valid TOML: {error}") from error
    return _read_spec(file, entries)


def _read_spec(file: Path, entries: dict[str, Any]) -> BaseSpec:
    known = {field.name for field in fields(BaseSpec)} - {"id"}
    if unknown := set(entries) - known:
        raise BaseUnusable(f"{file.name} has the unknown entry {min(unknown)!r}; known are: {', '.join(sorted(known))}")
    entries = {**entries, "id": file.stem, "path": (file.parent / entries.get("path", file.stem)).resolve()}
    try:
        entries["credits"] = tuple(Credit(**credit) for credit in entries.get("credits", ()))
        entries["lora_targets"] = tuple(entries["lora_targets"])
        entries["known_words"] = tuple(entries.get("known_words", ()))
        if "styles" in entries:
            entries["styles"] = (file.parent / entries["styles"]).resolve()
        spec = BaseSpec(**entries)
    except (KeyError, TypeError) as error:
        raise BaseUnusable(f"{file.name} lacks or misspells an entry: {error}") from error
    if spec.commercial and forbids(spec.licence):
        raise BaseUnusable(
            f"{file.name} says commercial = true, and its licence, {spec.licence}, says otherwise; take the line out,"
            " or name the licence that you have"
        )
    if not 0 < spec.size <= spec.max_size:
        raise BaseUnusable(f"{file.name}: size {spec.size} must be above 0 and at most max_size {spec.max_size}")
    return spec


def _known(folder: Path) -> str:
    return ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
