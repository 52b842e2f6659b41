"""What a licence allows, in sentences: the same ones on pages, in quotes, in certificates and for programs."""

from licensing.sentence import Sentence, say
from licensing.terms import Permissions


def in_words(permissions: Permissions) -> list[Sentence]:
    """What a buyer may do with a picture and must do for it. Who looks at it before is not about its use."""
    copies, days = permissions.ceiling, permissions.expiry_days
    return [
        say("You may change the pictures and build on them.")
        if permissions.derivatives
        else say("You may not change the pictures."),
        say("Name the maker where you use them.") if permissions.attribution else say("You need not name the maker."),
        say("You may train models on them.") if permissions.training else say("You may not train models on them."),
        _copies(copies),
        _days(days),
    ]


def _copies(most: int | None) -> Sentence:
    if most is None:
        return say("As many copies as you like.")
    if most == 1:
        return say("At most {copies:,} copy of each picture, printed or sold.", copies=most)
    return say("At most {copies:,} copies of each picture, printed or sold.", copies=most)


def _days(number: int | None) -> Sentence:
    if number is None:
        return say("What you bought stays yours, also when the style is switched off.")
    if number == 1:
        return say("The right to use a picture ends {days:,} day after it was bought.", days=number)
    return say("The right to use a picture ends {days:,} days after it was bought.", days=number)
