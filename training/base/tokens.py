"""The base's own words: a CLIP tokenizer learnt from its captions."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training.base.captions import caption
from training.base.errors import StageMissing
from training.base.recipe import TextRecipe

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
CAPTIONS_PER_PICTURE = 6
# What people type and icons are rarely called: pieces of these words must exist before an adapter can learn them.
EXTRA = "a an the of in on with and style picture drawing of illustration portrait landscape by small big old new"


def learn_tokenizer(recipe: TextRecipe, captions: Iterable[str], folder: Path) -> None:
    """Write a CLIP tokenizer (`vocab.json`, `merges.txt` and its settings) of `recipe.vocabulary` entries to `folder`.

    Every byte has a token, alone and at a word's end, so that no prompt is unknown.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    size = recipe.vocabulary - 2
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, end_of_word_suffix=WORD_END, show_progress=False, min_frequency=2
    )
    learner.train_from_iterator(captions, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"][: size - 2 * len(alphabet)]
    entries = [*alphabet, *(letter + WORD_END for letter in alphabet), *("".join(pair) for pair in merges)]
    entries = list(dict.fromkeys(entries))
    entries += [f"<|unused{number}|>" for number in range(size - len(entries))]
    vocabulary = {entry: number for number, entry in enumerate([*entries, START, END])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[tuple(pair) for pair in merges], model_max_length=recipe.length)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    # Older transformers read these two files and not tokenizer.json.
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))


def all_captions(rows: list[dict[str, Any]], styles: Mapping[str, str], seed: int) -> Iterator[str]:
    """A few captions of every picture, for learning the tokenizer."""
    pick = random.Random(seed)
    for row in rows:
        for _ in range(CAPTIONS_PER_PICTURE if row["kind"] != "abstract" else 2):
            yield caption(row, styles[row["set"]], pick)
    yield from [EXTRA] * 50


def load_tokenizer(work: Path) -> CLIPTokenizer:
    """The tokenizer of a work folder; StageMissing before `encode`."""
    folder = work / "tokenizer"
    if not (folder / "vocab.json").is_file():
        raise StageMissing(f"No tokenizer in {work}. Run `python -m training.base encode --work {work}` first.")
    return CLIPTokenizer.from_pretrained(folder)
