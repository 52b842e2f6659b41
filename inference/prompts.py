"""Prompts cut to what a base reads to its end. Knows no tokenizer."""

from collections.abc import Callable

from inference.messages import with_call


def fit_prompt(words: str, call: str, fits: Callable[[str], bool]) -> tuple[str, str]:
    """A prompt that `fits`, and the words that had to be left out for it, the last ones first.

    The call (see `inference.messages.with_call`) is kept whatever it costs: without it there is no style.
    """
    kept: list[str] = words.split()
    left_out: list[str] = []
    prompt = with_call(words, call)
    while kept and not fits(prompt):
        left_out.insert(0, kept.pop())
        prompt = with_call(" ".join(kept).rstrip(",;"), call)
    return prompt, " ".join(left_out)
