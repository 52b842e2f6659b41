"""`/v1/images`: pictures that a client brings, as sources of variations and as masks."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from service.api.shapes import upload_of
from service.auth import Client, ClientReading, Web
from service.errors import ObjectMissing, Problem, not_found
from service.images import StoredImage, find_image, keep_image, read_image
from service.resources import Gateway
from service.retention import image_kept_until

router = APIRouter(tags=["images"])


@router.post("/images", status_code=201, openapi_extra=upload_of("file", "image/png"))
async def post_image(web: Web, asker: Client, request: Request, response: Response) -> dict[str, Any]:
    """Store a picture: multipart, field `file`, or the bytes alone as `image/*`. The same bytes keep the same id.

    It is deleted at `kept_until`, which every order with it moves: then it counts from the order's end.
    """
    content, name = await _read(request)
    image = await keep_image(web, client_id=asker.account_id, content=content, name=name)
    response.headers["Location"] = f"/v1/images/{image.id}"
    return _document(web, image)


@router.get("/images/{image_id}", response_class=Response)
async def get_image(web: Web, asker: ClientReading, image_id: str) -> Response:
    """A picture that this client brought, as it came; it is there until `kept_until`."""
    async with web.pool.acquire() as conn:
        image = await find_image(conn, image_id, client_id=asker.account_id)
    if image is None:
        raise not_found("image", image_id)
    try:
        content = await read_image(web, image_id, client_id=asker.account_id)
    except ObjectMissing as error:
        raise not_found("image", image_id) from error
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": "inline"}
    return Response(content, media_type=image.mime, headers=headers)


def _document(web: Gateway, image: StoredImage) -> dict[str, Any]:
    return {
        "id": image.id,
        "mime": image.mime,
        "width": image.width,
        "height": image.height,
        "bytes": image.num_bytes,
        "created_at": image.created_at,
        "kept_until": image_kept_until(web, image.used_at),
    }


async def _read(request: Request) -> tuple[bytes, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await request.body(), "The picture"
    if kind != "multipart/form-data":
        raise Problem(
            "unsupported_media_type",
            f"The body is {kind or 'of no stated kind'}; send multipart/form-data with the field `file`, or image/png.",
        )
    file = (await request.form()).get("file")
    if not isinstance(file, UploadFile):
        raise Problem("invalid_request", "The form has no file in the field `file`; put the picture there.")
    return await file.read(), file.filename or "The picture"
