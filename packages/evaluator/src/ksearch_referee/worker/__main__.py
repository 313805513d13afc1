"""Entry of a worker: `python -I -m ksearch_referee.worker <channel fd> <arena fd>`. Answers frames until it is killed.

Every request carries a nonce that its answer must echo. What a kernel raises is an answer too.
"""

import ctypes
import gc
import importlib
import mmap
import socket
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.frames import ChannelClosed, Frame, FrameReader, send_frame
from ksearch_referee.problem import Slot
from ksearch_referee.worker import sandbox
from ksearch_referee.worker.binding import Binding, PreparedCall

_ALIGNMENT_BYTES = 256
_MAX_TRACEBACK_CHARS = 4_000


def _private_copy(source: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy bytes into fresh memory of our own, aligned to 256 bytes."""
    raw = np.empty(source.nbytes + _ALIGNMENT_BYTES, dtype=np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT_BYTES
    copy = raw[start : start + source.nbytes]
    copy[:] = source
    return copy


def _load_binding(frame: Frame) -> Binding:
    """Import the binding named in a load frame; only a torch binding imports torch."""
    module = importlib.import_module(f"ksearch_referee.worker.{frame['binding']}_binding")
    load: Callable[[Frame], Binding] = module.load
    return load(frame)


class Worker:
    """One kernel, its arena and the buffer that flushes the caches."""

    def __init__(self, arena_fd: int) -> None:
        self._arena = np.frombuffer(mmap.mmap(arena_fd, 0), dtype=np.uint8)
        self._libc = ctypes.CDLL(None)
        self._binding: Binding | None = None
        self._flush = np.zeros(0, dtype=np.uint64)
        self._inputs: list[tuple[Slot, NDArray[np.uint8]]] = []
        self._call: PreparedCall | None = None

    def _bytes_of(self, slot: Slot) -> NDArray[np.uint8]:
        return self._arena[slot.offset : slot.offset + slot.nbytes]

    def load(self, frame: Frame) -> Frame:
        """Load the kernel. From here on this process is not trusted."""
        self._flush = np.zeros(frame["flushBytes"] // 8, dtype=np.uint64)
        self._binding = _load_binding(frame)
        gc.collect()
        gc.freeze()
        return {}

    def prepare(self, frame: Frame) -> Frame:
        """Copy the arguments out of the arena into new buffers, then flush the caches if told to."""
        if self._binding is None:
            raise RuntimeError("nothing is loaded")
        self._call = None
        self._inputs = []
        arguments: list[np.ndarray | float] = []
        for entry in frame["inputs"]:
            if "value" in entry:
                arguments.append(entry["value"])
                continue
            slot = Slot(entry["name"], entry["dtype"], tuple(entry["shape"]), entry["offset"])
            private = _private_copy(self._bytes_of(slot))
            self._inputs.append((slot, private))
            arguments.append(private.view(slot.dtype).reshape(slot.shape))
        outputs = [Slot(e["name"], e["dtype"], tuple(e["shape"]), e["offset"]) for e in frame["outputs"]]
        buffers = [_private_copy(self._bytes_of(slot)).view(slot.dtype).reshape(slot.shape) for slot in outputs]
        self._call = self._binding.prepare(arguments, outputs, buffers, frame["axes"])
        if frame["flush"]:
            np.add(self._flush, 1, out=self._flush)
        return {}

    def go(self, _frame: Frame, clock: Callable[[], int] = time.perf_counter_ns) -> Frame:
        """Call the kernel once between two readings of a clock that was bound before the kernel was loaded."""
        call = self._call
        if call is None:
            raise RuntimeError("nothing is prepared")
        invoke = call.invoke
        gc.disable()
        started = clock()
        result = invoke()
        ended = clock()
        gc.enable()
        self._libc.fflush(None)  # what it printed is on file before the driver may kill this process
        declared = call.collect(result, self._bytes_of)
        for slot, private in self._inputs:
            self._bytes_of(slot)[:] = private
        return {"ns": ended - started, "outputs": declared}


def _error_of(error: BaseException) -> Frame:
    lines = traceback.format_exception(error)
    return {
        "type": type(error).__name__,
        "message": str(error)[:1_000],
        "traceback": "".join(lines)[-_MAX_TRACEBACK_CHARS:],
    }


def main() -> None:
    """Answer frames until the driver goes away."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    measures = sandbox.enter()
    worker = Worker(int(sys.argv[2]))
    reader = FrameReader(channel)
    operations: dict[str, Callable[[Frame], Frame]] = {
        "hello": lambda _frame: {"isolation": measures},
        "load": worker.load,
        "prepare": worker.prepare,
        "go": worker.go,
    }
    while True:
        try:
            frame = reader.read()
        except ChannelClosed:
            return
        try:
            answer = operations[frame["op"]](frame)
        except BaseException as error:  # noqa: BLE001 - whatever a kernel raises, SystemExit too, is an answer
            answer = {"error": _error_of(error)}
        send_frame(channel, {"nonce": frame["nonce"], **answer})


if __name__ == "__main__":
    main()
