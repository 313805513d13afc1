"""Entry of a worker: `python -I -m ksearch_referee.worker <channel fd> <arena fd> <what it is, as JSON>`.

Answers frames until it is killed. Every request carries a nonce that its answer must echo. What a kernel raises is an
answer too.
"""

import ctypes
import gc
import importlib
import json
import mmap
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ksearch_referee.frames import ChannelClosed, Frame, FrameReader, send_frame
from ksearch_referee.layout import Slot, slot_of
from ksearch_referee.worker import sandbox
from ksearch_referee.worker.arrays import arrays_of
from ksearch_referee.worker.binding import Arguments, Binding, DestinationCall, PreparedCall
from ksearch_referee.worker.containers import ContainerCode
from ksearch_referee.worker.landlock import Files
from ksearch_referee.worker.memory import ArenaMemory, Memory
from ksearch_referee.worker.problem_code import ProblemCode

if TYPE_CHECKING:
    from ksearch_referee.worker.cuda_memory import CudaMemory
    from ksearch_referee.worker.keeper import Keeper

_MAX_TRACEBACK_CHARS = 4_000


def _load_binding(frame: Frame) -> Binding:
    """Import the binding named in a load frame and let it load."""
    module = importlib.import_module(f"ksearch_referee.worker.{frame['binding']}_binding")
    load: Callable[[Frame], Binding] = module.load
    return load(frame)


def _arguments(frame: Frame, tensors: Sequence[Any], buffers: Sequence[Any]) -> Arguments:
    bound, entries = iter(tensors), frame.get("inputs", ())
    return Arguments(
        inputs=[entry["value"] if "value" in entry else next(bound) for entry in entries],
        arguments=frame.get("arguments", {"list": []}),
        outputs=[entry["name"] for entry in frame.get("outputs", ())],
        results=frame.get("results"),
        buffers=buffers,
        axes=frame.get("axes", ()),
        changeable=frame.get("changeable", ()),
    )


class Worker:
    """One kernel and its arena.

    Args:
        arena_fd: descriptor of the arena.
        device: memory of the GPU, if this worker has one.
        keeper: what keeps tensors there, if this worker is the one that does.
        framework: whose tensors the kernel takes; see `worker_environment.Framework`.
    """

    def __init__(self, arena_fd: int, device: "CudaMemory | None", keeper: "Keeper | None", framework: str) -> None:
        self._arena_fd = arena_fd
        self._arena = ArenaMemory(device.settle if device is not None else None)
        self._device = device
        self._keeper = keeper
        self._kernel_memory = device if device is not None and framework == "cuda" else self._arena
        self._libc = ctypes.CDLL(None)
        self._binding: Binding | None = None
        self._memory: Memory = self._arena
        self._flush = False
        self._clock = "host"
        self._call: PreparedCall | None = None
        self._result: Any = None
        self._outputs: list[Slot] = []

    @property
    def keeping(self) -> Mapping[str, Callable[[Frame], Frame]]:
        """The operations of a keeper."""
        return {} if self._keeper is None else self._keeper.operations

    def map(self, _frame: Frame) -> Frame:
        """Map the arena, which has its size by now."""
        shared = mmap.mmap(self._arena_fd, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        for memory in filter(None, (self._arena, self._keeper or self._device)):
            memory.map(np.frombuffer(shared, dtype=np.uint8))
        return {}

    def _bind(self, frame: Frame, memory: Memory, *, outputs: bool) -> Arguments:
        slots = [slot_of(entry) for entry in frame.get("inputs", ()) if "value" not in entry]
        self._outputs = [slot_of(entry) for entry in frame.get("outputs", ())]
        return _arguments(frame, *memory.bind(slots, self._outputs if outputs else []))

    def load(self, frame: Frame) -> Frame:
        """Load the kernel. From here on this process is not trusted."""
        self._binding = _load_binding(frame)
        gc.collect()
        gc.freeze()
        return {}

    def prepare(self, frame: Frame) -> Frame:
        """Bind the arguments of the next call to their places in memory, which hold nothing of it yet."""
        if self._binding is None:
            raise RuntimeError("nothing is loaded")
        self._call = self._result = None
        self._flush = frame["flush"]
        self._clock = frame["clock"]
        if frame["idleNs"] is None:
            self._memory = self._kernel_memory
            self._call = self._binding.prepare(self._bind(frame, self._memory, outputs=self._binding.fills))
        else:
            on_host = isinstance(self._binding, ContainerCode)
            self._memory = self._arena if on_host else self._device or self._arena
            self._bind(frame, self._memory, outputs=True)
            self._call = DestinationCall(partial(self._memory.touch, frame["idleNs"]))
        self.flush_logs(frame)
        return {"places": self._binding.places} if isinstance(self._binding, ContainerCode) else {}

    def ask(self, frame: Frame) -> Frame:
        """Put the question `what` to the binding, about what lies in the arena, or about sets that are kept."""
        if self._binding is None:
            raise RuntimeError("nothing is loaded")
        self._call = self._result = None
        if self._keeper is not None and "kept" in frame:
            about = _arguments(frame, *map(self._keeper.copies, frame["kept"]))
        else:
            about = self._bind(frame, self._arena, outputs=True)
        return self._binding.answers[frame["what"]](about, frame)

    def hold(self, frame: Frame) -> Frame:
        """Keep the tensors that the problem's code made last."""
        if self._keeper is None or not isinstance(self._binding, ProblemCode):
            raise RuntimeError("this worker keeps nothing")
        self._keeper.hold(frame["key"], frame["slots"], self._binding.made)
        return {}

    def go(self, frame: Frame, clock: Callable[[], int] = time.perf_counter_ns) -> Frame:
        """Call the kernel once between two readings of a clock that was bound before the kernel was loaded.

        Under the device's clock the host's tells how long all of it took, waiting for the device included.
        """
        call, parcel = self._call, frame.get("parcel")
        if call is None:
            raise RuntimeError("nothing is prepared")
        if self._clock != "host":
            return self._measure(call, parcel, clock)
        invoke, settle = call.invoke, self._memory.settle
        gc.disable()
        began = clock()
        self._memory.load(parcel, flush=self._flush)
        started = clock()
        self._result = invoke()
        settle()
        ended = clock()
        answer = {"ns": ended - started, "stagedNs": started - began, **self._handed_over()}
        gc.enable()
        return answer

    def _measure(self, call: PreparedCall, parcel: Frame | None, clock: Callable[[], int]) -> Frame:
        gc.disable()
        began = clock()
        self._memory.load(parcel, flush=self._flush)
        started = clock()
        self._result, reading = self._memory.measure(call.invoke, held=self._clock == "device")
        ended = clock()
        claims = {"ns": ended - started, "stagedNs": started - began, "device": reading.frame}
        answer = {**claims, **self._handed_over()}
        gc.enable()
        return answer

    def _handed_over(self) -> Frame:
        """On a GPU put the outputs into the parcel: the keeper takes them as soon as this is answered."""
        return {} if self._memory is self._arena else self.collect({})

    def collect(self, _frame: Frame) -> Frame:
        """Say where what the kernel returned lies."""
        call, result = self._call, self._result
        if call is None:
            raise RuntimeError("there is nothing to collect")
        self._result = None
        returned = None if call.collect is None else call.collect(result)
        return {"outputs": self._memory.hand_over(returned, self._outputs)}

    def open(self, frame: Frame) -> Frame:
        """Open a parcel, to see whether that can be done here."""
        if self._device is None:
            raise RuntimeError("there is no device")
        self._device.open(frame["parcel"])
        return {}

    def rest(self, _frame: Frame) -> Frame:
        """Say whether this process has the GPU to itself, soon at the latest."""
        return {"rests": self._device is None or self._device.comes_to_rest()}

    def damage(self, _frame: Frame) -> Frame:
        """Say what the call did to tensors that only this process can reach."""
        return self._memory.damage()

    def profile(self, frame: Frame) -> Frame:
        """Make the prepared call twice, the second time under the profiler `tool`; say what that told."""
        from ksearch_referee.worker import profiling

        call = self._call
        if call is None:
            raise RuntimeError("nothing is prepared")

        def once() -> None:
            self._result = call.invoke()
            self._memory.settle()

        for profiled in (False, True):
            self._memory.load(None if profiled else frame.get("parcel"), flush=False)
            self._memory.settle()
            if not profiled:
                once()
            elif frame["tool"] == "ncu":
                return {"kernels": profiling.by_ncu(once)}
        return {"kernels": profiling.by_torch(once, gpu=self._device is not None)}

    def flush_logs(self, _frame: Frame) -> Frame:
        """Write out what C code printed, before the driver reads it or kills this process."""
        self._libc.fflush(None)
        return {}


def limit(frame: Frame) -> Frame:
    """Set resource limits of this process; before a kernel is loaded."""
    sandbox.limit(frame["bounds"])
    return {}


def _error_of(error: BaseException) -> Frame:
    lines = traceback.format_exception(error)
    return {
        "type": type(error).__name__,
        "message": str(error)[:1_000],
        "traceback": "".join(lines)[-_MAX_TRACEBACK_CHARS:],
    }


def _enter(start: Frame) -> list[str]:
    """Confine this process; return the measures that hold."""
    compiled = [start["compiled"]] if start["compiled"] else []
    if compiled and start["capability"] is not None:
        from ksearch_referee.worker.compilers import ask_versions

        ask_versions(int(start["capability"]))
    writable, counted = compiled if start["builds"] else [], start["counted"]
    files = Files(readable=compiled, writable=writable, gpu=start["capability"] is not None, loopback=counted)
    measures = sandbox.enter(
        user=start["user"], bounds=start["bounds"], children=start["builds"], files=files, filtered=not counted
    )
    arrays_of(start["framework"])  # torch takes a second to import: while the driver and others do something else
    return measures


def _worker(start: Frame) -> Worker:
    if start["capability"] is None:
        return Worker(int(sys.argv[2]), None, None, start["framework"])
    from ksearch_referee.worker.cuda_memory import CudaMemory
    from ksearch_referee.worker.keeper import Keeper

    device = CudaMemory()
    return Worker(int(sys.argv[2]), device, Keeper(device.driver) if start["keeps"] else None, start["framework"])


def main() -> None:
    """Answer frames until the driver goes away."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    start: Frame = json.loads(sys.argv[3])
    measures = _enter(start)
    worker = _worker(start)
    reader = FrameReader(channel)
    operations: dict[str, Callable[[Frame], Frame]] = {
        "hello": lambda _frame: {"isolation": measures},
        "limit": limit,
        "map": worker.map,
        "load": worker.load,
        "prepare": worker.prepare,
        "go": worker.go,
        "collect": worker.collect,
        "damage": worker.damage,
        "open": worker.open,
        "rest": worker.rest,
        "ask": worker.ask,
        "profile": worker.profile,
        "hold": worker.hold,
        "flush-logs": worker.flush_logs,
        **worker.keeping,
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
