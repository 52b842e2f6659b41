"""`ownhand serve --demo`: the whole path on a fresh machine, told line by line; afterwards no process is left."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from service.settings import ROOT
from tests.service.market import write_configs
from tests.stories.processes import free_port

# Learns next to nothing in 20 steps; the gate lets it pass, for here the path is what is shown.
RECIPE = """\
base = "tiny"
rank = 2
learning_rate = 0.001
steps = 20
batch = 2
warmup = 2
min_works = 4
checkpoint_every = 10
heldout_every = 10

[gate]
min_heldout_gain = -10
max_member_gap = 10
max_copies = 100
max_drift = 10
max_recall = 10
min_hand = -100
"""
SCRIPT = """\
prompts = ["a red apple", "a green apple"]

[style]
name = "Duotone Icons"
summary = "Two calm colours, round shapes."

[captions]
bell = ["a bell that swings"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("demonstration")
    configs = write_configs(made / "configs")
    (configs / "recipes").mkdir()
    (configs / "recipes" / "tiny-style.toml").write_text(RECIPE)
    works = configs / "demo" / "works"
    works.mkdir(parents=True)
    for path in sorted((ROOT / "configs" / "demo" / "works").glob("*.png"))[:12]:
        shutil.copy(path, works)
    (configs / "demo" / "demo.toml").write_text(SCRIPT)
    return made


def serve(folder: Path, *, port: int, until: str, within_s: float) -> tuple[str, list[psutil.Process]]:
    """What the command prints until the line `until`, and the processes it left after Ctrl-C."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OWNHAND_")}
    environ |= {"OWNHAND_CONFIGS": str(folder / "configs"), "OWNHAND_DEFAULT_BASE": "tiny", "OMP_NUM_THREADS": "1"}
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--demo", "--home", str(folder / "home"), "--port", str(port)],
            env=environ | {"OWNHAND_NUM_THREADS": "1"},
            cwd=ROOT,
            stdout=file,
            stderr=file,
        )
    started: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + within_s
        while until not in log.read_text() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
        started = psutil.Process(process.pid).children(recursive=True)
        if until in log.read_text():
            assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    return log.read_text(), [one for one in started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_the_demonstration_tells_the_whole_path_and_leaves_no_process(folder: Path):
    port = free_port()

    told, left = serve(folder, port=port, until="Idempotency-Key: $(date", within_s=420)

    steps = re.findall(r"^ +\d+  (.*?)  +[\d.]+ (?:s|min.*)$", told, re.MULTILINE)
    assert left == []
    assert len(steps) == 16, told[-6000:]
    assert [line for line in told.splitlines() if line and line[0] != " "] == [], "noise between the steps"
    assert "12 works are uploaded" in steps[2]
    assert "Duotone Icons is published" in steps[6]
    assert "charged: 1.20 EUR" in steps[9]
    assert "verify it: valid" in steps[11]
    assert "refused (403)" in steps[13]
    assert len(re.findall(r"/sign-in\?link=", told)) == 3
    assert re.search(r"Bearer oh_live_\w+", told)
    assert len(list((folder / "home" / "demo").glob("*.png"))) == 3


def test_a_second_start_prints_the_links_at_once(folder: Path):
    told, left = serve(folder, port=free_port(), until="Idempotency-Key: $(date", within_s=180)

    assert left == []
    assert "from an earlier start" in told
    assert len(re.findall(r"/sign-in\?link=", told)) == 3
    assert "works are uploaded" not in told
