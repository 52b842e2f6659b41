"""The guards of what is drawn on a cluster."""

from tests.mutants.guard import Guard

_FLEET = "tests/service/fleet/test_fleet.py"

FLEETS = (
    Guard(
        name="fleet: a replica asks for itself",
        file="service/fleet/replica.py",
        text="(None if watched is None else self._watch.reason_to_stop(watched))",
        gone="(None if watched is None else None)",
        tests=(f"{_FLEET}::test_off_stops_a_picture_though_no_word_of_it_reaches_the_replica",),
    ),
    Guard(
        name="fleet: what is finished after all is not handed on",
        file="service/fleet/fleet.py",
        text="return self._stopped(job) if is_told and isinstance(event, Picture) else event",
        gone="return event",
        tests=(f"{_FLEET}::test_nothing_is_handed_on_that_was_stopped_when_it_was_all_but_done",),
    ),
    Guard(
        name="fleet: a replica that dies hands its pictures on",
        file="service/fleet/fleet.py",
        text="    except (RayError, StopIteration) as error:\n        raise Lost(",
        gone="    except (ZeroDivisionError, StopIteration) as error:\n        raise Lost(",
        tests=(f"{_FLEET}::test_a_killed_replicas_pictures_go_on_elsewhere_as_the_same_pictures",),
    ),
)
