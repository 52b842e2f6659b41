"""`python -m inference.run`: one picture from the shell, without the service."""

import argparse
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

from inference.adapters.manifest import file_sha256, read_manifest
from inference.catalog import base_spec
from inference.engine import Engine
from inference.errors import ImageRefused, InferenceError, InvalidRequest
from inference.messages import AdapterRef, ImageRequest, Picture, Step


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
) -> Picture:
    """Make one picture and write it as a PNG to `out`.

    The adapter's trigger, named in its file, calls its style unless `no_trigger`. Without a seed one is drawn
    and named in the answer. Raises InferenceError with a sentence for whatever was wrong.
    """
    if not out.parent.is_dir():
        raise InvalidRequest(f"the folder {str(out.parent)!r} does not exist; make it, or choose another place")
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
    closed = Event()
    with Engine(spec, device=device, max_rows=1) as engine:
        future = engine.submit(request, stop=lambda: "interrupted" if closed.is_set() else None, on_step=on_step)
        try:
            picture = future.result()
        finally:
            closed.set()
    assert isinstance(picture, Picture), "nobody but this function can stop the request"
    out.write_bytes(picture.png)
    return picture


def adapter_ref(path: Path, *, strength: float = 1.0, no_trigger: bool = False) -> AdapterRef:
    """A reference to an adapter file, with its hash and the trigger that it names. Raises AdapterRefused."""
    trigger = None if no_trigger else read_manifest(path).trigger or None
    return AdapterRef(path=path, sha256=file_sha256(path), strength=strength, trigger=trigger)


def main(arguments: list[str] | None = None) -> int:
    """The command line: exit 0 with the picture written, 1 with a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m inference.run", description=generate_file.__doc__)
    parser.add_argument("--base", required=True, help="an id in configs/bases")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--out", required=True, type=Path, help="PNG file to write")
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
    given = parser.parse_args(arguments)
    try:
        picture = generate_file(**vars(given), on_step=_show)
    except InferenceError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    sys.stderr.write(f"\n{given.out}: seed {picture.seed}, {picture.steps} steps, {picture.seconds:.1f} s\n")
    for note in picture.notes:
        sys.stderr.write(f"{note}\n")
    return 0


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
