"""What it takes to make a picture again, written down when it is finished. Thin: no torch.

The same request on the same software and device gives the same picture, within the rounding of other batches
(README.md, "What holds"); a receipt names all three, and the hashes of every file that played a part.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from inference.errors import InvalidRequest
from inference.messages import AdapterRef, ImageRequest, Plan

KIND = "ownhand.picture.v1"
PLAIN = (str, int, float, bool, str | None)
CIRCUMSTANCES = ("largest_batch", "device", "software")
Record = TypeVar("Record", "AdapterUsed", "Receipt")
SOFTWARE = ("ownhand", "torch", "diffusers", "transformers", "safetensors", "pillow")


@dataclass(frozen=True, kw_only=True)
class AdapterUsed:
    """One adapter that a picture went through."""

    sha256: str
    strength: float
    trigger: str | None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """How one picture was made. Hashes are SHA-256 in hexadecimal."""

    base: str
    base_sha256: str
    """The fingerprint of its folder."""
    adapters: tuple[AdapterUsed, ...]
    prompt: str
    negative_prompt: str
    seed: int
    width: int
    """Of the finished picture, in pixels, as is `height`."""
    height: int
    enlarged: bool
    sampler: str
    steps: int
    guidance: float
    strength: float
    """1 where there was no source picture."""
    image_sha256: str | None
    """Of the source picture as it was sent."""
    mask_sha256: str | None
    table_sha256: str
    """Of the sampler's numbers: the same table leads the same way, whatever the sampler is called."""
    weights: tuple[float, ...]
    """What the answer to each question of a step weighed, the wanted one first."""
    guidance_rescale: float
    """Share by which the blended answer is set back to the deviation of the wanted one."""
    largest_batch: int
    """Questions that the fullest of its steps answered, its own and others'."""
    device: str
    software: Mapping[str, str]
    checks: tuple[str, ...] = ()
    """Names of those that looked at it and let it pass; not known of pictures from before there were checks."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"kind": KIND, **asdict(self)}

    @property
    def draws(self) -> str:
        """SHA-256, in hexadecimal, of all that decides what is drawn; who shared its batches and where does not."""
        decides = {name: value for name, value in asdict(self).items() if name not in CIRCUMSTANCES}
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def receipt_of(
    planned: Plan,
    *,
    base_sha256: str,
    table_sha256: str,
    weights: tuple[float, ...],
    guidance_rescale: float,
    largest_batch: int,
    device: str,
    checks: tuple[str, ...],
) -> Receipt:
    """The receipt of a picture that was made as planned."""
    request = planned.request
    return Receipt(
        base=request.base,
        base_sha256=base_sha256,
        adapters=tuple(
            AdapterUsed(sha256=ref.sha256, strength=ref.strength, trigger=ref.trigger) for ref in request.adapters
        ),
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        seed=request.seed,
        width=planned.width * planned.enlargement,
        height=planned.height * planned.enlargement,
        enlarged=planned.enlargement > 1,
        sampler=planned.sampler,
        steps=planned.steps,
        guidance=planned.guidance,
        strength=planned.strength,
        image_sha256=_sha256(request.image),
        mask_sha256=_sha256(request.mask),
        table_sha256=table_sha256,
        weights=weights,
        guidance_rescale=guidance_rescale,
        largest_batch=largest_batch,
        device=device,
        software=software(),
        checks=checks,
    )


def read_receipt(document: object) -> Receipt:
    """What `as_dict` wrote. Raises InvalidRequest for anything else."""
    if not isinstance(document, Mapping) or document.get("kind") != KIND:
        raise InvalidRequest(f"this is no receipt of a picture: its kind is not {KIND}")
    if document.get("prompt") is None and (gone := document.get("prompt_deleted_at")):
        raise InvalidRequest(
            f"the prompt of this picture was deleted on {str(gone)[:10]}, as it was said beforehand, and without it the"
            " picture cannot be made again; take a receipt that was saved before that day"
        )
    values = {name: value for name, value in document.items() if name not in ("kind", "prompt_deleted_at")}
    try:
        adapters = tuple(_checked(AdapterUsed(**adapter)) for adapter in values.pop("adapters"))
        weights = tuple(float(weight) for weight in values.pop("weights"))
        software = {str(name): str(number) for name, number in dict(values.pop("software")).items()}
        checks = tuple(str(name) for name in values.pop("checks", ()))
        return _checked(Receipt(**values, adapters=adapters, weights=weights, software=software, checks=checks))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequest(f"this receipt is damaged: {error}") from error


def _checked(read: Record) -> Record:
    """The same, if its plain fields hold what they say. Raises TypeError."""
    for field in fields(read):
        wanted: Any = int | float if field.type is float else field.type
        if field.type in PLAIN and not isinstance(getattr(read, field.name), wanted):
            raise TypeError(f"{field.name} cannot be {getattr(read, field.name)!r}")
    return read


def request_again(
    receipt: Receipt, *, id: str, adapters: Mapping[str, Path], image: bytes | None = None, mask: bytes | None = None
) -> ImageRequest:
    """The request that makes the picture of a receipt again.

    adapters: their files, by hash. Raises InvalidRequest where a file is missing or another than the receipt names.
    """
    for name, content, expected in (("image", image, receipt.image_sha256), ("mask", mask, receipt.mask_sha256)):
        if _sha256(content) != expected:
            if expected is None:
                raise InvalidRequest(f"the picture was made without {name}; leave it out")
            raise InvalidRequest(
                f"the picture was made from the {name} with the SHA-256 {expected[:12]}...; send that, byte for byte"
            )
    used = {adapter.sha256 for adapter in receipt.adapters}
    if missing := used - adapters.keys():
        raise InvalidRequest(f"the picture went through the adapter {min(missing)[:12]}...; name that file")
    if others := adapters.keys() - used:
        raise InvalidRequest(f"the picture did not go through the adapter {min(others)[:12]}...; leave it out")
    return ImageRequest(
        id=id,
        base=receipt.base,
        prompt=receipt.prompt,
        negative_prompt=receipt.negative_prompt,
        seed=receipt.seed,
        adapters=tuple(
            AdapterRef(path=adapters[one.sha256], sha256=one.sha256, strength=one.strength, trigger=one.trigger)
            for one in receipt.adapters
        ),
        width=receipt.width,
        height=receipt.height,
        enlarge=receipt.enlarged,
        sampler=receipt.sampler,
        steps=receipt.steps,
        guidance=receipt.guidance,
        image=image,
        strength=None if image is None else receipt.strength,
        mask=mask,
    )


def differences(then: Receipt, now: Receipt) -> tuple[str, ...]:
    """Sentences on what may have changed a picture that was made again; none where nothing did."""
    found = []
    if now.table_sha256 != then.table_sha256:
        found.append(f"the sampler {then.sampler!r} counts otherwise in this software: the picture differs")
    if (now.weights, now.guidance_rescale) != (then.weights, then.guidance_rescale):
        found.append("the base's entry or the adapter weighs the style otherwise than then: the picture differs")
    changed = [
        f"{name} {then.software[name]}, now {now.software.get(name, 'missing')}"
        for name in then.software
        if then.software[name] != now.software.get(name)
    ]
    if changed:
        found.append(f"made then with {', '.join(changed)}: small differences are possible")
    if now.device != then.device:
        found.append(f"made then on {then.device}, now on {now.device}: small differences are possible")
    return tuple(found)


@cache
def software() -> dict[str, str]:
    """The versions that pictures depend on; of those that are installed."""
    found = {}
    for name in SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            # Run from a folder that was never installed: nobody knows the version, so none is named.
            continue
    return found


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
