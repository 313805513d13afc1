"""One call of a kernel in its worker: write inputs and poison, prepare, go, and read back nothing but bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.arena import poison
from ksearch_referee.failures import KernelFailure, Status, rejected
from ksearch_referee.frames import Frame
from ksearch_referee.problem import Layout, Scalar, Slot
from ksearch_referee.runner import Runner

Values = Mapping[str, np.ndarray | float]

_FAULT_GUARDS = {"subclass": "X17", "layout": "X20", "alias": "X10"}


@dataclass(frozen=True)
class Call:
    """What one call yielded.

    `claimed_ns` is the worker's own reading around the bare call, `gap_ns` the driver's reading of the exchange less
    that: the way there and back and the copies. `idle_cpu_ns` is the CPU time that the worker used while preparing,
    beyond what one thread can use in the same wall time.
    """

    outputs: dict[str, np.ndarray]
    claimed_ns: int
    gap_ns: int
    idle_cpu_ns: int


def _raw(array: np.ndarray) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _slot_entry(slot: Slot) -> Frame:
    return {"name": slot.name, "dtype": slot.dtype_name, "shape": list(slot.shape), "offset": slot.offset}


def _input_entry(entry: Slot | Scalar, values: Values) -> Frame:
    if isinstance(entry, Slot):
        return _slot_entry(entry)
    return {"name": entry.name, "value": values[entry.name]}


def _check_declared(runner: Runner, layout: Layout, declared: Any) -> None:
    """Check what the worker says of its outputs; a lie here only makes the bytes wrong."""
    entries: list[Any] = declared if isinstance(declared, list) else []  # pyright: ignore[reportUnknownVariableType]
    if len(entries) != len(layout.outputs):
        raise KernelFailure("runtime_error", f"the process of the {runner.role} declared no outputs")
    for slot, entry in zip(layout.outputs, entries, strict=True):
        fault = entry.get("fault")
        if fault is not None:
            message = f"output '{slot.name}' {entry.get('detail')!s:.300}"
            if fault in _FAULT_GUARDS:
                raise rejected(_FAULT_GUARDS[fault], message)
            raise KernelFailure("runtime_error", message)
        facts: tuple[tuple[Status, str, object, object], ...] = (
            ("incorrect_shape", "shape", entry.get("shape"), list(slot.shape)),
            ("incorrect_dtype", "dtype", entry.get("dtype"), slot.dtype_name),
        )
        for status, what, got, want in facts:
            if got != want:
                raise KernelFailure(status, f"output '{slot.name}' has the {what} {got!s:.200}, not {want}")


def _claim(frame: Frame, wall_ns: int) -> int:
    """Return the worker's claim, which cannot exceed what the driver saw around it."""
    claimed = frame.get("ns")
    if type(claimed) is not int or claimed < 0 or claimed > wall_ns:
        raise rejected(
            "X11", f"the worker claims {claimed!s:.40} ns for a call that took {wall_ns} ns by another clock"
        )
    return claimed


def call(runner: Runner, layout: Layout, values: Values, rng: np.random.Generator, *, flush: bool) -> Call:
    """Call the kernel once.

    Args:
        runner: a worker with a loaded kernel.
        layout: the workload's arguments.
        values: inputs by name; the driver keeps them, the worker gets copies.
        rng: source of the poison pattern that the outputs hold before the call.
        flush: whether the worker overwrites its caches before the call.

    Raises:
        KernelFailure: anything but outputs of the declared shapes and dtypes and untouched inputs.
    """
    for slot in layout.tensors:
        runner.arena.bytes_of(slot)[:] = _raw(np.asarray(values[slot.name]))
    for slot in layout.outputs:
        pattern = poison(slot, rng)
        runner.arena.bytes_of(slot).reshape(-1, pattern.size)[:] = pattern
    prepared = runner.exchange(
        "prepare",
        inputs=[_input_entry(entry, values) for entry in layout.inputs],
        outputs=[_slot_entry(slot) for slot in layout.outputs],
        axes=list(layout.axes),
        flush=flush,
    )
    answer = runner.exchange("go")
    claimed_ns = _claim(answer.frame, answer.wall_ns)
    _check_declared(runner, layout, answer.frame.get("outputs"))
    for slot in layout.tensors:
        if not np.array_equal(runner.arena.bytes_of(slot), _raw(np.asarray(values[slot.name]))):
            raise rejected("X09", f"the {runner.role} changed its input '{slot.name}'")
    outputs = {slot.name: runner.arena.read(slot) for slot in layout.outputs}
    return Call(outputs, claimed_ns, answer.wall_ns - claimed_ns, max(0, prepared.cpu_ns - prepared.wall_ns))
