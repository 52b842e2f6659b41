"""What a denoiser reads of prompts, kept for as long as it is likely to be asked again.

The pictures of one order share their words, and nearly all pictures the empty negative prompt: each is read once. A
prompt is always read by itself, so that its reading does not depend on what else had to be read.
"""

from collections import OrderedDict
from dataclasses import dataclass
from weakref import ref

from inference.adapters.stack import Adapter, RowAdapters, text_part
from inference.bases import Base

Key = tuple[str, tuple[tuple[int, float], ...]]
"""A prompt, and the adapters over the text encoders that it is read through, each with its strength."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    reading: object
    through: tuple["ref[Adapter]", ...]
    """The adapters of its key: once one is gone, another may have its number."""


class Readings:
    """The readings of one open base's last prompts, `most` of them. Belongs to the thread that draws."""

    def __init__(self, base: Base, *, most: int) -> None:
        self._base, self._most = base, most
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def read(self, prompt: str, adapters: RowAdapters = ()) -> object:
        """What the denoiser reads of a prompt, through the adapters' part for the text encoders."""
        through = [(adapter, strength) for adapter, strength in adapters if text_part([(adapter, strength)])]
        key = (prompt, tuple((id(adapter), strength) for adapter, strength in through))
        kept = self._kept.pop(key, None)
        if kept is None or any(known() is not one for known, (one, _) in zip(kept.through, through, strict=True)):
            kept = _Kept(
                reading=self._base.encode_prompts([prompt], through)[0], through=tuple(ref(one) for one, _ in through)
            )
        self._kept[key] = kept
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept.reading

    def clear(self) -> None:
        """Keep nothing: an adapter that some were read through may no longer be used."""
        self._kept.clear()
