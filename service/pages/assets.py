"""What browsers load beside the pages. Names carry a hash of the content, so browsers may keep them for ever."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

from service.errors import not_found

STATIC = Path(__file__).resolve().parent.parent / "static"
# The only files under static/ that anybody can fetch.
ASSETS = {
    "app.css": STATIC / "app.css",
    "app.js": STATIC / "app.js",
    "brush.js": STATIC / "brush.js",
    "upload.js": STATIC / "upload.js",
    "mark.svg": STATIC / "mark.svg",
    "htmx.min.js": STATIC / "node_modules" / "htmx.org" / "dist" / "htmx.min.js",
}
router = APIRouter(include_in_schema=False)


@cache
def digest_of(name: str) -> str:
    """The first 12 hex digits of the file's SHA-256."""
    return hashlib.sha256(ASSETS[name].read_bytes()).hexdigest()[:12]


def asset_url(name: Literal["app.css", "app.js", "brush.js", "upload.js", "mark.svg", "htmx.min.js"]) -> str:
    return f"/static/{digest_of(name)}/{name}"


@router.get("/static/{digest}/{name}")
async def asset(digest: str, name: str) -> FileResponse:
    """One file. Under another content's hash it is served as well, but not to be kept."""
    if name not in ASSETS:
        raise not_found("file", name)
    is_same = digest == digest_of(name)
    kept = "public, max-age=31536000, immutable" if is_same else "no-cache"
    return FileResponse(ASSETS[name], headers={"Cache-Control": kept})
