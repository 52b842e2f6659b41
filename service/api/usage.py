"""`/v1/usage`: where a client stands."""

from typing import Any

from fastapi import APIRouter

from licensing.plans import Usage, usage
from service.api.licences import allowance_document
from service.api.shapes import money
from service.auth import ClientReading, Web

router = APIRouter(tags=["usage"])


@router.get("/usage")
async def get_usage(web: Web, asker: ClientReading) -> dict[str, Any]:
    """Units of running quotas used, held and left; prepaid money; caps of keys."""
    async with web.pool.acquire() as conn:
        found = await usage(conn, asker.account_id, web.clock(), currency=web.prices.currency)
    return usage_document(found)


def usage_document(found: Usage) -> dict[str, Any]:
    currency = found.prepaid.currency
    return {
        "used": found.used,
        "held": found.held,
        "left": found.left,
        "prepaid": money(found.prepaid),
        "prepaid_held": money(found.prepaid_held),
        "caps": [
            {
                "key": cap.key_id,
                "cap": {"amount": cap.cap, "currency": currency},
                "spent": {"amount": cap.spent, "currency": currency},
                "held": {"amount": cap.held, "currency": currency},
            }
            for cap in found.caps
        ],
        "allowances": [allowance_document(allowance) for allowance in found.allowances],
    }
