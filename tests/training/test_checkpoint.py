"""A checkpoint is whole or it is not there."""

import torch

from training.checkpoint import (
    MANIFEST,
    TENSORS,
    load_latest_checkpoint,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)


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
