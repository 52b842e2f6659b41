"""Places where a test may let the process die, as a power cut would.

A kill at each of these points lies between two different steps of a generation; `tests/stories/` tries them all.
"""

import os
import signal

POINTS = {
    "reserved": "web: hold and order are committed, the workflow is not started",
    "enqueued": "web: the workflow is started, the client has no answer",
    "begun": "web: the attempt has its fence, nothing is asked of a worker",
    "render_asked": "web: the pictures are asked of the workers",
    "render_taken": "worker: the order is taken, the engine has not started",
    "first_picture_stored": "worker: one picture lies under pending/, others are missing",
    "pictures_stored": "worker: all pictures lie under pending/, nobody was told",
    "pictures_made": "web: the worker's answer is there, sealing has not begun",
    "first_picture_sealed": "web: one sealed picture is stored",
    "pictures_sealed": "web: all sealed pictures are stored, nothing is settled",
    "waiting": "web: sealed pictures wait for their creator, the workflow has not said so",
    "approved": "web: the creator's yes is committed, the workflow that settles is not started",
    "settled": "web: settled and visible, still under pending/",
    "first_picture_moved": "web: one picture lies in its final place",
    "delivered": "web: everything is done, the workflow has not said so",
    "message_sent": "web: a message arrived at an endpoint, nobody has noted it",
    "letter_sent": "web: the mail server took a letter, nobody has noted it",
    "voided": "web: an order ended unpaid, its pictures still lie under pending/",
}


def reach(point: str, crash_at: str | None) -> None:
    """Kill this process if it was told to die at this point (`Settings.crash_at`)."""
    assert point in POINTS, point
    if crash_at == point:
        os.kill(os.getpid(), signal.SIGKILL)
