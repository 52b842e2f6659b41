"""What adapter files call the layers of a base: each base says it with the values below, `files` only looks up.

A layer has one name in its network (`down_blocks.0...to_q`) and several in files, by the tool that wrote them.
"""

from collections.abc import Callable
from dataclasses import dataclass

Naming = Callable[[str], str]
"""From a layer's name in its network to its name in files, without the ending that names its half."""
TEXT_MODEL = "text_model."
"""Newer transformers leave this out of a CLIP text model's layer names; files keep it, and older tools need it."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One network of a base that adapters may change."""

    folder: str
    """Its folder in the pipeline, and what its layers' names in `Adapter.text_layers` begin with."""
    diffusers: Naming
    kohya: Naming | None = None
    """None: kohya's tools do not know the network, or fuse layers that are separate here."""
    others: tuple[Naming, ...] = ()
    """Names that are read and never written."""

    @property
    def namings(self) -> tuple[Naming, ...]:
        """Every way in which files may name a layer."""
        return (self.diffusers, *(() if self.kohya is None else (self.kohya,)), *self.others)


@dataclass(frozen=True, kw_only=True)
class AdapterNames:
    """The networks of a base that adapters may change."""

    denoiser: Part
    text: tuple[Part, ...] = ()
    """Text encoders; none: adapters leave the reading of prompts alone."""


def dotted(prefix: str) -> Naming:
    """Diffusers' way: the network's folder before the layer's name."""
    return lambda name: prefix + name


def flat(prefix: str, own: Naming = str) -> Naming:
    """Kohya's way: a prefix for the network, and no dots. `own` first renames the layer."""
    return lambda name: prefix + own(name).replace(".", "_")


def clip_part(folder: str, *, kohya: str, others: tuple[Naming, ...] = ()) -> Part:
    """A CLIP text encoder; `kohya`: its prefix in kohya's names."""
    return Part(
        folder=folder,
        diffusers=lambda name: f"{folder}.{_clip_name(name)}",
        kohya=flat(kohya, _clip_name),
        others=(lambda name: f"{folder}.{name.removeprefix(TEXT_MODEL)}", *others),
    )


def _clip_name(name: str) -> str:
    own = name.removeprefix(TEXT_MODEL)
    return own if own.startswith("text_projection") else TEXT_MODEL + own
