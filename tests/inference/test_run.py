"""One picture from the shell: what it adds, what it writes beside, and how it says what is wrong."""

from pathlib import Path

import pytest
from PIL import Image

from inference.run import generate_file, main
from tests.inference.random_adapters import random_adapter, write_adapter

ENDINGS = ("to_q", "to_v", "to_out.0", "conv1")


def test_the_shell_adds_the_trigger_unless_told_not_to(tiny_entry, tiny_base, tmp_path):
    adapter = random_adapter(tiny_base.unet, ENDINGS, seed=0, rank=2)
    metadata = {"modelspec.trigger_phrase": "vozix", "ownhand.base": "tiny"}
    file = write_adapter(tmp_path / "style.safetensors", adapter, metadata=metadata).path
    common = {"base": str(tiny_entry), "adapter": file, "seed": 3}

    with_trigger = generate_file(prompt="cat", out=tmp_path / "a.png", **common)
    typed = generate_file(prompt="cat, vozix style", no_trigger=True, out=tmp_path / "b.png", **common)
    without = generate_file(prompt="cat", no_trigger=True, out=tmp_path / "c.png", **common)

    assert (tmp_path / "a.png").read_bytes() == with_trigger.png == typed.png
    assert with_trigger.png != without.png


def test_the_shell_writes_a_receipt_and_draws_by_it(tiny_entry, tiny_base, tmp_path, capsys):
    first, again, receipt = (str(tmp_path / name) for name in ("a.png", "b.png", "a.json"))
    made = random_adapter(tiny_base.unet, ENDINGS, seed=0, rank=2)
    adapter = ["--adapter", str(write_adapter(tmp_path / "style.safetensors", made).path)]

    drawn = main(["--base", str(tiny_entry), "--prompt", "cat", "--out", first, "--receipt", receipt, *adapter])
    redrawn = main(["--again", receipt, "--base", str(tiny_entry), "--out", again, *adapter])

    assert (drawn, redrawn) == (0, 0)
    assert Path(first).read_bytes() == Path(again).read_bytes()
    assert main(["--again", receipt, "--base", str(tiny_entry), "--out", again]) == 1
    assert "name that file" in capsys.readouterr().err
    assert main(["--again", receipt, "--out", again, "--receipt", str(tmp_path / "no" / "a.json")]) == 1
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--again", receipt, "--out", again, "--seed", "0"])
    assert "says what --seed was" in capsys.readouterr().err
    assert main(["--again", first, "--base", str(tiny_entry), "--out", again]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_shell_explains_what_is_wrong(tiny_entry, tmp_path, capsys):
    out = str(tmp_path / "a.png")

    code = main(["--base", str(tiny_entry), "--prompt", "", "--out", out])

    assert code == 1
    assert "the prompt is empty" in capsys.readouterr().err
    assert main(["--base", str(tiny_entry), "--prompt", "an apple", "--out", out, "--steps", "2"]) == 0
    assert Image.open(out).size == (32, 32)
