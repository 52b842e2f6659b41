"""`python -m inference.run`: one picture from the shell, without the service."""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

from inference.adapters.manifest import file_sha256, read_manifest
from inference.catalog import BaseSpec, base_spec, fingerprint
from inference.checkers import CHECKERS, Checker, open_checker
from inference.engine import Engine
from inference.errors import ImageRefused, InferenceError, InvalidRequest, PictureRefused, WrongBase
from inference.messages import AdapterRef, ImageRequest, Picture, Refused, Step
from inference.receipt import Receipt, differences, read_receipt, request_again

NOT_AGAIN = (
    *("prompt", "negative_prompt", "seed", "width", "height", "steps", "guidance", "sampler", "strength"),
    *("no_trigger", "enlarge"),
)
"""What a receipt says itself, and so is not said beside it."""
EXIT_REFUSED = 3
"""Exit code where a check objected to the picture."""


def generate_file(
    *,
    base: str,
    prompt: str,
    out: Path,
    adapter: Path | None = None,
    seed: int | None = None,
    image: Path | None = None,
    strength: float | None = None,
    no_trigger: bool = False,
    negative_prompt: str = "",
    width: int | None = None,
    height: int | None = None,
    enlarge: bool = False,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    on_step: Callable[[Step], None] | None = None,
    device: str = "cpu",
    checkers: Sequence[Checker] = (),
) -> Picture:
    """Make one picture and write it as a PNG to `out`.

    The adapter's trigger, named in its file, calls its style unless `no_trigger`. Without a seed one is drawn
    and named in the answer. Raises InferenceError with a sentence for whatever was wrong, PictureRefused where one of
    `checkers` objects.
    """
    require_folder(out)
    spec = base_spec(base)
    request = ImageRequest(
        id=out.name,
        base=spec.id,
        prompt=prompt,
        negative_prompt=negative_prompt,
        adapters=() if adapter is None else (adapter_ref(adapter, no_trigger=no_trigger),),
        seed=secrets.randbelow(2**32) if seed is None else seed,
        width=width,
        height=height,
        enlarge=enlarge,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        image=None if image is None else _read(image),
        strength=strength,
    )
    picture = _make(spec, request, on_step, device, checkers)
    out.write_bytes(picture.png)
    return picture


def make_again(
    *,
    receipt: Path,
    out: Path,
    base: str | None = None,
    adapters: Sequence[Path] = (),
    image: Path | None = None,
    mask: Path | None = None,
    on_step: Callable[[Step], None] | None = None,
    device: str = "cpu",
    checkers: Sequence[Checker] = (),
) -> Picture:
    """Make the picture of a receipt again and write it as a PNG to `out`.

    base: where the receipt's is not an id in configs/bases. What differs from then, and so may change the picture's
    last bits, stands in its notes; another base is refused, as is another adapter or source picture. Raises
    InferenceError.
    """
    require_folder(out)
    then = _read_receipt(receipt)
    spec = base_spec(base or then.base)
    request = request_again(
        then,
        id=out.name,
        adapters={file_sha256(adapter): adapter for adapter in adapters},
        image=None if image is None else _read(image),
        mask=None if mask is None else _read(mask),
    )
    if fingerprint(spec) != then.base_sha256:
        raise WrongBase(f"the picture was made with another version of the base {spec.id!r}; restore that version")
    picture = _make(spec, request, on_step, device, checkers)
    out.write_bytes(picture.png)
    return replace(picture, notes=(*picture.notes, *differences(then, read_receipt(picture.receipt))))


def _make(
    spec: BaseSpec,
    request: ImageRequest,
    on_step: Callable[[Step], None] | None,
    device: str,
    checkers: Sequence[Checker],
) -> Picture:
    closed = Event()
    with Engine(spec, device=device, max_rows=1, checkers=checkers) as engine:
        future = engine.submit(request, stop=lambda: "interrupted" if closed.is_set() else None, on_step=on_step)
        try:
            picture = future.result()
        finally:
            closed.set()
    if isinstance(picture, Refused):
        raise PictureRefused(picture.objection)
    assert isinstance(picture, Picture), "nobody but this function can stop the request"
    return picture


def said_beside(given: Mapping[str, object]) -> str | None:
    """The first option that was given beside a receipt which says it already."""
    said = (name for name in NOT_AGAIN if given.get(name) not in (None, "") and given[name] is not False)
    return next((f"--{name.replace('_', '-')}" for name in said), None)


def write_receipt(picture: Picture, path: Path) -> None:
    """Write how a picture was made, as `make_again` reads it."""
    path.write_text(json.dumps(picture.receipt, indent=1) + "\n", encoding="utf-8")


def require_folder(path: Path) -> None:
    """Raise InvalidRequest if the folder that a file shall be written to does not exist."""
    if not path.parent.is_dir():
        raise InvalidRequest(f"the folder {str(path.parent)!r} does not exist; make it, or choose another place")


def adapter_ref(path: Path, *, strength: float = 1.0, no_trigger: bool = False) -> AdapterRef:
    """A reference to an adapter file, with its hash and the trigger that it names. Raises AdapterRefused."""
    trigger = None if no_trigger else read_manifest(path).trigger or None
    return AdapterRef(path=path, sha256=file_sha256(path), strength=strength, trigger=trigger)


def main(arguments: list[str] | None = None) -> int:
    """The command line: exit 0 with the picture written, 1 with a sentence on stderr, 3 where a check objected."""
    parser = argparse.ArgumentParser(prog="python -m inference.run", description=generate_file.__doc__)
    parser.add_argument("--base", help="an id in configs/bases")
    parser.add_argument("--prompt")
    parser.add_argument("--out", required=True, type=Path, help="PNG file to write")
    parser.add_argument("--again", type=Path, help="a receipt, instead of base and prompt: make that picture again")
    parser.add_argument("--mask", type=Path, help="with --again: the mask that was sent")
    parser.add_argument("--receipt", type=Path, help="where to write how it was made")
    parser.add_argument("--adapter", type=Path, help="a .safetensors file")
    parser.add_argument("--no-trigger", action="store_true", help="do not call the adapter's style")
    parser.add_argument("--enlarge", action="store_true", help="draw the edges anew, larger (bases with an enlarger)")
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--image", type=Path, help="source picture of a variation")
    parser.add_argument("--strength", type=float, help="0 keeps the source picture, 1 forgets it")
    for name in ("seed", "width", "height", "steps"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--sampler")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--check", choices=sorted(CHECKERS), help="a content check that must let the picture pass")
    given = parser.parse_args(arguments)
    if given.again is None and None in (given.base, given.prompt):
        parser.error("name --base and --prompt, or --again with a receipt")
    if given.again is not None and (said := said_beside(vars(given))):
        parser.error(f"the receipt says what {said} was; leave that out")
    if given.again is None and given.mask is not None:
        parser.error("--mask goes with --again")
    try:
        picture = _from_shell(given)
    except InferenceError as error:
        sys.stderr.write(f"\n{error}\n")
        return EXIT_REFUSED if isinstance(error, PictureRefused) else 1
    sys.stderr.write(f"\n{given.out}: seed {picture.seed}, {picture.steps} steps, {picture.seconds:.1f} s\n")
    for note in picture.notes:
        sys.stderr.write(f"{note}\n")
    return 0


def _from_shell(given: argparse.Namespace) -> Picture:
    asked = vars(given)
    again, mask, receipt, check = (asked.pop(name) for name in ("again", "mask", "receipt", "check"))
    asked["checkers"] = () if check is None else (open_checker(check),)
    if receipt is not None:
        require_folder(receipt)
    if again is not None:
        known = {name: asked[name] for name in ("base", "image", "out", "device", "checkers")}
        adapters = [] if asked["adapter"] is None else [asked["adapter"]]
        picture = make_again(receipt=again, adapters=adapters, mask=mask, on_step=_show, **known)
    else:
        picture = generate_file(**asked, on_step=_show)
    if receipt is not None:
        write_receipt(picture, receipt)
    return picture


def _read_receipt(path: Path) -> Receipt:
    try:
        return read_receipt(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidRequest):
            raise
        raise InvalidRequest(f"the receipt {path.name!r} cannot be read ({error}); check the path") from error


def _show(step: Step) -> None:
    sys.stderr.write(f"\rstep {step.index} of {step.total}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageRefused(
            f"the image {path.name!r} cannot be read ({error.strerror}); check the path", kind="missing"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
