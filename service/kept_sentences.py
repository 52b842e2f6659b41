"""Sentences that rows keep in English, or that other rooms say so, known again where they are read, so that pages say
them in their language."""

from licensing.sentence import Sentence, known_again, templates
from training import wording

OF_ORDERS = templates(
    (
        "The creator switched the style off before the pictures were yours; nothing was charged.",
        "Canceled as you asked; nothing was charged.",
        "The pictures could not be made; nothing was charged. Order again.",
        "The order waited too long and was dropped; nothing was charged. Order again.",
        "The creator did not look at the pictures in time; nothing was charged. Order again.",
        "The creator looks at the pictures first, until {until} at the latest; nothing is charged before.",
        "The creator looked at the pictures and does not release them: {reason}. Nothing was charged.",
        "The version you ordered is no longer sold; nothing was charged.",
        "The maker took back the work that it started from; nothing was charged. Start from another picture.",
        "The files of this style may not be opened for it; nothing was charged.",
        "A picture that looks the same was sold to somebody else alone; change the words or the seed. Nothing was"
        " charged.",
        "Somebody else has licensed a picture that looks the same, so this one cannot be yours alone; change the words"
        " or the seed. Nothing was charged.",
        "{number} of {of} pictures left out and not charged: a picture that looks the same was sold to somebody else"
        " alone; change the words or the seed.",
        "{number} of {of} pictures left out and not charged: somebody else has licensed a picture that looks the same,"
        " so this one cannot be yours alone; change the words or the seed.",
        "The picture came out nearly the same as a work that its style was made from; change the words, the seed or, if"
        " it starts from a picture, the strength; nothing was charged.",
        "{number} of {of} pictures left out and not charged: the picture came out nearly the same as a work that its"
        " style was made from; change the words, the seed or, if it starts from a picture, the strength.",
        "The picture to start from shows nudity, as far as a classifier can tell; send another one; nothing was"
        " charged.",
        "The picture was about to show nudity, as far as a classifier can tell; change the words or the seed; nothing"
        " was charged.",
        "The picture came out showing nudity, as far as a classifier can tell; change the words or the seed; nothing"
        " was charged.",
        "{number} of {of} pictures left out and not charged: the picture was about to show nudity, as far as a"
        " classifier can tell; change the words or the seed.",
        "{number} of {of} pictures left out and not charged: the picture came out showing nudity, as far as a"
        " classifier can tell; change the words or the seed.",
    )
)
OF_TRAININGS = (
    *templates(("Something broke on our side and was logged. Resume goes on from the last checkpoint.",)),
    *wording.MESSAGES,
)
OF_TRIES = templates(
    (
        "It could not be drawn; try it again.",
        "The picture came out nearly the same as a work that its style was made from; change the words, the seed or, if"
        " it starts from a picture, the strength.",
        "The picture was about to show nudity, as far as a classifier can tell; change the words or the seed.",
        "The picture came out showing nudity, as far as a classifier can tell; change the words or the seed.",
    )
)
OF_BASES = templates(
    (
        "Its licence, {licence}, is not for commercial use.",
        "Its file says that what is made under {licence} may be sold.",
        "Its file says that what is made under {licence} may not be sold.",
        "Its licence, {licence}, lets anybody sell what is made with it.",
        "Nobody here knows whether its licence, {licence}, lets pictures be sold.",
    )
)
OF_DELIVERIES = templates(
    (
        "Nothing was answered within {seconds} s.",
        "It could not be reached: {why}.",
        "It answered {status}, a redirect; none is followed. Register where it leads to.",
        "It answered {status} {name}.",
        "The server did not take it within {seconds} s.",
        "The server cannot carry it: {why}.",
        "The server could not be reached: {why}.",
    )
)
"""Why a message or an e-mail did not arrive; what the other side or the machine says stays as it is."""


def of_training(said: str) -> Sentence:
    """What a training says of itself, also where it names what broke and which adapter is tried instead."""
    return known_again(said, OF_TRAININGS, within=(*wording.GATE.values(), *wording.TRIED.values()))
