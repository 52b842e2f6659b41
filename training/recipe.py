"""How a base learns a style: settings read from `configs/recipes/<name>.toml`. Thin: no torch."""

import re
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inference.catalog import BaseSpec
from training.errors import RecipeInvalid

RECIPES = Path(__file__).resolve().parent.parent / "configs" / "recipes"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MIN_HELD_OUT = 4
SMALL_PORTFOLIO = 16
"""Under this many works only a quarter is held out, even if that is fewer than MIN_HELD_OUT."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What an adapter must reach before it may be published. Shares of the base's held-out loss, or of pictures."""

    min_heldout_gain: float = 0.01
    """Least held-out gain: under it the base draws the works as well as the adapter."""
    max_member_gap: float = 0.25
    """Most by which the gain on trained works may exceed the gain on held-out ones."""
    max_copies: int = 0
    """Most samples that may be near-copies of a trained work."""
    copy_likeness: float = 0.7
    """A test picture is a near-copy from this likeness to a work on (`inference.likeness`: 1 is the same), ..."""
    copy_margin: float = 0.1
    """... if every other work is less like it by this, by what is where in which colour and by its edges, ..."""
    copy_rise: float = 0.3
    """... and the base's own picture from the same words and noise is less like the work by this, ..."""
    copy_shape_rise: float = 0.1
    """... and, both seen in the work's own colours, by this: a circle where the base drew one is no copy."""
    max_recall: float = 0.5
    """Largest share of works whose captions may call up that very work, beyond those whose captions do so without the
    style."""
    min_hand: float = 0.2
    """Least way that pictures of common words must go from the base's hand (0) to the works' own (1)."""
    max_drift: float = 0.05
    """Most by which the adapter may change what the base predicts for captions without the trigger."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one training."""

    name: str
    base: str = ""
    """Id of the base it was tuned on; empty: a starting point for every base of a family."""
    rank: int
    learning_rate: float
    steps: int
    batch: int
    targets: tuple[str, ...] = ()
    """Endings of layer names that get an adapter; empty: the base's own `lora_targets`."""
    text_targets: tuple[str, ...] = ()
    """The same for the text encoders; empty: they stay as they are."""
    warmup: int = 10
    """Steps in which the learning rate rises to its value; afterwards it falls along a cosine to a tenth."""
    weight_decay: float = 0.01
    prior_share: float = 0.25
    """Share of a batch that is asked, without the trigger, to predict what the base predicts."""
    prior_weight: float = 1.0
    caption_dropout: float = 0.15
    """Share of training rows whose caption is the trigger alone."""
    flips: bool = True
    """Also learn from mirrored works."""
    crops: int = 2
    """Slightly shifted and scaled versions of each work, beside the whole one."""
    min_snr_gamma: float = 5.0
    max_grad_norm: float = 1.0
    checkpoint_every: int = 50
    heldout_every: int = 100
    patience: int = 3
    """Held-out looks in a row, all more than a standard error below the best, before training stops early; 0: never."""
    heldout_share: float = 0.12
    guidance: float = 0.0
    """Of the sample pictures; 0: the base's own."""
    min_works: int = 8
    gate: Gate = field(default_factory=Gate)

    @property
    def num_prior_rows(self) -> int:
        """Rows of a batch that are asked to predict what the base predicts."""
        return round(self.batch * self.prior_share)

    def num_held_out(self, num_works: int) -> int:
        """Works to judge by: `heldout_share` of them, at least MIN_HELD_OUT (a quarter of a small portfolio)."""
        least = MIN_HELD_OUT if num_works >= SMALL_PORTFOLIO else max(num_works // 4, 1)
        return max(round(self.heldout_share * num_works), least)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the receipt."""
        return asdict(self)


def load_recipe(name: str, *, folder: Path = RECIPES) -> Recipe:
    """The recipe called `name`: in `folder`, or the path of a .toml file of the same form elsewhere.

    Raises RecipeInvalid if there is none or an entry is unknown, missing or out of range.
    """
    if name.endswith(".toml"):
        file = Path(name)
    elif NAME.fullmatch(name):
        file = folder / f"{name}.toml"
    else:
        raise RecipeInvalid(f"{name!r} is not the name of a recipe; there are: {_known(folder)}")
    if not file.is_file():
        raise RecipeInvalid(f"there is no recipe {name!r}; there are: {_known(folder)}")
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))
        gate = Gate(**entries.pop("gate", {}))
        targets = tuple(entries.pop("targets", ()))
        text_targets = tuple(entries.pop("text_targets", ()))
        recipe = Recipe(name=file.stem, gate=gate, targets=targets, text_targets=text_targets, **entries)
    except tomllib.TOMLDecodeError as error:
        raise RecipeInvalid(f"{file.name} is not valid TOML: {error}") from error
    except TypeError as error:
        raise RecipeInvalid(f"{file.name} lacks or misspells an entry: {error}") from error
    _check(recipe, file.name)
    return recipe


def recipe_for(spec: BaseSpec, name: str = "", *, folder: Path = RECIPES) -> Recipe:
    """The recipe called `name`; with no name the base's own, `<id>-style`, or else its family's, `<family>-style`.

    Raises RecipeInvalid if there is none.
    """
    if name:
        return load_recipe(name, folder=folder)
    own, of_family = f"{spec.id}-style", f"{spec.family}-style"
    has_own = (folder / f"{own}.toml").is_file()
    return load_recipe(of_family if not has_own and (folder / f"{of_family}.toml").is_file() else own, folder=folder)


RANGES: dict[str, tuple[float, float]] = {
    "rank": (1, 128),
    "learning_rate": (1e-7, 1),
    "steps": (1, 100_000),
    "batch": (1, 1024),
    "warmup": (0, 10_000),
    "weight_decay": (0, 1),
    "prior_share": (0, 0.9),
    "prior_weight": (0, 100),
    "caption_dropout": (0, 1),
    "crops": (0, 16),
    "min_snr_gamma": (0.1, 1000),
    "max_grad_norm": (0.001, 1000),
    "checkpoint_every": (1, 100_000),
    "heldout_every": (1, 100_000),
    "patience": (0, 1000),
    "heldout_share": (0.01, 0.5),
    "guidance": (0, 30),
    "min_works": (4, 500),
}


def _check(recipe: Recipe, file: str) -> None:
    for name, (low, high) in RANGES.items():
        value = getattr(recipe, name)
        if not isinstance(value, int | float) or not low <= value <= high:
            raise RecipeInvalid(f"{name} {value!r} is out of range in {file}; choose {low:g} to {high:g}")


def _known(folder: Path) -> str:
    return ", ".join(sorted(file.stem for file in folder.glob("*-style.toml"))) or "none"
