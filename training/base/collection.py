"""Stage `drawings`: the sets, fetched and sifted into one small file that a machine without a network can render."""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from training.base import sources
from training.base.captions import Subject, read_lexicon, subject_of
from training.base.errors import StageMissing
from training.base.recipe import BaseRecipe
from training.base.sources import Drawing

COLLECTION = "drawings.jsonl.gz"


def collect(recipe: BaseRecipe, everyday: Mapping[str, frozenset[str]], work: Path, say: Callable[[str], None]) -> None:
    """Fetch the recipe's sets and write what may and should be trained on: `drawings.jsonl.gz`, `credits.json`."""
    data = recipe.data
    folder = work / "npm"
    wanted = [f"@iconify-json/{package}" for package in data.styles] + [data.keywords]
    sources.fetch({package: data.versions[package] for package in wanted}, folder)
    credits = [asdict(sources.read_credit(folder, package)) for package in data.styles]
    lexicon = read_lexicon(folder)
    kept: list[tuple[Drawing, Subject]] = []
    for package in data.styles:
        found = [
            (drawing, subject_of(drawing, lexicon, everyday)) for drawing in sources.read_drawings(folder, package)
        ]
        shown = [(drawing, subject) for drawing, subject in found if subject is not None]
        kept += _concrete(shown) if package in data.one_colour_sets else shown
        say(f"{package}: {len(shown)} of {len(found)} drawings show something")
    kept = at_most_a_third(kept, frozenset(data.one_colour_sets))
    with gzip.open(work / COLLECTION, "wt", encoding="utf-8") as file:
        for drawing, subject in kept:
            file.write(json.dumps({"drawing": asdict(drawing), "subject": asdict(subject)}) + "\n")
    (work / "credits.json").write_text(json.dumps(credits, indent=1))
    say(f"{len(kept)} drawings, {(work / COLLECTION).stat().st_size / 1e6:.1f} MB")


def read_collection(work: Path) -> list[tuple[Drawing, Subject]]:
    """What `collect` wrote, in order; StageMissing where it has not run."""
    path = work / COLLECTION
    if not path.is_file():
        raise StageMissing(
            f"There are no drawings in {work}. Run `python -m training.base drawings --work {work}` first."
        )
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [(Drawing(**line["drawing"]), Subject(**line["subject"])) for line in lines]


def at_most_a_third(kept: list[tuple[Drawing, Subject]], one_colour: frozenset[str]) -> list[tuple[Drawing, Subject]]:
    """Drop drawings of the one-colour sets, by the hash of their name, until they are a third of all."""
    colour = [pair for pair in kept if pair[0].package not in one_colour]
    plain = [pair for pair in kept if pair[0].package in one_colour]
    plain.sort(key=lambda pair: hashlib.sha256(f"{pair[0].package}/{pair[0].name}".encode()).digest())
    return colour + plain[: len(colour) // 2]


def _concrete(pairs: list[tuple[Drawing, Subject]]) -> list[tuple[Drawing, Subject]]:
    return [(drawing, subject) for drawing, subject in pairs if subject.kind in ("everyday", "concrete")]
