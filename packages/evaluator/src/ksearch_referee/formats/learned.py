"""Arguments that a problem's own code makes: once in order to learn what they are, and then for every call."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ksearch_referee.calls import Values
from ksearch_referee.dtypes import DtypeError, numpy_dtype
from ksearch_referee.failures import InputError, ProblemFault
from ksearch_referee.inputs import MAX_BYTES
from ksearch_referee.layout import Layout, Slot, TensorFacts, Value, lay_out, ordered_view
from ksearch_referee.runner import Runner
from ksearch_referee.side import Side
from ksearch_referee.trees import Structure, Tree, leaves, structure_of


@dataclass(frozen=True)
class Leaf:
    """One leaf of what a problem's code made: a plain `value`, or a tensor at `address`, whose value may be read."""

    name: str
    tensor: TensorFacts | None
    value: Value
    address: int = 0


def _leaves(tree: Tree, name: str) -> list[Leaf]:
    """Return the leaves of a tree that a worker tells of; what they hold is not read yet.

    Raises:
        DtypeError: a tensor has a dtype that the referee cannot hold.
        InputError: they take more memory than inputs may.
    """
    found: list[Leaf] = []
    total = 0
    for path, facts in leaves(tree, name):
        if "value" in facts:
            found.append(Leaf(path, None, facts["value"]))
            continue
        order = facts["order"]
        tensor = TensorFacts(facts["dtype"], tuple(facts["shape"]), None if order is None else tuple(order))
        try:
            total += prod(tensor.shape) * numpy_dtype(tensor.dtype_name).itemsize
        except DtypeError as error:
            raise DtypeError(f"{path}: {error}") from None
        if total > MAX_BYTES:
            raise InputError(f"{name} takes more than {MAX_BYTES:,} bytes")
        found.append(Leaf(path, tensor, None, facts["address"]))
    return found


def read_leaves(runner: Runner, tree: Tree, name: str) -> list[Leaf]:
    """Copy the leaves of a tree out of a worker, which tells where its tensors lie.

    Raises:
        DtypeError, InputError: see `_leaves`.
        KernelFailure: they cannot be read.
    """

    def read(leaf: Leaf) -> Leaf:
        if leaf.tensor is None:
            return leaf
        dtype = numpy_dtype(leaf.tensor.dtype_name)
        raw = runner.read(leaf.address, prod(leaf.tensor.shape) * dtype.itemsize, believed=True)
        return replace(leaf, value=ordered_view(raw.view(dtype), leaf.tensor.shape, leaf.tensor.order))

    return [read(leaf) for leaf in _leaves(tree, name)]


class Source:
    """A maker of arguments in the reference's worker (`worker/problem_code.py`).

    Args:
        made: what messages call the thing that is made.
        spread: whether it is the list of arguments, or the only argument.
    """

    def __init__(self, made: str, *, spread: bool) -> None:
        self._made = made
        self._spread = spread

    def _generate(self, side: Side, rng: np.random.Generator, question: dict[str, Any]) -> Tree:
        seed = int(rng.integers(1 << 31))
        return side.code.ask("generate", seed=seed, path=self._made, stays=_stay(side), **question)["made"]

    def _arguments(self, tree: Tree) -> Structure:
        structure = structure_of(tree)
        return structure if self._spread else {"list": [structure]}

    def learn(self, side: Side, rng: np.random.Generator, **question: Any) -> Layout:
        """Have one set of arguments made and the reference called on it; return what they are.

        Raises:
            KernelFailure: the problem's code fails.
            ProblemFault: what the reference returns cannot be compared.
            InputError, DtypeError: see `_leaves`.
        """
        tree = self._generate(side, rng, question)
        inputs = _leaves(tree, self._made)
        answer = side.code.ask("run", path="output", stays=_stay(side))
        result: Tree = answer["result"]
        outputs = _leaves(result, "output")
        for leaf in outputs:
            if leaf.tensor is None:
                raise ProblemFault(f"the reference returns {leaf.value!r:.100} as {leaf.name}: outputs are tensors")
        if not outputs:
            raise ProblemFault("the reference returns no tensor")
        return lay_out(
            [(leaf.name, leaf.tensor) for leaf in inputs],
            [(leaf.name, leaf.tensor) for leaf in outputs if leaf.tensor],
            arguments=self._arguments(tree),
            results=structure_of(result),
            changeable=tuple(answer["changed"]),
        )

    def draw(self, side: Side, layout: Layout, rng: np.random.Generator, **question: Any) -> Values:
        """Have one set of arguments made.

        Raises:
            KernelFailure: the problem's code fails.
            InputError: they are not laid out as those that were made first.
        """
        tree = self._generate(side, rng, question)
        drawn = _leaves(tree, self._made)
        if self._arguments(tree) != layout.arguments:
            raise InputError(f"{self._made} is put together in another way with another seed")
        for leaf, known in zip(drawn, layout.inputs, strict=True):
            facts = TensorFacts(known.dtype_name, known.shape, known.order) if isinstance(known, Slot) else None
            if leaf.tensor != facts:
                raise InputError(
                    f"{leaf.name} is {_words(leaf.tensor)} with one seed and {_words(facts)} with another: sizes have"
                    " to follow from the case alone"
                )
        if side.keeper is not None and _stay(side):
            return side.keeper.hold(layout, {leaf.name: leaf.value for leaf in drawn if leaf.tensor is None})
        return {leaf.name: leaf.value for leaf in read_leaves(side.code, tree, self._made)}


def _stay(side: Side) -> bool:
    """Tell whether what the problem's code makes stays on the GPU."""
    return side.keeper is not None and side.code is side.keeper.runner


def _words(tensor: TensorFacts | None) -> str:
    if tensor is None:
        return "a plain value"
    order = "" if tensor.order is None else f" in the order {tensor.order}"
    return f"{tensor.dtype_name} {list(tensor.shape)}{order}"
