"""What a guard is, and what takes it away."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Guard:
    """`text` stands in `file` exactly once; with `gone` in its place the guard is away, and `tests` must fail."""

    name: str
    file: str
    text: str
    gone: str
    tests: tuple[str, ...]
