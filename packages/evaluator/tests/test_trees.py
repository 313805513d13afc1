"""Arguments and results taken apart and put together again; how tensors may lie in memory."""

from typing import Any

import numpy as np
import pytest

from ksearch_referee import trees
from ksearch_referee.worker.arrays import memory_order

NESTED: Any = ({"w": [1, 2], 3: ()}, 4, [{"w": 5}], None)


def leaf(value: Any, _path: str) -> Any:
    return value


def test_what_is_taken_apart_is_put_together_again() -> None:
    tree = trees.describe(NESTED, "data", leaf)
    found = list(trees.leaves(tree, "data"))
    assert found == [
        ("data[0]['w'][0]", 1),
        ("data[0]['w'][1]", 2),
        ("data[1]", 4),
        ("data[2][0]['w']", 5),
        ("data[3]", None),
    ]
    structure = trees.structure_of(tree)
    values = [value for _, value in found]
    assert trees.build(structure, values) == NESTED
    assert trees.flatten(NESTED, structure, "data") == values
    first, second = trees.build(structure, values), trees.build(structure, values)
    assert first[0] is not second[0], "containers are new on every call"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (({"w": [1, 2], 3: ()}, 4, [{"w": 5}]), "data is a tuple, and has to be a tuple of 4"),
        (({"w": [1], 3: ()}, 4, [{"w": 5}], None), r"data\[0\]\['w'\] is a list, and has to be a list of 2"),
        (({"v": [1, 2], 3: ()}, 4, [{"w": 5}], None), r"data\[0\] is a dict, and has to be a dict with the keys"),
        (5, "data is a int"),
    ],
)
def test_another_structure_is_told_with_its_place(value: Any, words: str) -> None:
    structure = trees.structure_of(trees.describe(NESTED, "data", leaf))
    with pytest.raises(TypeError, match=words):
        trees.flatten(value, structure, "data")


def test_lists_and_tuples_stand_for_each_other_in_results() -> None:
    assert trees.flatten((1, [2]), {"list": [{"leaf": 0}, {"tuple": [{"leaf": 1}]}]}, "output") == [1, 2]


def test_keys_that_no_wire_carries_are_refused() -> None:
    with pytest.raises(TypeError, match="keys that are neither text nor numbers"):
        trees.describe({(1, 2): 3}, "data", leaf)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 1, 3), (4, 3, 2)])
def test_every_transposition_is_dense(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        order: list[int] = rng.permutation(len(shape)).tolist()
        lying: np.ndarray = np.zeros([shape[d] for d in order])
        tensor = lying.transpose(np.argsort(order).tolist())
        found = memory_order(tensor.shape, [stride // tensor.itemsize for stride in tensor.strides])
        if tensor.size > 0:
            assert found is not None
            assert tensor.transpose(found).flags.c_contiguous


@pytest.mark.parametrize(
    "tensor", [np.arange(8)[::2], np.arange(8)[::-1], np.broadcast_to(1, (2, 3)), np.eye(4)[:, 1:]]
)
def test_gaps_repetitions_and_reversals_are_not(tensor: np.ndarray) -> None:
    assert memory_order(tensor.shape, [stride // tensor.itemsize for stride in tensor.strides]) is None
