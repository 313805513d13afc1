"""A library whose function takes and returns C++ containers (`containers/call.h`), through ctypes.

A call's data is made before the call with containers of the right sizes, and the driver is told where their elements
lie: it writes them there while this process stands still. So nothing is copied in a call, and the containers are the
kernel's own, to change and to move from.
"""

import ctypes
import json
from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ksearch_referee import trees
from ksearch_referee.dtypes import numpy_dtype
from ksearch_referee.frames import Frame
from ksearch_referee.trees import Structure, Tree
from ksearch_referee.worker.binding import Answer, Arguments, PreparedCall
from ksearch_referee.worker.memory import Output

_CALL = [ctypes.c_void_p]
_SIZED = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64)]


def sizes_of(structure: Structure, shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the sizes of containers of this make, from the root on: lengths of lists, first dimensions of leaves."""
    if "leaf" in structure:
        index: int = structure["leaf"]
        return list(shapes[index][:1])
    if "tuple" in structure:
        return [size for child in structure["tuple"] for size in sizes_of(child, shapes)]
    children = structure["list"]
    return [len(children), *(size for child in children for size in sizes_of(child, shapes))]


class Library:
    """The C functions of one library, with one call in hand at a time.

    Args:
        path: the shared object.

    Raises:
        OSError: it does not load.
    """

    def __init__(self, path: str) -> None:
        self.functions = ctypes.CDLL(path)
        self.functions.ksearch_said.restype = ctypes.c_char_p
        self.functions.ksearch_begin.restype = ctypes.c_void_p
        self.functions.ksearch_end.restype = None
        for name, arguments in (
            ("end", _CALL),
            ("run", _CALL),
            ("describe_data", _CALL),
            ("describe_output", _CALL),
            ("resize_data", _SIZED),
            ("resize_output", _SIZED),
        ):
            getattr(self.functions, f"ksearch_{name}").argtypes = arguments
        for name in ("run", "describe_data", "describe_output", "resize_data", "resize_output"):
            getattr(self.functions, f"ksearch_{name}").restype = ctypes.c_bool
        self.call: int | None = None

    @property
    def said(self) -> str:
        """What the library said last: a tree, or why something failed."""
        return bytes(self.functions.ksearch_said()).decode("utf-8", "replace")

    def check(self, done: bool) -> None:
        """Go on if something was done.

        Raises:
            RuntimeError: the library's code threw something.
        """
        if not done:
            raise RuntimeError(self.said)

    def forget(self) -> None:
        """Let go of the call in hand."""
        if self.call is not None:
            self.functions.ksearch_end(self.call)
            self.call = None

    def begin(self) -> None:
        """Take up a new call."""
        self.forget()
        self.call = self.functions.ksearch_begin()
        self.check(self.call is not None)

    def make(self, what: str, structure: Structure, leaves: Sequence[np.ndarray]) -> list[Frame]:
        """Give the call's `data` or `output` the sizes of these arrays; return its leaves."""
        sizes = sizes_of(structure, [leaf.shape for leaf in leaves])
        array = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
        self.check(getattr(self.functions, f"ksearch_resize_{what}")(self.call, array))
        return [leaf for _, leaf in trees.leaves(self.tree(what), what)]

    def tree(self, what: str) -> Tree:
        """Say what the call's `data` or `output` is made up of and where its leaves lie: until the next call."""
        self.check(getattr(self.functions, f"ksearch_describe_{what}")(self.call))
        return json.loads(self.said)

    def fill(self, what: str, structure: Structure, leaves: Sequence[np.ndarray]) -> None:
        """Make the call's `data` or `output` of these values."""
        for leaf, values in zip(self.make(what, structure, leaves), leaves, strict=True):
            nbytes = prod(leaf["shape"]) * numpy_dtype(leaf["dtype"]).itemsize
            if nbytes != values.nbytes:
                raise TypeError(f"{what} cannot have a tensor of the shape {list(values.shape)} there")
            if nbytes:
                ctypes.memmove(leaf["address"], np.ascontiguousarray(values).ctypes.data, nbytes)


class _ContainerCall:
    """The call in hand, whose data has been made."""

    def __init__(self, library: Library, call: Arguments) -> None:
        self.invoke = partial(library.functions.ksearch_run, library.call)
        self._library = library
        self._results = call.results or {}

    def collect(self, result: Any) -> list[Output]:
        """Say where in the containers that were returned the outputs lie; the library keeps them."""
        self._library.check(bool(result))
        told = self._library.tree("output")
        made = trees.structure_of(told)
        if made != self._results:
            raise TypeError("what was returned holds another number of containers than the reference's output")
        return [Output(leaf) for _, leaf in trees.leaves(told, "output")]


class ContainerCode:
    """A function of containers: a kernel, or a problem's reference.

    `places` are the addresses of the leaves of the data that was made last.
    """

    answers: Mapping[str, Answer] = {}
    fills = False

    def __init__(self, library: Library) -> None:
        self.library = library
        self.places: list[int] = []

    def prepare(self, call: Arguments) -> PreparedCall:
        """Make containers for one call."""
        (data,) = call.arguments["list"]
        self.library.begin()
        self.places = [leaf["address"] for leaf in self.library.make("data", data, call.inputs)]
        return _ContainerCall(self.library, call)
