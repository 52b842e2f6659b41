"""What can end a training. Every message says what happened and what to do about it.

TrainingError
├── RecipeInvalid      a recipe is missing, misspelt or asks for the impossible; also a ValueError
├── RequestInvalid     a training request lacks something or names something that is not there; also a ValueError
├── TooFewWorks        too few usable works are left to learn a style from
├── TrainingBroke      the numbers broke while training, or when the adapter was measured
├── TooLarge           not even one row of a batch fits into the device's memory
├── OverBudget         a training takes longer than it was allowed to
├── CaptionerUnusable  a captioning model cannot be opened, or cannot describe a picture
└── DiskFull           a checkpoint could not be written; the one before it is whole
"""


class TrainingError(Exception):
    """Anything this room refuses or fails at."""


class RecipeInvalid(TrainingError, ValueError):
    """A recipe is missing, misspelt or asks for the impossible."""


class RequestInvalid(TrainingError, ValueError):
    """A training request lacks something or names something that is not there."""


class TooFewWorks(TrainingError):
    """Too few usable works are left to learn a style from."""


class TrainingBroke(TrainingError):
    """The numbers broke while training, or when the adapter was measured."""


class TooLarge(TrainingError):
    """Not even one row of a batch fits into the device's memory."""


class OverBudget(TrainingError):
    """A training takes longer than it was allowed to."""


class CaptionerUnusable(TrainingError):
    """A captioning model cannot be opened, or cannot describe a picture."""


class DiskFull(TrainingError):
    """A checkpoint could not be written; the one before it is whole."""
