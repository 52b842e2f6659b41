"""The command runs a stage, or says which one is missing."""

from training.base.__main__ import main


def test_a_stage_out_of_order_ends_with_the_sentence_and_exit_code_1(tmp_path, pytestconfig, capsys):
    recipe = pytestconfig.rootpath / "configs" / "recipes" / "base-cpu.toml"

    code = main(["autoencoder", "--work", str(tmp_path), "--recipe", str(recipe)])

    assert code == 1
    assert "Run `python -m training.base data --work" in capsys.readouterr().err
