"""One call of a kernel in its worker: bind, write inputs and poison, go, and read back nothing but bytes.

The order is the defence. The worker is stopped when the inputs are written, is let go under two clocks of the driver's,
and is stopped again before anything is read: what it computes from these inputs, in whatever thread, before or after
the moment at which it says that it has finished, happens under those clocks (`Call`, `guards.unclaimed_ns`).

For a GPU it begins, under the same clocks, by opening a parcel of inputs and copying them, and puts copies of the
outputs into it afterwards (`keeper.py`, `worker/cuda_memory.py`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.failures import KernelFailure, Status, rejected
from ksearch_referee.frames import Frame
from ksearch_referee.keeper import Held
from ksearch_referee.layout import Layout, Plain, Slot, Value, ordered_view
from ksearch_referee.runner import Answer, Runner
from ksearch_referee.worker.device_clock import Reading

Values = Mapping[str, Value]
"""Inputs by name: one set of arguments. On a GPU they are `Held`."""

Outputs = Mapping[str, np.ndarray]
"""Outputs by name: what one call yielded; `Held`, if the kernel worked on a GPU."""

Clock = Literal["host", "events", "device"]
"""What a call is timed by: the host's clock; on a GPU its events as well, the device held back (`device`) or not."""

_FAULT_GUARDS = {"subclass": "X17", "layout": "X20", "alias": "X10"}
_MAX_DIMENSIONS = 64
_ADDRESS_SPACE = 1 << 63


@dataclass(frozen=True)
class Call:
    """What one call yielded.

    `claimed_ns` is the worker's own reading around the bare call, `staged_ns` that around the copying to a GPU before
    it. `gap_ns` is how much longer the worker ran by the driver's clock, `cpu_ns` how much CPU time all its threads
    used meanwhile. `collect_ns` is how long it then ran to say where the outputs lie; 0 for a kernel that writes its
    outputs in place, and on a GPU, where handing them over is in the gap. `prepare_cpu_ns` is what binding arguments
    took, `early_cpu_ns` what was used between that and the call, while the worker stood still. `unseen_ns` is how long
    outputs were not yet taken, or inputs within the kernel's reach, while its process stood still: a GPU could work
    meanwhile. `device` is there if the device's clock was asked for.
    """

    outputs: Outputs
    claimed_ns: int
    gap_ns: int
    cpu_ns: int
    collect_ns: int = 0
    prepare_cpu_ns: int = 0
    early_cpu_ns: int = 0
    staged_ns: int = 0
    unseen_ns: int = 0
    device: Reading | None = None


def claims_ns(calls: Sequence[Call]) -> list[int]:
    """Return what the workers claim of calls, ns: by the clock that was asked for, at least 1."""
    return [max(1, c.claimed_ns if c.device is None else c.device.ns) for c in calls]


def _raw(slot: Slot, values: Values) -> NDArray[np.uint8]:
    return slot.raw(np.asarray(values[slot.name]))


def _input_entry(entry: Slot | Plain, values: Values, base: int) -> Frame:
    return entry.entry(base) if isinstance(entry, Slot) else {"name": entry.name, "value": values[entry.name]}


def _text(value: object, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _shape(value: object) -> list[int] | None:
    entries = _integers(value)
    return entries if entries is not None and len(entries) <= _MAX_DIMENSIONS else None


def _integers(value: object) -> list[int] | None:
    entries = cast("list[object]", value) if isinstance(value, list) else None
    if entries is None:
        return None
    numbers = [entry for entry in entries if type(entry) is int]
    return numbers if len(numbers) == len(entries) else None


def _order(runner: Runner, entry: Frame, dimensions: int) -> tuple[int, ...] | None:
    """Return how the dimensions of an output lie in memory, None for row-major."""
    order = entry.get("order")
    if order is None:
        return None
    numbers = _shape(order)
    if numbers is None or sorted(numbers) != list(range(dimensions)):
        raise runner.forged("an output whose dimensions lie in no order")
    return tuple(numbers)


def _changed_input(runner: Runner, layout: Layout, index: object, wanted: Slot) -> np.ndarray:
    """Return an output that a kernel wrote to an input, where it may do that."""
    slot = layout.inputs[index] if type(index) is int and index in layout.changeable else None
    if not isinstance(slot, Slot) or (slot.shape, slot.dtype_name) != (wanted.shape, wanted.dtype_name):
        raise runner.forged("an output that is no input")
    return runner.arena.read(slot)


def _declared(runner: Runner, layout: Layout, declared: object) -> list[Frame]:
    """Return what the worker says of each output that its kernel returned.

    Raises:
        KernelFailure: it has not one of the right shape and dtype for every output.
    """
    entries = cast("list[object]", declared) if isinstance(declared, list) else []
    if len(entries) != len(layout.outputs):
        raise runner.forged("an answer without one entry an output")
    checked: list[Frame] = []
    for slot, value in zip(layout.outputs, entries, strict=True):
        if not isinstance(value, dict):
            raise runner.forged("an output that is no object")
        entry = cast("Frame", value)
        if "fault" in entry:
            message = f"output '{slot.name}' {_text(entry.get('detail'), 300)}"
            guard = _FAULT_GUARDS.get(_text(entry["fault"], 20))
            raise rejected(guard, message) if guard else KernelFailure("runtime_error", message)
        facts: tuple[tuple[Status, str, object, object], ...] = (
            ("incorrect_shape", "shape", _shape(entry.get("shape")), list(slot.shape)),
            ("incorrect_dtype", "dtype", _text(entry.get("dtype"), 100), slot.dtype_name),
        )
        for status, what, got, want in facts:
            if got != want:
                raise KernelFailure(status, f"output '{slot.name}' has the {what} {got}, not {want}")
        checked.append(entry)
    return checked


def _read_returned(runner: Runner, layout: Layout, declared: object) -> dict[str, np.ndarray]:
    """Read what the worker says that its kernel returned; a lie here only makes the bytes wrong.

    Raises:
        KernelFailure: not an array of the right shape and dtype for every output.
    """
    outputs: dict[str, np.ndarray] = {}
    for slot, entry in zip(layout.outputs, _declared(runner, layout, declared), strict=True):
        if "input" in entry:
            outputs[slot.name] = _changed_input(runner, layout, entry["input"], slot)
            continue
        address = entry.get("address")
        if type(address) is not int or not 0 <= address < _ADDRESS_SPACE:
            raise runner.forged("an output without an address")
        raw = runner.read(address, slot.nbytes)
        outputs[slot.name] = ordered_view(raw.view(slot.dtype), slot.shape, _order(runner, entry, len(slot.shape)))
    return outputs


def _claims(runner: Runner, answer: Answer) -> tuple[int, int]:
    """Return the worker's claims, of the call and of the staging before it; they cannot exceed what the driver saw."""
    claimed, staged = answer.frame.get("ns"), answer.frame.get("stagedNs") if runner.gpu else 0
    if type(claimed) is not int or type(staged) is not int or min(claimed, staged) < 0:
        raise rejected("X11", "the worker claims no number of ns for a call")
    if claimed + staged > answer.wall_ns:
        told = f"{claimed + staged} ns for a call that took {answer.wall_ns} ns"
        raise rejected("X11", f"the worker claims {told} by another clock")
    return claimed, staged


def _device_reading(runner: Runner, answer: Answer) -> Reading:
    """Return what the worker claims of the device's clock: no more than the driver saw.

    Raises:
        KernelFailure: it claims something else.
    """
    told = answer.frame.get("device")
    entry = cast("Frame", told) if isinstance(told, dict) else {}
    elapsed, late, hidden = (entry.get(key) for key in ("ns", "lateNs", "hidden"))
    if type(elapsed) is not int or type(late) is not int or type(hidden) is not bool or min(elapsed, late) < 0:
        raise runner.forged("a call under the device's clock without its reading")
    if max(elapsed, late) > answer.wall_ns:
        told = f"{elapsed} ns on the device, and {late} ns more, for a call that took {answer.wall_ns} ns"
        raise rejected("X11", f"the worker claims {told} by another clock")
    return Reading(elapsed, late, hidden)


def _check_memory(runner: Runner, layout: Layout, values: Values) -> None:
    for slot in layout.fixed:
        if not np.array_equal(runner.arena.bytes_of(slot), _raw(slot, values)):
            raise rejected("X09", f"the {runner.role} changed its input '{slot.name}'")
    overrun = runner.arena.overrun(layout)
    if overrun is not None:
        raise KernelFailure("runtime_error", f"the {runner.role} wrote {overrun}")


def _check_device(runner: Runner, layout: Layout) -> None:
    """Ask the worker what the call did to the tensors on the device.

    A lie here gains nothing: whatever a kernel does to its copies of the inputs, no other kernel sees them.

    Raises:
        KernelFailure: it changed an input, or wrote outside of them.
    """
    frame = runner.exchange("damage").frame
    names = [slot.name for slot in (*layout.tensors, *layout.outputs)]
    changed, overrun = _shape(frame.get("changed")), _shape(frame.get("overrun"))
    if changed is None or overrun is None or not all(0 <= number < len(names) for number in (*changed, *overrun)):
        raise runner.forged("damage to tensors that are none")
    fixed = {slot.name for slot in layout.fixed}
    for name in (names[number] for number in changed):
        if name in fixed:
            raise rejected("X09", f"the {runner.role} changed its input '{name}'")
    if overrun:
        where = f"before the start or beyond the end of '{names[overrun[0]]}'"
        raise KernelFailure("runtime_error", f"the {runner.role} wrote {where}")


def _write(runner: Runner, slots: Sequence[Slot], values: Values) -> None:
    for slot in slots:
        runner.arena.bytes_of(slot)[:] = _raw(slot, values)


def _write_places(runner: Runner, slots: Sequence[Slot], values: Values, places: object) -> None:
    """Write inputs into the worker's own memory. A lie about where they belong only makes its kernel's inputs wrong."""
    addresses = _integers(places)
    if addresses is None or len(addresses) != len(slots) or not all(0 <= a < _ADDRESS_SPACE for a in addresses):
        raise runner.forged("inputs that have no place")
    for slot, address in zip(slots, addresses, strict=True):
        runner.write(address, _raw(slot, values))


def _prepare(
    runner: Runner,
    layout: Layout,
    values: Values,
    *,
    base: int = 0,
    idle_ns: int | None = None,
    flush: bool = False,
    clock: Clock = "host",
) -> Answer:
    """Have the arguments bound, `base` bytes into the arena; the worker has no inputs yet."""
    return runner.exchange(
        "prepare",
        inputs=[_input_entry(entry, values, base) for entry in layout.inputs],
        outputs=[slot.entry(base) for slot in layout.outputs],
        arguments=layout.arguments,
        results=layout.results,
        axes=list(layout.axes),
        changeable=layout.changeable,
        idleNs=idle_ns,
        flush=flush,
        clock=clock,
    )


def _go(runner: Runner, prepare_cpu_ns: int) -> Call:
    """Let the worker make the call that was prepared; the outputs are not read yet."""
    return _made(runner, runner.exchange("go"), prepare_cpu_ns, "host")


def _made(runner: Runner, answer: Answer, prepare_cpu_ns: int, clock: Clock) -> Call:
    claimed_ns, staged_ns = _claims(runner, answer)
    return Call(
        {},
        claimed_ns,
        answer.wall_ns - claimed_ns - staged_ns,
        answer.cpu_ns,
        prepare_cpu_ns=prepare_cpu_ns,
        early_cpu_ns=answer.early_cpu_ns,
        staged_ns=staged_ns,
        device=None if clock == "host" else _device_reading(runner, answer),
    )


def idle_call(
    runner: Runner,
    layout: Layout,
    values: Values,
    rng: np.random.Generator,
    flush: Callable[[], None] | None,
    duration_ns: int,
    clock: Clock = "host",
) -> Call:
    """Do all that a call does, but let the worker touch all tensors instead of the kernel, for at least `duration_ns`.

    What is left of the driver's reading is the way there and back, with the caches as a kernel finds and leaves them.

    The worker must be one that is believed: the reference's. On a GPU it touches tensors there, whatever the reference
    works with, and hands the outputs over.
    """
    if isinstance(values, Held):
        return _call_on_gpu(runner, layout, values, rng, flush, clock, duration_ns)
    prepare_cpu_ns, _ = _fill(runner, layout, values, rng, flush, duration_ns)
    return _go(runner, prepare_cpu_ns)


def _fill(
    runner: Runner,
    layout: Layout,
    values: Values,
    rng: np.random.Generator,
    flush: Callable[[], None] | None,
    idle_ns: int | None = None,
) -> tuple[int, int]:
    """Have a call prepared; then, while the worker stands still, write the inputs where they belong.

    Returns:
        the CPU time of the binding, and how long the inputs have been in the worker's memory, ns.
    """
    runner.arena.lay(layout, rng)
    answer = _prepare(runner, layout, values, base=runner.arena.base, idle_ns=idle_ns)
    writing = time.perf_counter_ns()
    if runner.keeps_inputs and idle_ns is None:
        _write_places(runner, layout.tensors, values, answer.frame.get("places"))
    else:
        _write(runner, layout.tensors, values)
    if flush is not None:
        flush()
    return answer.cpu_ns, time.perf_counter_ns() - writing


def call(
    runner: Runner,
    layout: Layout,
    values: Values,
    rng: np.random.Generator,
    flush: Callable[[], None] | None = None,
    clock: Clock = "host",
) -> Call:
    """Call the kernel once.

    Args:
        runner: a worker with a loaded kernel.
        layout: the workload's arguments.
        values: inputs by name; the worker gets copies. They are `Held` if its kernel is called on a GPU.
        rng: source of the place in memory and of the poison that the outputs hold before the call.
        flush: drives the inputs out of the caches; on a GPU the worker itself does that when there is one.
        clock: what to time it by; other than `host` only for a worker that stages.

    Raises:
        KernelFailure: anything but outputs of the declared shapes and dtypes, and all other memory untouched.
    """
    if runner.stages and isinstance(values, Held):
        return _call_on_gpu(runner, layout, values, rng, flush, clock)
    prepare_cpu_ns, lent_ns = _fill(runner, layout, values, rng, flush)
    made = _go(runner, prepare_cpu_ns)
    ended = time.perf_counter_ns()
    if runner.returns_outputs:
        collected = runner.exchange("collect")
        outputs = _read_returned(runner, layout, collected.frame.get("outputs"))
        made = replace(made, outputs=outputs, collect_ns=collected.wall_ns)
        if runner.gpu is not None and runner.keeps_inputs:
            unseen_ns = lent_ns + time.perf_counter_ns() - ended - collected.wall_ns
            made = replace(made, unseen_ns=unseen_ns)
    else:
        made = replace(made, outputs={slot.name: runner.arena.read(slot) for slot in layout.outputs})
    _check_memory(runner, layout, values)
    return made


def _lay_parcel(runner: Runner, layout: Layout, values: Held, rng: np.random.Generator) -> int:
    """Lay the arena, if it is what inputs come and outputs go by; return where its contents begin."""
    if values.keeper.shares:
        return 0
    runner.arena.lay(layout, rng)
    return runner.arena.base


def _call_on_gpu(
    runner: Runner,
    layout: Layout,
    values: Held,
    rng: np.random.Generator,
    flush: Callable[[], None] | None,
    clock: Clock,
    idle_ns: int | None = None,
) -> Call:
    """Call the kernel, or do nothing for so long, on tensors of the keeper's.

    The worker hands outputs over before it answers, under the driver's clocks. They are taken before anything else, and
    every moment in which the GPU could work on them unseen is counted.
    """
    keeper, base = values.keeper, _lay_parcel(runner, layout, values, rng)
    flushes = flush is not None
    prepared = _prepare(runner, layout, values, base=base, idle_ns=idle_ns, flush=flushes, clock=clock)
    lending = time.perf_counter_ns()
    lent = keeper.lend(runner, layout, values, rng)
    lent_ns = 0 if keeper.shares else time.perf_counter_ns() - lending
    answer = runner.exchange("go", **lent)
    ended = time.perf_counter_ns()
    slots: list[Slot] = list(layout.outputs)
    if idle_ns is None:
        pairs = zip(slots, _declared(runner, layout, answer.frame.get("outputs")), strict=True)
        slots = [replace(slot, order=_order(runner, entry, len(slot.shape))) for slot, entry in pairs]
    outputs = keeper.take(runner, slots)
    unseen_ns = lent_ns + time.perf_counter_ns() - ended
    made = _made(runner, answer, prepared.cpu_ns, clock)
    if idle_ns is None:
        _check_device(runner, layout)
    return replace(made, outputs=outputs, unseen_ns=unseen_ns)


def bind(runner: Runner, layout: Layout, values: Values, rng: np.random.Generator) -> Frame:
    """Prepare a call that something else than a clock is to look at, with its inputs in place.

    Returns:
        what the worker is to be told when it makes the call.

    Raises:
        KernelFailure: the worker fails.
    """
    if runner.stages and isinstance(values, Held):
        _prepare(runner, layout, values, base=_lay_parcel(runner, layout, values, rng))
        return values.keeper.lend(runner, layout, values, rng)
    _fill(runner, layout, values, rng, None)
    return {}


def ask_about(
    runner: Runner, what: str, layout: Layout, values: Values, outputs: Outputs, rng: np.random.Generator
) -> Frame:
    """Put a question about inputs and outputs to a worker, which gets copies of both.

    Raises:
        KernelFailure: it fails.
    """
    kept: dict[str, Any] = {}
    if isinstance(values, Held) and isinstance(outputs, Held) and values.keeper.runner is runner:
        kept = {"kept": [values.key, outputs.key]}
    else:
        runner.arena.lay(layout, rng)
        _write(runner, layout.tensors, values)
        _write(runner, layout.outputs, outputs)
    base = runner.arena.base
    return runner.ask(
        what,
        inputs=[_input_entry(entry, values, base) for entry in layout.inputs],
        outputs=[slot.entry(base) for slot in layout.outputs],
        arguments=layout.arguments,
        results=layout.results,
        **kept,
    )
