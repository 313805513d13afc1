"""Binding `cpp_task`: a GPU MODE problem in C++, the library of its `reference.cuh` (`containers/problem.cpp`)."""

import ctypes
from collections.abc import Mapping

from ksearch_referee import trees
from ksearch_referee.frames import Frame
from ksearch_referee.worker.binding import Answer, Arguments
from ksearch_referee.worker.containers import ContainerCode, Library

_TEXTS = ctypes.POINTER(ctypes.c_char_p)


class _CppTask(ContainerCode):
    """Code that is believed; it answers what `problem_code.ProblemCode` and a GPU MODE problem in Python do."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        functions = library.functions
        functions.ksearch_generate.argtypes = [ctypes.c_void_p, _TEXTS, _TEXTS, ctypes.c_int64, ctypes.c_int64]
        functions.ksearch_generate.restype = ctypes.c_bool
        functions.ksearch_try.argtypes = functions.ksearch_check.argtypes = [ctypes.c_void_p]
        functions.ksearch_try.restype = ctypes.c_bool
        functions.ksearch_check.restype = ctypes.c_int
        self.answers: Mapping[str, Answer] = {"generate": self._generate, "run": self._run, "check": self._check}

    def _generate(self, _call: Arguments, frame: Frame) -> Frame:
        """Make the data of a case from the driver's seed."""
        library, given = self.library, frame["args"]
        names = (ctypes.c_char_p * len(given))(*(name.encode() for name in given))
        texts = (ctypes.c_char_p * len(given))(*(str(value).encode() for value in given.values()))
        library.begin()
        library.check(library.functions.ksearch_generate(library.call, names, texts, len(given), frame["seed"]))
        return {"made": library.tree("data")}

    def _run(self, _call: Arguments, _frame: Frame) -> Frame:
        """Compute the reference on a copy of what was made last. Containers come by value: all may be changed."""
        library = self.library
        library.check(library.functions.ksearch_try(library.call))
        changed = [index for index, _ in enumerate(trees.leaves(library.tree("data"), "data"))]
        return {"result": library.tree("output"), "changed": changed}

    def _check(self, call: Arguments, _frame: Frame) -> Frame:
        """Have the problem judge an output; both are the driver's copies."""
        library = self.library
        (data,) = call.arguments["list"]
        library.begin()
        library.fill("data", data, call.inputs)
        library.fill("output", call.results or {}, call.buffers)
        verdict = library.functions.ksearch_check(library.call)
        library.check(verdict >= 0)
        return {"accepted": verdict == 1, "said": library.said[:2_000]}


def load(frame: Frame) -> ContainerCode:
    """Open the shared object at `library`."""
    return _CppTask(Library(frame["library"]))
