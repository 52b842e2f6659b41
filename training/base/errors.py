"""What can go wrong while a base is made.

BaseTrainingError
├── Interrupted       a training was asked to stop, and saved where it was
├── SourceRefused     a drawing set whose licence, or whose content, does not allow training on it
├── StageMissing      a stage was started before the one it builds on
└── WeightsTooLarge   the exported folder breaks its size limit
"""


class BaseTrainingError(Exception):
    """Root of the errors of this package; the message is written for the person at the terminal."""


class Interrupted(BaseTrainingError):
    """A training that was stopped before the end of its plan; the same command continues it."""


class SourceRefused(BaseTrainingError):
    """A drawing set that may not be trained on, or that cannot be read."""


class StageMissing(BaseTrainingError):
    """The files of an earlier stage are not in the work folder."""


class WeightsTooLarge(BaseTrainingError):
    """An export over its limit in bytes."""
