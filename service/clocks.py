"""Whether a machine's clock agrees with the database's, and what is done where it does not.

Machines that set their clocks by the network differ by milliseconds. One that does not may be minutes off: its work
would be given away as a dead process's, its holds and links would end at once or never, and the ledger's days would
disagree. So a process asks when it opens the database and with each heartbeat, and goes by the database's time where
the two differ by more than a second (`service.clock.MachineClock`).

What it cannot put right are times that others take from the machine: of the workflow engine's rows, of certificates,
and of requests to a bucket, which refuses those that are a quarter of an hour off. So it says so, too.
"""

import logging

from licensing.database import Connection
from service.clock import Clock, MachineClock

log = logging.getLogger("ownhand.clocks")

AGREES_S = 1.0
"""By how much two clocks may differ and still agree."""


async def put_right(conn: Connection, clock: Clock) -> float | None:
    """Compare a machine's clock with the database's and have it go by that: the seconds that the machine is ahead, to
    half of what the question took; as known before, where it took too long to tell. None for a clock that is no
    machine's, as tests have them."""
    if not isinstance(clock, MachineClock):
        return None
    before = clock.machine()
    theirs = await conn.fetchval("SELECT clock_timestamp()")
    took = clock.machine() - before
    if not 0 <= took.total_seconds() <= AGREES_S:
        # Somebody was held up, or the machine's clock was set at this moment.
        return clock.ahead_s
    ahead_s: float = (before + took / 2 - theirs).total_seconds()
    put_right_by = ahead_s if abs(ahead_s) > AGREES_S else 0.0
    if abs(put_right_by - clock.ahead_s) > AGREES_S:
        log.warning("%s", sentence(ahead_s))
        clock.ahead_s = put_right_by
    return ahead_s


def sentence(ahead_s: float) -> str:
    """What is said of a machine whose clock is so far ahead of the database's."""
    if abs(ahead_s) <= AGREES_S:
        return "the clock of this machine agrees with the database's"
    way = "ahead of" if ahead_s > 0 else "behind"
    return (
        f"the clock of this machine is {abs(ahead_s):.1f} s {way} the database's; Ownhand goes by the database's, but a"
        " bucket and certificates do not: set the clock, and have it set by the network (chrony, systemd-timesyncd)"
    )
