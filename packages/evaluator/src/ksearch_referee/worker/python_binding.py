"""Binding `python`: a function of numpy arrays or torch tensors.

It returns what its problem's reference returns: one tensor, or tensors in a tuple, list or dict; or,
destination-passing, it fills the outputs that follow the inputs. A returned tensor must be exactly a tensor, with dense
memory of its own.
"""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from ksearch_referee import trees
from ksearch_referee.frames import Frame
from ksearch_referee.worker.arrays import Arrays, Span, arrays_of, overlaps
from ksearch_referee.worker.binding import Answer, Arguments, DestinationCall, PreparedCall
from ksearch_referee.worker.calling import bound_call, takes_names
from ksearch_referee.worker.memory import Output


def by_name(result: Any, names: Sequence[str]) -> list[Any]:
    """Put what a kernel returned into output order: one value, a tuple or list in that order, or a dict by name.

    Raises:
        TypeError: not as many values as the definition has outputs, or other names.
    """
    if isinstance(result, dict):
        returned = cast("dict[Any, Any]", result)
        if set(returned) != set(names):
            raise TypeError(f"the kernel returned a dict with the keys {list(returned)!r:.200}, not {list(names)}")
        return [returned[name] for name in names]
    values: list[Any] = list(cast("Sequence[Any]", result)) if isinstance(result, tuple | list) else [result]
    if len(values) != len(names):
        raise TypeError(f"the kernel returned {len(values)} values for the outputs {list(names)}")
    return values


class _PythonCall:
    def __init__(self, kernel: "PythonKernel", call: Arguments, inputs: Sequence[Any]) -> None:
        arguments: list[Any] = trees.build(call.arguments, inputs)
        self.invoke: Callable[[], Any] = kernel.bound(arguments)
        self._kernel = kernel
        self._call = call
        self._returned: list[Any] = []
        arrays = kernel.arrays
        self._inputs = {index: arrays.span(value) for index, value in enumerate(inputs) if arrays.is_tensor(value)}

    def _standing(self, value: Any) -> Frame:
        """Return why an output cannot be taken, or which changeable `input` it is, or nothing."""
        arrays, call = self._kernel.arrays, self._call
        fault = arrays.fault(value)
        if fault is not None:
            return fault
        span = arrays.span(value)
        within = next((index for index in call.changeable if span == self._inputs.get(index)), None)
        if within is not None:
            return {"input": within}
        if overlaps(span, self._inputs.values()):
            return {"fault": "alias", "detail": "shares memory with an input"}
        if overlaps(span, map(arrays.span, self._kernel.earlier)):
            return {"fault": "alias", "detail": "shares memory with a result of the call before"}
        return {}

    def _declare(self, value: Any, standing: Frame) -> Output:
        if "fault" in standing:
            return Output(standing)
        self._returned.append(value)
        return Output({**self._kernel.arrays.facts(value), **standing}, value)

    def collect(self, result: Any) -> list[Output]:
        """Declare what each output is and where it lies."""
        call, kernel = self._call, self._kernel
        if call.results is None:
            values = by_name(result, call.outputs)
        else:
            values = trees.flatten(result, call.results, "what the kernel returned")
        taken = [span for index, span in self._inputs.items() if index not in call.changeable]
        values = [kernel.handed_over(value, taken) for value in values]
        standings = [self._standing(value) for value in values]
        kernel.earlier = [value for value, standing in zip(values, standings, strict=True) if not standing]
        return [self._declare(value, standing) for value, standing in zip(values, standings, strict=True)]


class PythonKernel:
    """`earlier` keeps the last results alive, so that memory shared with them is a reused buffer for certain.

    `names` are those of its arguments, where the problem names them.
    """

    answers: Mapping[str, Answer] = {}

    def __init__(
        self,
        function: Callable[..., Any],
        arrays: Arrays,
        *,
        destination_passing: bool,
        names: Sequence[str] | None = None,
    ) -> None:
        self.function = function
        self._names = names if names is not None and takes_names(function, names) else None
        self.arrays = arrays
        self.earlier: list[Any] = []
        self.fills = destination_passing

    def wrapped(self, value: Any) -> Any:
        """Return a tensor over the memory of an array; a plain value as it is."""
        return self.arrays.wrap(cast("np.ndarray", value)) if isinstance(value, np.ndarray) else value

    def handed_over(self, value: Any, taken: Sequence[Span]) -> Any:
        """Return an output as it is collected; `taken` is memory that it may not share."""
        del taken
        return value

    def bound(self, arguments: Sequence[Any]) -> Callable[[], Any]:
        """Return the bare call on these arguments."""
        return bound_call(self.function, arguments, self._names)

    def prepare(self, call: Arguments) -> PreparedCall:
        """Bind one call; a Python kernel reads the axes from shapes."""
        inputs = [self.wrapped(value) for value in call.inputs]
        if not self.fills:
            return _PythonCall(self, call, inputs)
        arguments: list[Any] = trees.build(call.arguments, inputs)
        return DestinationCall(self.bound([*arguments, *map(self.wrapped, call.buffers)]))


def load_module(root: Path, file: str, name: str) -> ModuleType:
    """Import `file` from the folder `root` under `name`, with its neighbours in reach."""
    sys.path.insert(0, str(root))
    return import_file(root / file, name)


def import_file(path: Path, name: str) -> ModuleType:
    """Import a file under `name`; whatever that raises goes through."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"'{path.name}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load(frame: Frame) -> PythonKernel:
    """Load the function `symbol` of a kernel's `file`."""
    module = load_module(Path(frame["root"]), frame["file"], "ksearch_kernel")
    function: Callable[..., Any] = getattr(module, frame["symbol"])
    arrays, fills = arrays_of(frame["framework"]), frame["destinationPassing"]
    return PythonKernel(function, arrays, destination_passing=fills, names=frame["names"])
