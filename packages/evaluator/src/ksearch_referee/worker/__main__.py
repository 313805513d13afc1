"""Entry of a worker: `python -I -m ksearch_referee.worker <channel fd> <arena fd> <framework>`.

Answers frames until it is killed. Every request carries a nonce that its answer must echo. What a kernel raises is an
answer too.
"""

import ctypes
import gc
import importlib
import mmap
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ksearch_referee.frames import ChannelClosed, Frame, FrameReader, send_frame
from ksearch_referee.layout import Slot
from ksearch_referee.worker import sandbox
from ksearch_referee.worker.arrays import arrays_of
from ksearch_referee.worker.binding import Arguments, Binding, DestinationCall, PreparedCall

_MAX_TRACEBACK_CHARS = 4_000


def _slot(entry: Frame) -> Slot:
    order = entry["order"]
    return Slot(
        entry["name"], entry["dtype"], tuple(entry["shape"]), entry["offset"], None if order is None else tuple(order)
    )


def _load_binding(frame: Frame) -> Binding:
    """Import the binding named in a load frame and let it load."""
    module = importlib.import_module(f"ksearch_referee.worker.{frame['binding']}_binding")
    load: Callable[[Frame], Binding] = module.load
    return load(frame)


def _idle(duration_ns: int, tensors: Sequence[np.ndarray]) -> None:
    """In place of a kernel: read and write all bytes of all tensors, again and again until `duration_ns` are over."""
    give_up_at = time.perf_counter_ns() + duration_ns
    while True:
        for tensor in tensors:
            np.invert(tensor, out=tensor)
        if time.perf_counter_ns() >= give_up_at:
            return


class Worker:
    """One kernel and its arena."""

    def __init__(self, arena_fd: int) -> None:
        self._arena_fd = arena_fd
        self._arena = np.empty(0, dtype=np.uint8)
        self._libc = ctypes.CDLL(None)
        self._binding: Binding | None = None
        self._call: PreparedCall | None = None
        self._result: Any = None

    def map(self, _frame: Frame) -> Frame:
        """Map the arena, which has its size by now."""
        shared = mmap.mmap(self._arena_fd, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._arena = np.frombuffer(shared, dtype=np.uint8)
        return {}

    def _bytes_of(self, slot: Slot) -> np.ndarray:
        return self._arena[slot.offset : slot.offset + slot.nbytes]

    def _tensor_of(self, slot: Slot) -> np.ndarray:
        return slot.over(self._bytes_of(slot))

    def _arguments(self, frame: Frame) -> Arguments:
        outputs = [_slot(entry) for entry in frame.get("outputs", ())]
        return Arguments(
            inputs=[e["value"] if "value" in e else self._tensor_of(_slot(e)) for e in frame.get("inputs", ())],
            arguments=frame.get("arguments", {"list": []}),
            outputs=[slot.name for slot in outputs],
            results=frame.get("results"),
            buffers=[self._tensor_of(slot) for slot in outputs],
            axes=frame.get("axes", ()),
            changeable=frame.get("changeable", ()),
        )

    def load(self, frame: Frame) -> Frame:
        """Load the kernel. From here on this process is not trusted."""
        self._binding = _load_binding(frame)
        gc.collect()
        gc.freeze()
        return {}

    def prepare(self, frame: Frame) -> Frame:
        """Bind the arguments of the next call to their places in the arena, which hold nothing of it yet."""
        if self._binding is None:
            raise RuntimeError("nothing is loaded")
        self._call = self._result = None
        if frame["idleNs"] is None:
            self._call = self._binding.prepare(self._arguments(frame))
        else:
            entries = [entry for entry in [*frame["inputs"], *frame["outputs"]] if "value" not in entry]
            tensors = [self._bytes_of(_slot(entry)) for entry in entries]
            self._call = DestinationCall(partial(_idle, frame["idleNs"], tensors))
        return self.flush_logs(frame)

    def ask(self, frame: Frame) -> Frame:
        """Put the question `what` to the binding."""
        if self._binding is None:
            raise RuntimeError("nothing is loaded")
        self._call = self._result = None
        return self._binding.answers[frame["what"]](self._arguments(frame), frame)

    def go(self, _frame: Frame, clock: Callable[[], int] = time.perf_counter_ns) -> Frame:
        """Call the kernel once between two readings of a clock that was bound before the kernel was loaded."""
        call = self._call
        if call is None:
            raise RuntimeError("nothing is prepared")
        invoke = call.invoke
        gc.disable()
        started = clock()
        self._result = invoke()
        ended = clock()
        gc.enable()
        return {"ns": ended - started}

    def collect(self, _frame: Frame) -> Frame:
        """Say where what the kernel returned lies."""
        call, result = self._call, self._result
        if call is None or call.collect is None:
            raise RuntimeError("there is nothing to collect")
        self._result = None
        return {"outputs": call.collect(result)}

    def flush_logs(self, _frame: Frame) -> Frame:
        """Write out what C code printed, before the driver reads it or kills this process."""
        self._libc.fflush(None)
        return {}


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
    arrays_of(sys.argv[3])  # torch takes a second to import: while the driver and other workers do something else
    worker = Worker(int(sys.argv[2]))
    reader = FrameReader(channel)
    operations: dict[str, Callable[[Frame], Frame]] = {
        "hello": lambda _frame: {"isolation": measures},
        "map": worker.map,
        "load": worker.load,
        "prepare": worker.prepare,
        "go": worker.go,
        "collect": worker.collect,
        "ask": worker.ask,
        "flush-logs": worker.flush_logs,
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
