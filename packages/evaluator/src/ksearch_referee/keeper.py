"""The driver's handle on the keeper: the worker in whose memory of the GPU the tensors of calls stay.

On a GPU a call's inputs and outputs do not pass through the driver. They are made in the keeper, or brought to it once,
and every kernel gets a parcel with copies of them, as late as with *go*: until then they lie where no other process can
reach them. What a kernel hands over is copied out of its parcel and compared by the keeper (`worker/keeper.py`). Where
the host lets no process open another's memory of the GPU (`shares` is False), parcels travel through the arenas.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np

from ksearch_referee.arena import poison
from ksearch_referee.compare import Comparison
from ksearch_referee.failures import InfraError, KernelFailure
from ksearch_referee.frames import Frame
from ksearch_referee.layout import Layout, Slot, Value
from ksearch_referee.runner import Runner
from ksearch_referee.wire import CorrectnessSettings

_LIMIT_S = 120.0
_TRIED_BYTES = 256


class Held(Mapping[str, Any]):
    """Values by name whose tensors a keeper has. To read one here copies it out of the GPU, unless the driver has it.

    Args:
        keeper: see there.
        key: by which the keeper knows them.
        slots: the tensors.
        known: what the driver has of them, and values that are no tensors.
    """

    def __init__(self, keeper: "Keeper", key: int, slots: Sequence[Slot], known: Mapping[str, Value]) -> None:
        self.keeper = keeper
        self.key = key
        self._slots = {slot.name: slot for slot in slots}
        self._known = dict(known)
        self._names = [*self._slots, *(name for name in known if name not in self._slots)]

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self.keeper.read(self.key, self._slots[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __del__(self) -> None:
        self.keeper.forget(self.key)


class Keeper:
    """See above.

    Args:
        runner: the worker.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.shares = False
        self._keys = count()
        self._forgotten: list[int] = []

    def _exchange(self, operation: str, **fields: Any) -> Frame:
        """Ask for one operation.

        Raises:
            InfraError: it fails: there is no kernel in it that could be at fault.
        """
        forgotten, self._forgotten = self._forgotten, []
        try:
            self.runner.allowance_s = _LIMIT_S
            if forgotten:
                self.runner.exchange("forget", keys=forgotten)
            return self.runner.exchange(operation, **fields).frame
        except KernelFailure as failure:
            what = f"keeping tensors on the GPU failed: {failure.message}\n{failure.detail}"
            raise InfraError(what.strip()) from None

    def forget(self, key: int) -> None:
        """Let go of a set, when the keeper is next asked for something."""
        self._forgotten.append(key)

    def try_sharing(self, other: Runner) -> None:
        """Find out whether a worker of this host can open a parcel; `other` holds no kernel yet."""
        slot = Slot("tried", "uint8", (_TRIED_BYTES,), 0)
        key = next(self._keys)
        self._exchange("upload", key=key, slots=[])
        lent = self._exchange("lend", key=key, to="trial", nbytes=_TRIED_BYTES, outputs=[slot.entry()], poison=["ff"])
        self.forget(key)
        with suppress(KernelFailure):
            other.exchange("open", parcel=lent["parcel"])
            self.shares = True

    def upload(self, slots: Sequence[Slot], values: Mapping[str, Value]) -> Held:
        """Bring the driver's values to the GPU; it keeps them as well."""
        for slot in slots:
            self.runner.arena.bytes_of(slot)[:] = slot.raw(np.asarray(values[slot.name]))
        key = next(self._keys)
        self._exchange("upload", key=key, slots=[slot.entry() for slot in slots])
        return Held(self, key, slots, values)

    def hold(self, layout: Layout, plain: Mapping[str, Value]) -> Held:
        """Keep what the problem's code has just made in the keeper; `plain` are the inputs that are no tensors."""
        key = next(self._keys)
        self._exchange("hold", key=key, slots=[slot.entry() for slot in layout.tensors])
        return Held(self, key, layout.tensors, plain)

    def read(self, key: int, slot: Slot) -> np.ndarray:
        """Copy one tensor out of the GPU."""
        self._exchange("download", key=key, names=[slot.name])
        return self.runner.arena.read(slot)

    def lend(self, borrower: Runner, layout: Layout, inputs: Held, rng: np.random.Generator) -> Frame:
        """Make a parcel for a stopped worker; return what is to be told with *go*.

        Its arena has been laid, if that is the parcel.
        """
        if self.shares:
            lent = self._exchange(
                "lend",
                key=inputs.key,
                to=borrower.role,
                nbytes=layout.nbytes,
                outputs=[slot.entry() for slot in layout.outputs],
                poison=[poison(slot, rng).tobytes().hex() for slot in layout.outputs],
            )
            return {"parcel": lent["parcel"]}
        self._exchange("download", key=inputs.key, names=None)
        for slot in layout.tensors:
            borrower.arena.bytes_of(slot)[:] = self.runner.arena.bytes_of(slot)
        return {}

    def take(self, borrower: Runner, slots: Sequence[Slot]) -> Held:
        """Take the outputs out of a worker's parcel, lying as `slots` say."""
        key, entries = next(self._keys), [slot.entry() for slot in slots]
        if self.shares:
            self._exchange("take", key=key, slots=entries, **{"from": borrower.role})
        else:
            for slot in slots:
                self.runner.arena.bytes_of(slot)[:] = borrower.arena.bytes_of(slot)
            self._exchange("upload", key=key, slots=entries)
        return Held(self, key, slots, {})

    def compare(self, got: Held, want: Held, settings: CorrectnessSettings) -> Comparison:
        """Compare outputs."""
        answer = self._exchange("compare", got=got.key, want=want.key, settings=settings)
        return Comparison(**answer["comparison"])
