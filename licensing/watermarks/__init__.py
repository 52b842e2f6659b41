"""Invisible marks that outlast a seal: what a mark is, and those that a place may turn on by name. Thin.

A mark is drawn into the pixels before the picture is sealed, and found again where the seal is gone and the picture was
changed beyond recognition for a fingerprint: cropped, turned, printed. It says seven bytes, the picture's key in the
registry (`watermarks/registry.py`). It proves nothing by itself, for pixels can be copied; it says where to look.
"""

from importlib import import_module
from typing import Protocol

from licensing.errors import WatermarkUnusable

WATERMARKS: dict[str, str] = {}
"""Name -> dotted name of its class, each an optional extra of the same name. None is active unless it is named, and
none is shipped: those that can be installed without downloading weights did not survive what a seal does not."""
KEY_BYTES = 7
"""What a mark says: 56 bits, which robust marks have room for. Of a million pictures two share a key once in 10^5."""


class Watermark(Protocol):
    """Draws a key into pictures and finds it again. One serves all threads of a process.

    It runs in the web role, beside the keys: it must not load torch, and nothing is downloaded.
    """

    name: str
    licence: str
    """SPDX identifier, of the code and the model that it runs."""

    def mark(self, png: bytes, key: bytes) -> bytes:
        """A PNG of the same size that looks the same and says `key` (KEY_BYTES bytes)."""

    def detect(self, content: bytes) -> bytes | None:
        """The key that a picture file says; None where it says none, also for bytes that are no picture."""


def open_watermark(name: str) -> Watermark:
    """The mark of a name, ready to use. Raises WatermarkUnusable with what to do about it."""
    try:
        opened: Watermark = _class_of(name)()
    except ImportError as error:
        raise WatermarkUnusable(
            f"the watermark {name!r} needs a package that is not installed ({error});"
            f" pip install 'ownhand[{name}]', or name no watermark"
        ) from error
    return opened


def licence_of(name: str) -> str:
    """The licence of a mark, which need not be installed. Raises WatermarkUnusable."""
    return _class_of(name).licence


def _class_of(name: str) -> type[Watermark]:
    if name not in WATERMARKS:
        known = ", ".join(sorted(WATERMARKS))
        raise WatermarkUnusable(f"there is no watermark {name!r}; there is {f'{known}, or ' if known else ''}none")
    module, _, kind = WATERMARKS[name].partition(":")
    found: type[Watermark] = getattr(import_module(module), kind)
    return found
