"""How large a place is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is asked for; all else follows from it. A year of months lies behind the place."""

    styles: int = 1_000
    works: int = 10_000
    generations: int = 100_000

    @property
    def creators(self) -> int:
        return max(4, self.styles // 5)

    @property
    def clients(self) -> int:
        return max(4, self.generations // 200)

    @property
    def heavy_works(self) -> int:
        """Of one style; as many as a style may have, in a whole place."""
        return self.works // 20

    @property
    def lines(self) -> int:
        """Of the heaviest account in each log."""
        return self.generations // 5
