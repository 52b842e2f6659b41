"""The form of an order as somebody filled it in, and the pictures that come with it.

Which part of a picture is made anew comes as a file (a mask that somebody has, or that the page's brush painted) or as
a rectangle in numbers. All of them become a picture of the client's own, so the order is the same as one of the API.
"""

import asyncio
from dataclasses import dataclass

from PIL import Image
from starlette.datastructures import UploadFile

from inference.pictures import png_bytes
from licensing.sentence import say
from service.errors import Problem, not_found
from service.images import StoredImage, find_image, keep_image
from service.outputs import Output, find_output
from service.pages.forms import whole_number
from service.pages.visits import Member

_USUAL_TIER = "personal"
_LONGEST = 1024
"""Of a mask that is made here, in pixels, as of one that the page's brush paints."""
_SIDES = (say("Left"), say("Top"), say("Width"), say("Height"))


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The form as somebody filled it in. `source` is the id of an own picture, of a bought one or of a maker's work to
    start from, `mask` of an own picture that is white where that is made anew; `left` to `height` say the same as a
    rectangle, in percent of the source."""

    style: str = ""
    prompt: str = ""
    tier: str = _USUAL_TIER
    count: str = "1"
    seed: str = ""
    strength: str = "0.6"
    source: str = ""
    mask: str = ""
    left: str = ""
    top: str = ""
    width: str = ""
    height: str = ""
    key: str = ""
    """Names this filled-in form: sending it twice orders once."""

    @property
    def area(self) -> tuple[str, str, str, str]:
        return self.left, self.top, self.width, self.height

    @property
    def starts_from_work(self) -> bool:
        """Whether it starts from a work of the style's maker."""
        return self.source.startswith("wrk_")

    @property
    def source_url(self) -> str:
        """Where the picture to start from can be seen."""
        if self.starts_from_work:
            return f"/v1/styles/{self.style}/starting-points/{self.source}"
        return f"/v1/{'outputs' if self.source.startswith('out_') else 'images'}/{self.source}"


async def uploaded(visit: Member, name: str) -> str:
    """The id of the picture that came in a field of the form; empty where none came. Raises Problem."""
    file = (await visit.form()).get(name)
    if not isinstance(file, UploadFile) or not file.filename:
        return ""
    image = await keep_image(visit.web, client_id=visit.account.id, content=await file.read(), name=file.filename)
    return image.id


async def marked(visit: Member, draft: Draft) -> str:
    """The id of the mask: of one that came as a file, else of the rectangle, else the one from before. Empty where the
    whole picture is made. Raises Problem."""
    if await visit.field("whole"):
        return ""
    mask = await uploaded(visit, "painted") or draft.mask
    if not draft.source and (mask or any(draft.area)):
        raise Problem(
            "invalid_request", say("A part is marked, but of no picture; choose the picture to start from, too.")
        )
    if mask != draft.mask or not any(draft.area):
        return mask
    area = [whole_number(text or "0", name=name) for text, name in zip(draft.area, _SIDES, strict=True)]
    left, top, width, height = area
    if min(area) < 0 or not (0 < width <= 100 - left and 0 < height <= 100 - top):
        raise Problem(
            "invalid_request",
            say(
                "A part from {left} and {top} percent, {width} wide and {height} high, does not lie in"
                " the picture; each is 0 to 100, and width and height are above 0.",
                left=left,
                top=top,
                width=width,
                height=height,
            ),
        )
    content = await asyncio.to_thread(_rectangle, await _size(visit, draft.source), left, top, width, height)
    image = await keep_image(visit.web, client_id=visit.account.id, content=content, name="The marked part")
    return image.id


def _rectangle(size: tuple[int, int], left: int, top: int, width: int, height: int) -> bytes:
    """A mask of a picture of that many pixels as PNG: white in a rectangle given in percent, black around it."""
    scale = min(1.0, _LONGEST / max(size))
    across, down = (max(1, round(edge * scale)) for edge in size)
    mask = Image.new("L", (across, down), 0)
    right, bottom = round((left + width) * across / 100), round((top + height) * down / 100)
    mask.paste(255, (round(left * across / 100), round(top * down / 100), right, bottom))
    return png_bytes(mask)


async def _size(visit: Member, source: str) -> tuple[int, int]:
    """Width and height of the picture to start from. Raises Problem."""
    client_id = visit.account.id
    async with visit.web.pool.acquire() as conn:
        found: Output | StoredImage | None
        if source.startswith("out_"):
            found = await find_output(conn, source, client_id=client_id)
        else:
            found = await find_image(conn, source, client_id=client_id)
    if found is None:
        raise not_found("picture", source)
    return found.width, found.height


async def image_of(visit: Member, source: str) -> str:
    """The id of the own picture to start from; a bought picture becomes one. Raises Problem."""
    if not source.startswith("out_"):
        return source
    async with visit.web.pool.acquire() as conn:
        output = await find_output(conn, source, client_id=visit.account.id)
    if output is None:
        raise not_found("picture", source)
    content = await asyncio.to_thread(visit.web.storage.get, output.storage_key)
    image = await keep_image(visit.web, client_id=visit.account.id, content=content, name="The picture")
    return image.id
