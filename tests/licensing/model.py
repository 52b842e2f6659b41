"""The gateway in a hundred lines of Python: one style, a few clients, no database. The real one is held against it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

PRICE, SHARE = 60, 51
UNIT, UNIT_SHARE = 49, 42
HOLD, PAUSE = timedelta(seconds=900), timedelta(hours=24)
STRICTNESS = ["live", "closed", "paused", "off"]


@dataclass
class Order:
    client: str
    count: int
    pay: str
    deadline: datetime
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
    units: dict[str, int] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=lambda: {"": "live"})
    known: set[str] = field(default_factory=set)
    orders: dict[str, Order] = field(default_factory=dict)
    earned: int = 0

    def level(self, client: str) -> str:
        return max((self.levels[""], self.levels.get(client, "live")), key=STRICTNESS.index)

    def reserve(self, order_id: str, client: str, count: int) -> str:
        level = self.level(client)
        if level in ("paused", "off") or (level == "closed" and client not in self.known):
            return f"style_{level}"
        if self.units.get(client, 0) >= count:
            self.units[client] -= count
            pay = "plan"
        elif self.free[client] >= PRICE * count:
            self.free[client] -= PRICE * count
            pay = "prepaid"
        else:
            return "quota_exceeded" if client in self.units else "payment_required"
        self.orders[order_id] = Order(client, count, pay, self.now + HOLD)
        return "held"

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
        if order.pay == "plan":
            self.units[order.client] += count
        else:
            self.free[order.client] += PRICE * count

    def over(self, order: Order) -> str:
        return "style_off" if order.reason == "withdrawn" else "conflict"
