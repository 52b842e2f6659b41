"""`ownhand serve` as people start it: its own home, a free port, the embedded database, one worker."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from service.settings import ROOT
from tests.inference.tiny_base import write_tiny_base
from tests.stories.processes import free_port

START_S = 90.0
STOP_S = 30.0
# As lenient as a random base needs: these tests are about pages, the gate has its own.
QUICK_RECIPE = """\
base = "{base}"
rank = 2
learning_rate = 1e-3
steps = 24
batch = 4
warmup = 2
crops = 0
checkpoint_every = 8
heldout_every = 8
min_works = 8
[gate]
min_heldout_gain = -10.0
max_member_gap = 10.0
max_copies = 1000
max_drift = 10.0
max_recall = 10.0
min_hand = -100.0
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running service. `ownhand` runs one of its commands and returns what that prints."""

    origin: str
    home: Path
    environ: dict[str, str]
    log: Path

    def ownhand(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "service", *arguments, "--home", str(self.home)]
        done = subprocess.run(command, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]


@contextmanager
def serve(folder: Path, *, words: Mapping[str, str] = MappingProxyType({}), **settings: str) -> Iterator[Served]:
    """Start it, wait until it is ready, and at the end stop it as Ctrl-C would. words: files of the configuration by
    their names, in place of the shipped ones. settings: by their fields' names."""
    base, configs, port, log = write_configs(folder / "configs"), folder / "configs", free_port(), folder / "serve.log"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OWNHAND_")}
    environ |= {
        "OWNHAND_CONFIGS": str(configs),
        "OWNHAND_DEFAULT_BASE": base,
        "OWNHAND_PORT": str(port),
        "OWNHAND_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # All of these people come from one address.
        "OWNHAND_SIGN_INS_PER_MINUTE": "1000",
    }
    environ |= {f"OWNHAND_{name.upper()}": value for name, value in settings.items()}
    for name, text in words.items():
        (configs / name).write_text(text)
    served = Served(origin=f"http://127.0.0.1:{port}", home=folder / "home", environ=environ, log=log)
    command = [sys.executable, "-m", "service", "serve", "--home", str(served.home)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=file, stderr=file)
    try:
        _wait_until_ready(served, process)
        yield served
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)


def write_configs(folder: Path) -> str:
    """The shipped configuration with recipes that take seconds; returns the base that new styles get.

    The shipped base where its weights are there. A random one in the same layout, `tiny`, is always there.
    """
    shutil.copytree(ROOT / "configs", folder, ignore=shutil.ignore_patterns("demo", "openicons", "*-style.toml"))
    write_tiny_base(folder / "bases")
    shipped = ROOT / "configs" / "bases" / "openicons"
    has_shipped = (shipped / "model_index.json").is_file()
    if has_shipped:
        (folder / "bases" / "openicons").symlink_to(shipped)
    for base in ("tiny", "openicons"):
        (folder / "recipes" / f"{base}-style.toml").write_text(QUICK_RECIPE.format(base=base))
    return "openicons" if has_shipped else "tiny"


def _wait_until_ready(served: Served, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, served.log.read_text()[-4000:]
        try:
            if httpx.get(f"{served.origin}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"it was not ready in {START_S:.0f} s: {served.log.read_text()[-4000:]}")
