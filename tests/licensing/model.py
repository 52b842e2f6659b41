"""The gateway in two hundred lines of Python: a style, a few clients, no database. The real one is held against it."""

import calendar
from dataclasses import dataclass, field
from datetime import datetime, timedelta

PRICE, SHARE = 60, 51
UNIT, UNIT_SHARE = 49, 42
HOLD, PAUSE = timedelta(seconds=900), timedelta(hours=24)
STRICTNESS = ["live", "closed", "paused", "off"]


@dataclass
class Key:
    """`left` is what its cap leaves to spend."""

    client: str
    left: int
    ends: datetime | None = None
    revoked: bool = False

    def opens(self, now: datetime) -> bool:
        return not self.revoked and (self.ends is None or self.ends > now)


@dataclass
class Plan:
    name: str
    units: int
    left: int
    anchor: datetime
    period: int = 0
    renews: bool = True

    @property
    def ends(self) -> datetime:
        return months_later(self.anchor, self.period + 1)


@dataclass
class Order:
    client: str
    count: int
    pay: str
    deadline: datetime
    key: str | None = None
    body: str = "body"
    plan: Plan | None = None
    fence: int = 0
    running: bool = False
    paused: bool = False
    canceled: bool = False
    state: str = "open"
    reason: str | None = None
    made: int = 0


@dataclass
class Model:
    now: datetime
    free: dict[str, int] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=lambda: {"": "live"})
    known: set[str] = field(default_factory=set)
    orders: dict[str, Order] = field(default_factory=dict)
    earned: int = 0

    def level(self, client: str) -> str:
        return max((self.levels[""], self.levels.get(client, "live")), key=STRICTNESS.index)

    def reserve(self, order_id: str, client: str, count: int, key_id: str | None, body: str) -> str:
        key, plan, level = self.keys[key_id] if key_id else None, self.plans.get(client), self.level(client)
        if key and not key.opens(self.now):
            return "unauthenticated"
        if level in ("paused", "off") or (level == "closed" and client not in self.known):
            return f"style_{level}"
        order = Order(client, count, "prepaid", self.now + HOLD, key_id, body)
        if plan and plan.left >= count:
            order.pay, order.plan = "plan", plan
        elif self.free[client] < PRICE * count:
            return "quota_exceeded" if plan else "payment_required"
        elif key and key.left < PRICE * count:
            return "spend_cap_reached"
        self.give_back(order, -count)
        self.orders[order_id] = order
        return "held"

    def replay(self, order_id: str, body: str) -> str:
        order = self.orders[order_id]
        if order.key and not self.keys[order.key].opens(self.now):
            return "unauthenticated"
        return "replayed" if body == order.body else "idempotency_mismatch"

    def rotate(self, key_id: str, new_id: str, overlap: timedelta) -> bool:
        """A key in another's place, which gets what is left of the cap."""
        old = self.keys[key_id]
        if not old.opens(self.now):
            return False
        self.keys[new_id] = Key(old.client, old.left, old.ends)
        old.left, old.ends = 0, min(old.ends or self.now + overlap, self.now + overlap)
        return True

    def subscribe(self, client: str, name: str, units: int) -> str:
        plan = self.plans.get(client)
        if plan and plan.name != name:
            return "conflict"
        if plan:
            plan.renews = True
        elif self.free[client] < UNIT * units:
            return "payment_required"
        else:
            self.free[client] -= UNIT * units
            self.plans[client] = Plan(name, units, units, self.now)
        return "subscribed"

    def roll_over(self) -> None:
        """End the periods that are over, and begin the next ones where there is money for them."""
        for client, old in list(self.plans.items()):
            plan = old
            while self.plans.get(client) is plan and plan.ends <= self.now:
                del self.plans[client]
                if plan.renews and self.free[client] >= UNIT * plan.units:
                    self.free[client] -= UNIT * plan.units
                    is_late = months_later(plan.anchor, plan.period + 2) <= self.now
                    anchor, period = (self.now, 0) if is_late else (plan.anchor, plan.period + 1)
                    plan = self.plans[client] = Plan(plan.name, plan.units, plan.units, anchor, period)

    def begin(self, order_id: str) -> str:
        order = self.orders[order_id]
        if order.state != "open" or order.canceled:
            return self.over(order)
        if self.level(order.client) == "paused" and not order.running:
            return "style_paused"
        order.fence, order.running, order.paused, order.deadline = order.fence + 1, True, False, self.now + HOLD
        return "held"

    def requeue(self, order_id: str) -> str:
        order = self.orders[order_id]
        if order.state != "open":
            return self.over(order)
        order.running, order.paused = False, self.level(order.client) == "paused"
        order.deadline = self.now + (PAUSE if order.paused else HOLD)
        return "held"

    def settle(self, order_id: str, made: int) -> str:
        order = self.orders[order_id]
        if order.state != "open" or order.canceled:
            return self.over(order)
        if order.fence == 0:
            return "conflict"
        if not 1 <= made <= order.count:
            return "invalid_request"
        if self.level(order.client) == "paused" and not order.running:
            return "style_paused"
        self.give_back(order, order.count - made)
        order.state, order.made, order.running = "settled", made, False
        self.earned += made * (UNIT_SHARE if order.pay == "plan" else SHARE)
        self.known.add(order.client)
        return "settled"

    def end(self, order_id: str, reason: str) -> str:
        order = self.orders[order_id]
        if order.state != "open":
            return "ended"
        self.give_back(order, order.count)
        order.state, order.reason, order.running = "expired" if reason == "expired" else "voided", reason, False
        return "voided"

    def expire(self) -> set[str]:
        due = {name for name, order in self.orders.items() if order.state == "open" and order.deadline <= self.now}
        for order_id in due:
            self.end(order_id, "expired")
        return due

    def renew(self, order_ids: list[str]) -> set[str]:
        renewed = {order_id for order_id in order_ids if self.orders[order_id].state == "open"}
        for order_id in renewed:
            order = self.orders[order_id]
            order.deadline = order.deadline if order.paused else max(order.deadline, self.now + HOLD)
        return renewed

    def switch(self, client: str, level: str) -> tuple[int, int]:
        """Set a level; how many running and how many orders in all it ended."""
        if self.levels.get(client, "live") == level:
            return 0, 0
        self.levels[client] = level
        reached = [
            name for name, order in self.orders.items() if order.state == "open" and client in ("", order.client)
        ]
        if level == "off":
            stopped = sum(self.orders[name].running for name in reached)
            for name in reached:
                self.end(name, "withdrawn")
            return stopped, len(reached)
        for order in (self.orders[name] for name in reached):
            paused = self.level(order.client) == "paused"
            if not order.running and paused != order.paused:
                order.paused, order.deadline = paused, self.now + (PAUSE if paused else HOLD)
        return 0, 0

    def give_back(self, order: Order, count: int) -> None:
        if order.plan:
            order.plan.left += count
        else:
            self.free[order.client] += PRICE * count
            if order.key:
                self.keys[order.key].left += PRICE * count

    def over(self, order: Order) -> str:
        return "style_off" if order.reason == "withdrawn" else "conflict"


def months_later(anchor: datetime, months: int) -> datetime:
    """The same day of a later month, or its last."""
    year, month = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + year, month + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))
