"""Binding `torch`: a Python extension of torch, built from C++ and CUDA, whose module has the function.

A problem with named inputs calls it with keywords, which pybind11 knows; any other spreads its one argument, the data.
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import ExtensionFileLoader
from typing import Any, cast

from ksearch_referee.frames import Frame
from ksearch_referee.worker.arrays import arrays_of
from ksearch_referee.worker.python_binding import PythonKernel


class _TorchKernel(PythonKernel):
    def __init__(self, function: Callable[..., Any], framework: str, names: Sequence[str] | None) -> None:
        super().__init__(function, arrays_of(framework), destination_passing=False)
        self._names = names

    def bound(self, arguments: Sequence[Any]) -> Callable[[], Any]:
        """Return the bare call on these arguments."""
        if self._names is not None:
            return partial(self.function, **dict(zip(self._names, arguments, strict=True)))
        (data,) = arguments
        return partial(self.function, *cast("Sequence[Any]", data if isinstance(data, tuple | list) else [data]))


def load(frame: Frame) -> _TorchKernel:
    """Open the extension at `library` and find `symbol` in it.

    Raises:
        ImportError: it does not load.
        AttributeError: it has no such function.
    """
    loader = ExtensionFileLoader(frame["module"], frame["library"])
    spec = importlib.util.spec_from_file_location(frame["module"], frame["library"], loader=loader)
    if spec is None:
        raise ImportError(f"{frame['library']} is no Python extension")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return _TorchKernel(getattr(module, frame["symbol"]), frame["framework"], frame["names"])
