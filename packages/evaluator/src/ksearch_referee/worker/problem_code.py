"""A problem's own code that makes inputs and computes the reference, in formats that do not declare their tensors.

The driver asks it to make one set of arguments, reads them where they lie, and may ask what the reference returns for
them: so it learns what the tensors are. Calls are then made as of any kernel.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from ksearch_referee import trees
from ksearch_referee.frames import Frame
from ksearch_referee.trees import Tree
from ksearch_referee.worker.arrays import Arrays, Span, overlaps
from ksearch_referee.worker.binding import Answer, Arguments, PreparedCall
from ksearch_referee.worker.python_binding import PythonKernel

_PLAIN = (bool, int, float, str, type(None))


class ProblemCode(PythonKernel):
    """Code that is believed. `make(frame)` makes what `function(*positional(made))` is called on."""

    def __init__(
        self,
        make: Callable[[Frame], Any],
        positional: Callable[[Any], Sequence[Any]],
        function: Callable[..., Any],
        arrays: Arrays,
    ) -> None:
        super().__init__(function, arrays, destination_passing=False)
        self.answers: Mapping[str, Answer] = {"generate": self._generate, "run": self._run}
        self._make = make
        self._positional = positional
        self._made: Any = None
        self._told: list[Any] = []

    def prepare(self, call: Arguments) -> PreparedCall:
        """Bind one call; the driver holds its inputs by now."""
        self.forget()
        return super().prepare(call)

    def handed_over(self, value: Any, taken: Sequence[Span]) -> Any:
        """Return an output with memory of its own: what counts of a reference is its values."""
        if not self.arrays.is_tensor(value):
            return value
        dense = self.arrays.dense(value)
        return self.arrays.copy(dense) if overlaps(self.arrays.span(dense), taken) else dense

    def tree(self, value: Any, path: str, *, stays: bool = False) -> Tree:
        """Say what `value` is and where its tensors lie; they stay there until the next question.

        Those on a GPU are copied to where the driver can read them, unless `stays`.
        """
        return trees.describe(value, path, partial(self._leaf, stays))

    @property
    def made(self) -> list[Any]:
        """The tensors that were told of last, each with dense memory."""
        return self._told

    def _leaf(self, stays: bool, value: Any, path: str) -> Frame:
        if self.arrays.is_tensor(value):
            dense = self.arrays.dense(value)
            told = dense if stays else self.arrays.host(dense)
            self._told.append(told)
            return self.arrays.facts(told)
        plain: Any = cast("Any", value).item() if isinstance(value, np.generic) else value
        if not isinstance(plain, _PLAIN):
            raise TypeError(f"{path} is a {type(plain).__name__}: neither a tensor nor a number, a text or None")
        return {"value": plain}

    def forget(self) -> None:
        """Let go of what was made and told."""
        self._made = None
        self._told.clear()

    def _generate(self, _call: Arguments, frame: Frame) -> Frame:
        """Make arguments; every source of random numbers starts at the driver's seed, whichever the problem uses."""
        self.forget()
        self.arrays.seed(frame["seed"])
        random.seed(frame["seed"])
        np.random.seed(frame["seed"] % (1 << 32))
        self._made = self._make(frame)
        return {"made": self.tree(self._made, frame["path"], stays=frame["stays"])}

    def _run(self, _call: Arguments, frame: Frame) -> Frame:
        """Compute the reference on what was made last, right where it lies; say to which leaves it wrote."""
        made: list[Any] = [leaf for _, leaf in trees.leaves(trees.describe(self._made, "", lambda leaf, _: leaf), "")]
        before = [self.arrays.copy(leaf) if self.arrays.is_tensor(leaf) else None for leaf in made]
        result = self.function(*self._positional(self._made))
        pairs = enumerate(zip(made, before, strict=True))
        changed = [index for index, (now, then) in pairs if then is not None and not self.arrays.same(now, then)]
        return {"result": self.tree(result, frame["path"], stays=frame["stays"]), "changed": changed}
