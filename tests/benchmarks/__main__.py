"""`python -m tests.benchmarks NAME [--json FILE]`: measure one part and say what met its goal and what did not."""

import argparse
import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.figures import as_document, as_table, write

BENCHMARKS = {
    "base": "tests.benchmarks.base",
    "capacity": "tests.benchmarks.capacity",
    "engine": "tests.benchmarks.engine",
    "enlarger": "tests.benchmarks.enlarger",
    "gate": "tests.benchmarks.gate",
    "gateway": "tests.benchmarks.gateway",
    "pages": "tests.benchmarks.pages",
    "review": "tests.benchmarks.review",
    "scale": "tests.benchmarks.scale",
    "seal": "tests.benchmarks.seal",
    "seed": "tests.benchmarks.seed",
    "styles": "tests.benchmarks.styles",
    "training": "tests.benchmarks.training",
    "workers": "tests.benchmarks.workers",
}
"""Name -> module with `measure(seed, say, **options) -> list[Figure]` and `add_options(parser)`."""


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark; 0 whether or not the goals were met, because a goal not met is a result."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    modules = {name: importlib.import_module(module) for name, module in BENCHMARKS.items()}
    for name, module in modules.items():
        one = names.add_parser(name, description=module.__doc__)
        one.add_argument("--json", type=Path, help="also write the figures with their provenance here")
        one.add_argument("--seed", type=int, default=1)
        module.add_options(one)
    given = vars(parser.parse_args(arguments))
    name, target, seed = given.pop("name"), given.pop("json"), given.pop("seed")
    figures = modules[name].measure(seed=seed, say=lambda line: print(line, file=sys.stderr, flush=True), **given)
    print(as_table(figures))
    if target:
        write(target, as_document(name, figures, seed=seed, now=datetime.now(UTC)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
