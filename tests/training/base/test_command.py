"""The command runs a stage, or says which one is missing."""

import os
import signal

from training.base import autoencoder
from training.base.__main__ import main
from training.base.errors import Interrupted


def test_a_stage_out_of_order_ends_with_the_sentence_and_exit_code_1(tmp_path, pytestconfig, capsys):
    recipe = pytestconfig.rootpath / "configs" / "recipes" / "base-cpu.toml"

    code = main(["autoencoder", "--work", str(tmp_path), "--recipe", str(recipe)])

    assert code == 1
    assert "Run `python -m training.base data --work" in capsys.readouterr().err


def test_a_training_that_is_asked_to_end_saves_where_it_is(tmp_path, pytestconfig, monkeypatch, capsys):
    def train_for_ever(recipe, work, session):
        os.kill(os.getpid(), signal.SIGTERM)
        assert session.stop()
        raise Interrupted("Stopped at step 3 of 9. The same command goes on from there.")

    monkeypatch.setattr(autoencoder, "train_autoencoder", train_for_ever)
    recipe = pytestconfig.rootpath / "configs" / "recipes" / "base-cpu.toml"
    before = signal.getsignal(signal.SIGTERM)

    code = main(["autoencoder", "--work", str(tmp_path), "--recipe", str(recipe)])

    assert code == 75
    assert "goes on from there" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
