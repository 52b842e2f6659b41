"""Families of bases: one module each, blind to each other, opened by name."""

from importlib import import_module
from typing import TYPE_CHECKING

from inference.catalog import BaseSpec
from inference.errors import BaseUnusable

if TYPE_CHECKING:
    from inference.bases.sd import StableDiffusion

FAMILIES = {"sd": "inference.bases.sd:StableDiffusion"}


def open_base(spec: BaseSpec, *, device: str = "cpu") -> "StableDiffusion":
    """Load a base's weights onto `device`, ready to draw or to be trained on.

    Raises BaseUnusable if its family is unknown or its folder is not as its entry promises.
    """
    if spec.family not in FAMILIES:
        raise BaseUnusable(
            f"base {spec.id!r} is of the unknown family {spec.family!r}; known are: {', '.join(sorted(FAMILIES))}"
        )
    module, _, name = FAMILIES[spec.family].partition(":")
    base: StableDiffusion = getattr(import_module(module), name)(spec, device=device)
    return base
