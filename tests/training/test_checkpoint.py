"""A checkpoint is whole or it is not there."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from training.checkpoint import (
    MANIFEST,
    TENSORS,
    load_latest_checkpoint,
    pack_optimizer,
    save_checkpoint,
    save_tensors,
    unpack_optimizer,
)
from training.errors import DiskFull


def test_nothing_saved_is_nothing_found(tmp_path):
    assert load_latest_checkpoint(tmp_path / "never") is None


def test_the_newest_checkpoint_comes_back_as_it_was(tmp_path):
    save_checkpoint(tmp_path, "step-9", {"w": torch.zeros(2)}, {"step": 9})
    save_checkpoint(tmp_path, "step-10", {"w": torch.arange(6.0).reshape(2, 3).T}, {"step": 10})

    found = load_latest_checkpoint(tmp_path)

    assert found is not None
    assert (found.name, found.state) == ("step-10", {"step": 10})
    torch.testing.assert_close(found.tensors["w"], torch.arange(6.0).reshape(2, 3).T)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path):
    save_checkpoint(tmp_path, "step-1", {"w": torch.ones(2)}, {"step": 1})
    newest = save_checkpoint(tmp_path, "step-2", {"w": torch.ones(2)}, {"step": 2})
    damaged = bytearray((newest / TENSORS).read_bytes())
    damaged[-1] ^= 1
    (newest / TENSORS).write_bytes(damaged)

    found = load_latest_checkpoint(tmp_path)

    assert found is not None
    assert found.name == "step-1"


def test_a_checkpoint_cut_off_while_writing_is_not_seen(tmp_path):
    save_checkpoint(tmp_path, "step-1", {"w": torch.ones(2)}, {"step": 1})
    (tmp_path / ".step-2.part").mkdir()
    unmanifested = save_checkpoint(tmp_path, "step-3", {"w": torch.ones(2)}, {"step": 3})
    (unmanifested / MANIFEST).unlink()

    found = load_latest_checkpoint(tmp_path)

    assert found is not None
    assert found.name == "step-1"


def test_a_checkpoint_is_worth_nothing_without_the_files_beside_it(tmp_path):
    save_checkpoint(tmp_path, "step-1", {"w": torch.ones(2)}, {"step": 1})
    beside = save_tensors(tmp_path / ".looks" / "one.safetensors", {"a": torch.ones(2)})
    save_checkpoint(tmp_path, "step-2", {"w": torch.ones(2)}, {"step": 2}, beside=[beside])
    whole = load_latest_checkpoint(tmp_path)
    save_tensors(beside, {"a": torch.zeros(2)})

    found = load_latest_checkpoint(tmp_path)

    assert (whole.name, found.name) == ("step-2", "step-1")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of one megabyte, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_checkpoint_before_it_is_whole(small_disk):
    save_checkpoint(small_disk, "step-1", {"w": torch.ones(100_000)}, {"step": 1})

    with pytest.raises(DiskFull, match=r"the disk is full: [0-9]+ MiB are left .* make room and run"):
        save_checkpoint(small_disk, "step-2", {"w": torch.ones(200_000)}, {"step": 2})
    with pytest.raises(DiskFull):
        save_tensors(small_disk / "look.safetensors", {"w": torch.ones(200_000)})

    assert load_latest_checkpoint(small_disk).name == "step-1"
    assert [path.name for path in small_disk.iterdir()] == ["step-1"], "what was cut off takes no room"


def test_only_the_newest_are_kept_and_a_name_can_be_saved_again(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, f"step-{step}", {"w": torch.ones(1)}, {"step": step}, keep=2)
    save_checkpoint(tmp_path, "step-3", {"w": torch.full((1,), 7.0)}, {"step": 3}, keep=2)

    found = load_latest_checkpoint(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2", "step-3"]
    assert found is not None
    assert found.tensors["w"].item() == 7


def test_an_optimiser_goes_on_as_if_never_stopped():
    def steps(layer, optimizer, count):
        for _ in range(count):
            layer(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.manual_seed(0)
    through = torch.nn.Linear(3, 2)
    through_optimizer = torch.optim.AdamW(through.parameters(), lr=0.1)
    steps(through, through_optimizer, 2)
    stopped = torch.nn.Linear(3, 2)
    stopped.load_state_dict(through.state_dict())
    stopped_optimizer = torch.optim.AdamW(stopped.parameters(), lr=0.1)
    unpack_optimizer(stopped_optimizer, pack_optimizer(through_optimizer))

    steps(through, through_optimizer, 3)
    steps(stopped, stopped_optimizer, 3)

    assert torch.equal(through.weight, stopped.weight)
