"""A place of fixed size for adapters, on the host or on a device: those that were used longest ago make room."""

from collections import OrderedDict
from weakref import WeakValueDictionary

from inference.adapters.flat import FlatAdapter
from inference.messages import Tier


class KeptAdapters:
    """Adapters by the hash of their file, within a budget of bytes. Not for several threads at once.

    What somebody wears is found as long as it is worn, also where others took its room: it is in memory anyway. The one
    that came last stays even if it alone is over the budget.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._kept: OrderedDict[str, FlatAdapter] = OrderedDict()
        self._there: WeakValueDictionary[str, FlatAdapter] = WeakValueDictionary()
        self._hits = self._misses = 0

    def find(self, sha256: str, *, is_needed: bool = True) -> FlatAdapter | None:
        """The adapter, which counts as used now; not `is_needed`: asked for ahead of its turn."""
        found = self._there.get(sha256)
        if found is not None:
            self._hits += is_needed
            self._keep(found)
        return found

    def put(self, adapter: FlatAdapter) -> None:
        """Keep an adapter that was brought, and let others go for it."""
        self._misses += 1
        self._there[adapter.sha256] = adapter
        self._keep(adapter)

    def drop(self, sha256: str) -> FlatAdapter | None:
        """Keep it no longer, and find it no longer: what was there, for whoever wipes it."""
        self._kept.pop(sha256, None)
        return self._there.pop(sha256, None)

    @property
    def num_bytes(self) -> int:
        return sum(adapter.num_bytes for adapter in self._kept.values())

    @property
    def tier(self) -> Tier:
        return Tier(hits=self._hits, misses=self._misses, num_bytes=self.num_bytes)

    def _keep(self, adapter: FlatAdapter) -> None:
        self._kept[adapter.sha256] = adapter
        self._kept.move_to_end(adapter.sha256)
        while len(self._kept) > 1 and self.num_bytes > self._budget_bytes:
            self._kept.popitem(last=False)
