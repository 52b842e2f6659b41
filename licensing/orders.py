"""One metered order as data: what goes into the gateway's verbs and what comes out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from licensing.money import Money

Pay = Literal["free", "licence", "plan", "overage", "prepaid", "test"]
HoldState = Literal["open", "settled", "voided", "expired"]
EndReason = Literal["withdrawn", "canceled", "failed", "expired"]


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """An order as it reaches the gateway.

    `order_id` is made by the caller and names the order for ever. `request_hash` stands for the request's body: any
    text that is equal exactly when the bodies are (a SHA-256 in hex). `key_id` is None for an order from a signed-in
    page. `creator_id` must be the owner of `style_id`. `hold_s` is how long the hold lives without being renewed.
    `terms_read` is the version of the style's terms that the caller went by: under a later one it is not plain.
    """

    order_id: str
    client_id: str
    key_id: str | None
    idempotency_key: str | None
    request_hash: str
    style_id: str
    creator_id: str
    tier: str
    count: int
    hold_s: int
    test: bool = False
    terms_read: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What is set aside for an order, and how it ended.

    `amount` is the money held, with its tax: prepaid, or on account where `pay` is overage (0 where a quota or a test
    key pays); `units` the pictures held from a quota (0 where money pays). `fence` counts the attempts begun; `running`
    says that one is under way. After the end: `made` pictures, `charged` money and `charged_units`, and `reason` where
    nothing was delivered."""

    order_id: str
    client_id: str
    key_id: str | None
    creator_id: str
    style_id: str
    tier: str
    terms_version: int
    count: int
    test: bool
    pay: Pay
    amount: Money
    units: int
    fence: int
    running: bool
    state: HoldState
    reason: EndReason | None
    cancel_requested: bool
    lease_until: datetime
    created_at: datetime
    ended_at: datetime | None
    made: int
    charged: Money
    charged_units: int


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The same request came before under the same idempotency key: `hold` is the first one's."""

    hold: Hold


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What an order would cost now. `pay` says from what, None if the client has nothing that covers it.

    `amount` is the money that would be taken (0 where a quota pays), of which `tax` is tax at `tax_bps` hundredths of a
    percent; `units` the pictures metered.
    """

    amount: Money
    tax: Money
    tax_bps: int
    units: int
    pay: Pay | None
    terms_version: int


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether work on an order may go on; if not, `reason` is withdrawn, canceled, failed, expired, settled, paused or
    unknown."""

    go: bool
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Made:
    """One sealed picture. `sha256` is of the sealed bytes in hex, `phash` from `fingerprint`, `certificate` its JWS."""

    output_id: str
    sha256: str
    phash: str
    certificate: str


@dataclass(frozen=True, kw_only=True)
class Settle:
    """What an attempt made of an order, to be paid."""

    order_id: str
    fence: int
    made: tuple[Made, ...]


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An order that was paid: `share` went to the creator, `fee` to the operator, `tax` is to be passed on. `repeated`
    if it was settled before.

    Where a quota paid, `amount` and `tax` are 0; `share` and `fee` come out of the money the quota was bought with.
    """

    order_id: str
    made: int
    amount: Money
    units: int
    share: Money
    fee: Money
    tax: Money
    repeated: bool


@dataclass(frozen=True, kw_only=True)
class Voided:
    """An order that ended without a charge: this money and these units are free again."""

    order_id: str
    reason: EndReason
    amount: Money
    units: int


@dataclass(frozen=True, kw_only=True)
class AlreadyEnded:
    """The order had ended before; nothing was changed."""

    order_id: str
    state: HoldState
    reason: EndReason | None


@dataclass(frozen=True, kw_only=True)
class CancelRequested:
    """The client wants to stop: the order cannot be settled any more. `running`: an attempt is under way."""

    order_id: str
    running: bool
