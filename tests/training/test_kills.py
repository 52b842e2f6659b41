"""A training that is killed at a random moment and run again ends with the very file that an undisturbed one writes."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference.adapters.manifest import file_sha256
from tests.benchmarks.figures import Figure, as_document, write
from tests.training.test_training import request_for, spawn
from training.messages import TrainingRequest, Way

ROUNDS, ROUNDS_LONG = 2, 20
_TOO_SOON_S = 0.05
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "resume.json"
PATIENCE_S = 120


@pytest.fixture(scope="module")
def longer_recipe(tiny_entry, tmp_path_factory) -> str:
    """Saved often enough that every kill has another checkpoint before it."""
    text = (tiny_entry.parent / "tiny-style.toml").read_text()
    file = tmp_path_factory.mktemp("longer") / "longer-style.toml"
    file.write_text(text.replace("steps = 12", "steps = 24"))
    return str(file)


def run_to_end(request: TrainingRequest) -> float:
    """Seconds that the process worked, from its first word on."""
    process = spawn(request, request.out.parent)
    process.stdout.readline()
    began = time.perf_counter()
    # Not `communicate`: it closes the input, which tells a training to end.
    process.stdout.read()
    assert process.wait(PATIENCE_S) == 0
    return time.perf_counter() - began


def kill(request: TrainingRequest, *, after_s: float) -> bool:
    """Whether it still ran so many seconds after its first word."""
    process = spawn(request, request.out.parent)
    process.stdout.readline()
    time.sleep(after_s)
    still_ran = process.poll() is None
    process.kill()
    process.wait(PATIENCE_S)
    return still_ran


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(ROUNDS_LONG, marks=pytest.mark.long)])
def test_kills_at_random_moments_leave_no_trace(portfolio, tiny_entry, longer_recipe, tmp_path, rounds):
    def new_request(name: str) -> TrainingRequest:
        (tmp_path / name).mkdir()
        # Said and not measured: bytes are the same only by the same number of threads.
        return replace(request_for(portfolio, tiny_entry, longer_recipe, tmp_path / name), way=Way(num_threads=1))

    undisturbed, pick = new_request("undisturbed"), random.Random(rounds)
    # The shorter of two: the first also pays for what the machine reads for the first time.
    work_s = min(run_to_end(undisturbed), run_to_end(new_request("once more")))

    killed, hashes = 0, []
    for number in range(rounds):
        request, after_s = new_request(f"{number}"), pick.uniform(0.0, 0.85) * work_s
        while not (was_killed := kill(request, after_s=after_s)) and after_s > _TOO_SOON_S:
            # The machine has become quicker since: a kill that comes after the end proves nothing.
            request, after_s = new_request(f"{number} at {after_s:.2f} s"), after_s / 2
        killed += was_killed
        run_to_end(request)
        hashes.append(file_sha256(request.out / "adapter.safetensors"))

    equal = hashes.count(file_sha256(undisturbed.out / "adapter.safetensors"))
    if rounds == ROUNDS_LONG:
        figures = [
            Figure(name="killed while it worked", value=killed, unit=f"of {rounds}"),
            Figure(name="the same file after resuming", value=equal, unit=f"of {rounds}", goal=rounds),
        ]
        write(RESULTS, as_document("resume", figures, seed=rounds, now=datetime.now(UTC)))
    assert equal == rounds
    assert killed == rounds, "kills that come after the end prove nothing"
