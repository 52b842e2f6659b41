"""Adapters on their way from a file to the rows that wear them: read aside, kept on the host and on the device.

One thread reads, so nobody who draws waits for a file. What was read stays on the host within a budget of bytes, and
what is worn goes to the device, where another budget holds. On a CPU host and device are one memory, and so one place.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from inference.adapters.flat import FlatAdapter
from inference.adapters.kept import KeptAdapters
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import Adapter, StackedAdapters
from inference.bases import Base
from inference.errors import AdapterRefused, let_go
from inference.messages import AdapterRef, Tier

HOST_BYTES = 512 * 1024 * 1024
DEVICE_BYTES = 1024 * 1024 * 1024
AHEAD = 8
"""Adapters that may be on their way when another is asked for ahead of its turn: one more is left for its turn."""

AdapterLoad = Future[FlatAdapter]
"""An adapter on its way, or there; it fails with AdapterRefused."""


class AdapterCache:
    """The adapters of one open base. Any thread may call it, but `on_device` and `wipe_forgotten`, which belong to the
    one that draws."""

    def __init__(
        self,
        base: Base,
        stack: StackedAdapters,
        *,
        host_bytes: int = HOST_BYTES,
        device_bytes: int = DEVICE_BYTES,
        on_arrival: Callable[[], None] = lambda: None,
    ) -> None:
        """`stack` is laid over the denoiser of `base`. on_arrival: called in the reading thread when a load has ended,
        well or not."""
        self._reader = AdapterReader(base, stack)
        self._device, self._dtype = base.device, next(stack.model.parameters()).dtype
        self._host = KeptAdapters(host_bytes)
        self._slots = self._host if base.device.type == "cpu" else KeptAdapters(device_bytes)
        self._on_arrival = on_arrival
        self._loading: dict[str, AdapterLoad] = {}
        """By hash. Who forgets an adapter takes its load off this list: whenever that comes then, it comes late."""
        self._forgotten: list[FlatAdapter] = []
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="adapters")

    def want(self, ref: AdapterRef) -> AdapterLoad:
        """The adapter of `ref`, from memory or begun to be read now. Who holds the load holds the adapter: until then
        others may take its room."""
        return self._want(ref, is_needed=True)

    def prefetch(self, ref: AdapterRef) -> None:
        """Begin to read an adapter that will be wanted soon, unless many are on their way already."""
        if len(self._loading) < AHEAD:
            self._want(ref, is_needed=False)

    def on_device(self, flat: FlatAdapter) -> FlatAdapter:
        """An adapter that was loaded, where rows can wear it; there as long as somebody holds it."""
        if self._slots is self._host:
            return flat
        with self._lock:
            slot = self._slots.find(flat.sha256)
            if slot is None:
                slot = flat.to(self._device, self._dtype)
                self._slots.put(slot)
            return slot

    def open(self, ref: AdapterRef) -> Adapter:
        """The adapter of `ref`, ready to be worn, waited for. Raises AdapterRefused."""
        return self.on_device(self.want(ref).result()).adapter

    def forget(self, sha256: str) -> None:
        """Keep an adapter that may no longer be used no longer, and refuse what is on its way since before this.

        Its numbers lie in memory until `wipe_forgotten`.
        """
        with self._lock:
            self._loading.pop(sha256, None)
            places = (self._host,) if self._slots is self._host else (self._host, self._slots)
            self._forgotten += [found for place in places if (found := place.drop(sha256)) is not None]

    def wipe_forgotten(self) -> None:
        """Overwrite the numbers of what was forgotten: not while somebody computes with them."""
        with self._lock:
            forgotten, self._forgotten = self._forgotten, []
        for flat in forgotten:
            flat.wipe()

    def tiers(self) -> dict[str, Tier]:
        """How each place did."""
        with self._lock:
            return {"host": self._host.tier} | ({} if self._slots is self._host else {"device": self._slots.tier})

    def close(self) -> None:
        """Read nothing more. What is being read ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _want(self, ref: AdapterRef, *, is_needed: bool) -> AdapterLoad:
        with self._lock:
            if ref.sha256 in self._loading:
                return self._loading[ref.sha256]
            load: AdapterLoad = Future()
            found = self._host.find(ref.sha256, is_needed=is_needed)
            if found is not None:
                load.set_result(found)
            else:
                self._loading[ref.sha256] = load
                self._thread.submit(self._read, ref, load)
            return load

    def _read(self, ref: AdapterRef, load: AdapterLoad) -> None:
        try:
            flat = self._reader.read(ref)
        except Exception as error:  # noqa: BLE001 - it ends those who wait for this adapter, not the thread
            with self._lock:
                if self._loading.get(ref.sha256) is load:
                    del self._loading[ref.sha256]
            let_go(error)
            load.set_exception(error)
        else:
            self._arrive(flat, load)
        self._on_arrival()

    def _arrive(self, flat: FlatAdapter, load: AdapterLoad) -> None:
        with self._lock:
            is_late = self._loading.get(flat.sha256) is not load
            if not is_late:
                del self._loading[flat.sha256]
                self._host.put(flat)
        if is_late:
            flat.wipe()
            load.set_exception(
                AdapterRefused(
                    f"the adapter {flat.sha256[:12]}... was switched off while it was read; nothing of it is kept"
                )
            )
        else:
            load.set_result(flat)
