"""The works of a portfolio: opened safely, looked at, and either usable or named with a reason and a fix. No torch.

One bad file never stops the rest.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from inference.errors import ImageRefused
from inference.likeness import Look
from inference.pictures import OpenedPicture, open_picture
from training.messages import Finding, Work
from training.review.wording import finding

MAX_WORK_BYTES = 50 * 1024 * 1024
MAX_WORK_PIXELS = 40_000_000


@dataclass(frozen=True, kw_only=True)
class GoodWork:
    """A work that can be learnt from."""

    work: Work
    image: Image.Image
    """RGB, scaled down to what training needs."""
    sha256: str
    look: Look


@dataclass(frozen=True, kw_only=True)
class Review:
    """A portfolio after a look at every work."""

    good: tuple[GoodWork, ...]
    findings: tuple[Finding, ...]
    clusters: tuple[tuple[int, ...], ...]
    """Numbers into `good`: repeats of one picture together, every other work alone."""


def works_in(folder: Path) -> tuple[Work, ...]:
    """Every file in a folder and its subfolders as a work, in order of their paths; hidden files are passed over.

    A text file beside a picture of the same name holds the creator's words for it, one caption a line.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    named = {path.with_suffix("") for path in files if path.suffix.lower() != ".txt"}
    pictures = [path for path in files if path.suffix.lower() != ".txt" or path.with_suffix("") not in named]
    return tuple(
        Work(id=path.relative_to(folder).as_posix(), path=path, captions=_words_beside(path)) for path in pictures
    )


def inspect_upload(work_id: str, content: bytes, *, size: int) -> tuple[OpenedPicture | None, list[Finding]]:
    """Decode one uploaded work and say what is wrong with it.

    size: edge of the base's pictures, in pixels. Returns no picture if a finding is an error.
    """
    if len(content) > MAX_WORK_BYTES:
        return None, [_too_many_bytes(work_id, len(content))]
    try:
        opened = open_picture(content, max_pixels=MAX_WORK_PIXELS)
    except ImageRefused as error:
        why, _, fix = f"The file {error}.".partition("; ")
        return None, [_error(work_id, error.kind, why.rstrip(".") + ".", fix[:1].upper() + fix[1:])]
    findings = _on_size(work_id, opened.image, size) + _on_form(work_id, opened)
    usable = all(found.severity != "error" for found in findings)
    return (opened if usable else None), findings


def read_work(work: Work) -> bytes | Finding:
    """A work's file; or what keeps it from being read."""
    try:
        # Asked before reading, so that a file of many gigabytes is never taken into memory.
        num_bytes = work.path.stat().st_size
        return _too_many_bytes(work.id, num_bytes) if num_bytes > MAX_WORK_BYTES else work.path.read_bytes()
    except OSError as error:
        return finding("unreadable", work=work.id, kind="missing", severity="error", reason=error.strerror)


def _on_size(work_id: str, image: Image.Image, size: int) -> list[Finding]:
    if min(image.size) >= size:
        return []
    is_enough = min(image.size) >= size // 2
    return [
        finding(
            "small" if is_enough else "too_small",
            work=work_id,
            kind="small" if is_enough else "too_small",
            severity="warning" if is_enough else "error",
            width=image.width,
            height=image.height,
            least=size // 2,
            size=size,
        )
    ]


def _on_form(work_id: str, opened: OpenedPicture) -> list[Finding]:
    findings = []
    if "animated" in opened.forms:
        findings.append(finding("animated", work=work_id, kind="animated", severity="warning"))
    if "transparent" in opened.forms:
        findings.append(finding("transparent", work=work_id, kind="transparent", severity="note"))
    return findings


def _too_many_bytes(work_id: str, num_bytes: int) -> Finding:
    has, most = f"{num_bytes / 1048576:.0f}", MAX_WORK_BYTES // 1048576
    return finding("too_many_bytes", work=work_id, kind="too_many_bytes", severity="error", has=has, most=most)


def _error(work_id: str | None, kind: str, why: str, fix: str) -> Finding:
    return Finding(work=work_id, kind=kind, severity="error", why=why, fix=fix)


def _words_beside(path: Path) -> tuple[str, ...]:
    beside = path.with_suffix(".txt")
    if beside == path or not beside.is_file():
        return ()
    return tuple(
        line.strip() for line in beside.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
