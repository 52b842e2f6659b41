"""Answers of the calls that a client's program makes first, as the reference shows them. A test holds their members
against what is really answered."""

from typing import Any

_MONEY = {"amount": 60, "currency": "EUR"}
_GENERATION: dict[str, Any] = {
    "id": "gen_…",
    "state": "settled",
    "message": None,
    "refused": [],
    "style": "sty_…",
    "version": "ver_…",
    "prompt": "a lighthouse",
    "prompt_kept_until": "2026-12-29T12:00:09Z",
    "seed": 1234,
    "count": 1,
    "size": [512, 512],
    "steps": None,
    "guidance": None,
    "strength": None,
    "image": None,
    "mask": None,
    "start": None,
    "tier": "personal",
    "test": False,
    "ownership_terms": 1,
    "by": None,
    "amount": _MONEY,
    "approval": None,
    "eta_s": None,
    "progress": {"step": 20, "steps": 20},
    "outputs": [{"id": "out_…", "width": 512, "height": 512}],
    "created_at": "2026-11-29T12:00:00Z",
    "started_at": "2026-11-29T12:00:01Z",
    "ended_at": "2026-11-29T12:00:09Z",
}
ANSWERS: dict[str, dict[str, Any]] = {
    "POST /v1/generations": _GENERATION,
    "GET /v1/generations/{generation_id}": _GENERATION,
    "POST /v1/images": {
        "id": "img_…",
        "mime": "image/png",
        "width": 640,
        "height": 480,
        "bytes": 41_233,
        "created_at": "2026-11-29T12:00:00Z",
        "kept_until": "2026-12-29T12:00:00Z",
    },
}
