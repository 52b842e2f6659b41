"""What was raised in an actor of Ray's. Needs Ray."""

from ray.exceptions import RayTaskError


def cause_of(error: RayTaskError) -> Exception:
    """What was raised there, under its own type."""
    cause: Exception = error.as_instanceof_cause()
    return cause
