"""What a licence allows, in sentences: the same ones on pages, in quotes, in certificates and for programs."""

from licensing.terms import Permissions


def in_words(permissions: Permissions) -> list[str]:
    """What a buyer may do with a picture and must do for it. Who looks at it before is not about its use."""
    copies, days = permissions.ceiling, permissions.expiry_days
    return [
        "You may change the pictures and build on them."
        if permissions.derivatives
        else "You may not change the pictures.",
        "Name the maker where you use them." if permissions.attribution else "You need not name the maker.",
        "You may train models on them." if permissions.training else "You may not train models on them.",
        "As many copies as you like."
        if copies is None
        else f"At most {copies:,} {_plural(copies, 'copy', 'copies')} of each picture, printed or sold.",
        "What you bought stays yours, also when the style is switched off."
        if days is None
        else f"The right to use a picture ends {days:,} {_plural(days, 'day', 'days')} after it was bought.",
    ]


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
