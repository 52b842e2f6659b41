"""The OpenAPI document: what the framework writes of every call, and the problems that a call may answer with."""

from typing import Any

from fastapi import FastAPI

from service.errors import SLUGS, TYPE_PREFIX

# Whoever reads can be told any of these. Whoever sends something can be told all there are but `method_not_allowed`,
# which is no call's own answer.
_OF_READING = (401, 403, 404, 409, 410, 422, 429, 500, 503)
_OF_CHANGING = (402, 413, 415, 423)
_METHODS = {"get", "put", "post", "patch", "delete"}
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457): `type` ends with the slug, `detail` names the value and the way out",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [TYPE_PREFIX + slug for slug in SLUGS]},
        "title": {"type": "string"},
        "status": {"type": "integer", "enum": sorted({status for status, _ in SLUGS.values()})},
        "detail": {"type": "string"},
    },
}


class Documented(FastAPI):
    """The application whose `/openapi.json` says of every call how it may be refused."""

    def openapi(self) -> dict[str, Any]:
        """The document, written when it is first asked for."""
        is_first = self.openapi_schema is None
        document = super().openapi()
        if is_first:
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            # The framework's own words for what is not valid, which nobody here ever gets.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas["Problem"] = _PROBLEM
            for operations in document["paths"].values():
                for method in _METHODS & operations.keys():
                    operations[method]["responses"] |= _problems(method)
        return document


def _problems(method: str) -> dict[str, Any]:
    statuses = _OF_READING if method == "get" else (*_OF_READING, *_OF_CHANGING)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": _slugs_of(status), "content": content} for status in sorted(statuses)}


def _slugs_of(status: int) -> str:
    """`style_off, style_closed, forbidden`, of a status."""
    return ", ".join(slug for slug, (one, _) in SLUGS.items() if one == status)
