"""A captioning model and what it says of works: files in, several wordings of each out.

Two kinds are understood: captioners that are shown a picture and speak, and models that follow instructions, told by
the chat template that their processor brings.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from training.description.plain import without_style
from training.errors import CaptionerUnusable
from training.messages import Described, Finding, Work
from training.works import inspect_upload, read_work

QUESTION = "What does this picture show? Answer in a few words, and say nothing of its style or medium."
EDGE = 768
"""What a model is shown at most, in pixels: those that cut large pictures into tiles would take minutes for each."""
_LIKELIEST = {"max_new_tokens": 48, "num_beams": 1, "do_sample": False}
# The temperature is said because some models come with one near zero, which would say the same again.
_ANOTHER = {"max_new_tokens": 48, "num_beams": 1, "do_sample": True, "top_p": 0.9, "temperature": 1.0}
WORDINGS: tuple[dict[str, Any], ...] = (_LIKELIEST, _ANOTHER, _ANOTHER)
# What the library and the models of its hundred families raise at what they cannot do.
_BREAKS = (OSError, ValueError, TypeError, RuntimeError, ImportError, AttributeError, LookupError)


@dataclass(frozen=True, kw_only=True)
class Captioner:
    """An open model with what prepares pictures for it and turns its answers into words."""

    name: str
    processor: Any
    model: Any


def open_captioner(name: str, *, device: str) -> Captioner:
    """Open the model of a folder, or of a hub's id whose files lie in this machine's cache.

    Nothing is downloaded, and no code that comes with a model is run. Raises CaptionerUnusable.
    """
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise CaptionerUnusable(f"the captioning model's folder {name} is not there; name one that is")
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(name, **options)
        # A GPU takes the numbers as they are stored; a CPU has fast and complete arithmetic for float32 alone.
        dtype = torch.float32 if device == "cpu" else "auto"
        model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype, **options).to(device).eval()
    except _BREAKS as error:
        raise CaptionerUnusable(
            f"the captioning model {name} cannot be opened: {_first_sentence(error)}; name a folder that holds a model"
            " with its processor, or the hub's id of one that was downloaded here, and install what it asks for"
        ) from error
    if not (hasattr(processor, "image_processor") and hasattr(processor, "tokenizer")):
        raise CaptionerUnusable(
            f"the captioning model {name} has no processor for pictures and words together; name another model"
        )
    return Captioner(name=name, processor=processor, model=model)


def describe_works(
    works: Sequence[Work], captioner: Captioner, *, go_on: Callable[[], None] = lambda: None
) -> Iterator[Described | Finding]:
    """What each work shows, one after the other; a finding for a file that cannot be looked at, which stops no other.

    go_on: called before every wording; it raises where the work is to stop. Raises CaptionerUnusable.
    """
    for work in works:
        content = read_work(work)
        if isinstance(content, Finding):
            yield content
            continue
        # Any size is large enough to be described.
        opened, findings = inspect_upload(work.id, content, size=1)
        if opened is None:
            yield from findings
            continue
        seed = int.from_bytes(hashlib.sha256(content).digest()[:6])
        yield Described(work=work.id, captions=describe(captioner, opened.image, seed=seed, go_on=go_on))


def describe(
    captioner: Captioner, image: Image.Image, *, seed: int, go_on: Callable[[], None] = lambda: None
) -> tuple[str, ...]:
    """Wordings of what a picture shows, the likeliest first; none where only words about the drawing were said.

    The same picture and seed give the same words. Raises CaptionerUnusable.
    """
    shown = image.copy()
    shown.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    said = []
    try:
        asked = _question(captioner, shown)
        # Models draw their samples from torch's own dice.
        torch.manual_seed(seed)
        for manner in WORDINGS:
            go_on()
            said.append(_answer(captioner, asked, manner))
    except _BREAKS as error:
        raise CaptionerUnusable(
            f"the captioning model {captioner.name} could not describe a picture: {_first_sentence(error)}; name"
            " another model, or a device with more memory"
        ) from error
    named = (without_style(text) for text in said)
    return tuple(dict.fromkeys(caption for caption in named if caption))


def _question(captioner: Captioner, image: Image.Image) -> Any:
    """The picture, with the question where the model takes one, as tensors on the model's device."""
    processor, model = captioner.processor, captioner.model
    if processor.chat_template:
        content = [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]
        asked = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    else:
        asked = processor(images=image, return_tensors="pt")
    return asked.to(model.device, dtype=model.dtype)


@torch.inference_mode()
def _answer(captioner: Captioner, asked: Any, manner: dict[str, Any]) -> str:
    tokens_L: Tensor = captioner.model.generate(**asked, **manner)[0]
    if "input_ids" in asked:
        # Most models say the question again before the answer; those with an encoder do not.
        question_L = asked["input_ids"][0]
        if torch.equal(tokens_L[: len(question_L)], question_L):
            tokens_L = tokens_L[len(question_L) :]
    text: str = captioner.processor.decode(tokens_L, skip_special_tokens=True)
    return text


def _first_sentence(error: BaseException) -> str:
    return re.split(r"\.?(?:\s*\n|\.\s|$)", str(error).strip(), maxsplit=1)[0] or type(error).__name__
