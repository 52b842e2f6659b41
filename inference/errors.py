"""What can go wrong when a picture is made. Every message says what happened and what to do about it.

InferenceError
├── InvalidRequest         what was asked cannot be made; also a ValueError
│   └── ImageRefused       the picture or mask that came with the request cannot be used
├── AdapterRefused         an adapter file cannot be read or used
│   └── WrongBase          it was trained for another base
├── BaseUnusable           a base's files are missing, changed, or need something this engine does not do
├── PictureFailed          the numbers of one picture broke while it was made
├── HalfwayUnusable        a half-made picture is not one that this request could go on from
├── PictureRefused         a check objects to it
├── CheckFailed            a check broke, so nobody knows whether the picture may pass
├── CheckerUnusable        a check cannot be opened
└── EngineUnavailable      the engine takes no more requests
    ├── EngineFull         too many are waiting
    ├── TooLate            it would not be finished within the time that was asked for
    └── EngineClosed       it was shut down
"""

import traceback

from inference.verdicts import Objection


class InferenceError(Exception):
    """Anything this room refuses or fails at."""


class InvalidRequest(InferenceError, ValueError):
    """What was asked cannot be made."""


class ImageRefused(InvalidRequest):
    """The picture or mask that came with a request cannot be used."""

    def __init__(self, message: str, *, kind: str = "unusable") -> None:
        super().__init__(message)
        self.kind = kind
        """A stable word for the reason: not_a_picture, too_many_pixels, too_many_bytes, damaged, missing, unusable."""


class AdapterRefused(InferenceError):
    """An adapter file cannot be read or used."""


class WrongBase(AdapterRefused):
    """The adapter was trained for another base."""


class BaseUnusable(InferenceError):
    """A base's files are missing, changed, or need something this engine does not do."""


class PictureFailed(InferenceError):
    """The numbers of one picture broke while it was made."""


class HalfwayUnusable(InferenceError):
    """A half-made picture is not one that this request could go on from."""


class PictureRefused(InferenceError):
    """A check objects to a picture. The engine's answer for it is a `messages.Refused`; raised where there is none."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(objection.sentence)
        self.objection = objection


class CheckFailed(InferenceError):
    """A check broke, so nobody knows whether the picture may pass."""


class CheckerUnusable(InferenceError):
    """A check cannot be opened."""


class EngineUnavailable(InferenceError):
    """The engine takes no more requests."""


class EngineFull(EngineUnavailable):
    """Too many requests are waiting."""


class TooLate(EngineUnavailable):
    """The picture would not be finished within the time that was asked for."""


class EngineClosed(EngineUnavailable):
    """The engine was shut down."""


def let_go(error: BaseException) -> None:
    """Take the frames out of an error, and out of what led to it; where a fault was raised stays, as a note in words.

    For whoever hands an error to a future: the future holds the error, its frames hold whoever waits, and they the
    future, so that all numbers of a picture would stay until somebody looks for garbage.
    """
    cause: BaseException | None = error
    while cause is not None:
        if cause.__traceback__ is not None and not isinstance(cause, InferenceError):
            cause.add_note("Raised here:\n" + "".join(traceback.format_tb(cause.__traceback__)).rstrip())
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
