"""Trees of tuples, lists and dicts, as arguments and results are made of, in a form that JSON carries.

A node is `{"leaf": …}`, `{"tuple": [node, …]}`, `{"list": [node, …]}` or `{"dict": [[key, node], …]}`. What a leaf
holds is the business of whoever made the tree; in a *structure* it is the leaf's index, in the order of `leaves`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, cast

Tree = dict[str, Any]
Structure = Tree

_KEYS = (str, int, float, bool, type(None))


def _children(node: Tree, path: str) -> list[tuple[str, Tree]]:
    """Return the nodes below a node with their paths, e.g. `data[2]['norm.weight']`."""
    if "dict" in node:
        return [(f"{path}[{key!r}]", child) for key, child in node["dict"]]
    return [
        (f"{path}[{index}]", child) for index, child in enumerate(node["tuple"] if "tuple" in node else node["list"])
    ]


def describe(value: Any, path: str, leaf: Callable[[Any, str], Any]) -> Tree:
    """Return `value` as a tree whose leaves are what `leaf(value, path)` makes of all that is no container.

    Only exact tuples, lists and dicts are containers, and keys are plain.
    """
    if type(value) in (tuple, list):
        parts = cast("Sequence[Any]", value)
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [describe(part, f"{path}[{index}]", leaf) for index, part in enumerate(parts)]}
    if type(value) is dict:
        entries = cast("dict[Any, Any]", value)
        if not all(isinstance(key, _KEYS) for key in entries):
            raise TypeError(f"{path} has keys that are neither text nor numbers")
        return {"dict": [[key, describe(child, f"{path}[{key!r}]", leaf)] for key, child in entries.items()]}
    return {"leaf": leaf(value, path)}


def leaves(tree: Tree, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the leaves in order, each with its path."""
    if "leaf" in tree:
        yield path, tree["leaf"]
        return
    for place, child in _children(tree, path):
        yield from leaves(child, place)


def structure_of(tree: Tree) -> Structure:
    """Return the tree with each leaf's index in its place."""
    numbers = count()

    def numbered(node: Tree) -> Structure:
        if "leaf" in node:
            return {"leaf": next(numbers)}
        if "dict" in node:
            return {"dict": [[key, numbered(child)] for key, child in node["dict"]]}
        kind = "tuple" if "tuple" in node else "list"
        return {kind: [numbered(child) for child in node[kind]]}

    return numbered(tree)


def positional(number: int) -> Structure:
    """Return the structure of a list of `number` leaves."""
    return {"list": [{"leaf": index} for index in range(number)]}


def build(structure: Structure, values: Sequence[Any]) -> Any:
    """Put `values` together: new containers on every call."""
    if "leaf" in structure:
        return values[structure["leaf"]]
    if "dict" in structure:
        return {key: build(child, values) for key, child in structure["dict"]}
    if "tuple" in structure:
        return tuple(build(child, values) for child in structure["tuple"])
    return [build(child, values) for child in structure["list"]]


def _shape_of(structure: Structure) -> str:
    if "leaf" in structure:
        return "one tensor"
    if "dict" in structure:
        return f"a dict with the keys {[key for key, _ in structure['dict']]!r:.200}"
    kind = "tuple" if "tuple" in structure else "list"
    return f"a {kind} of {len(structure[kind])}"


def _parts(value: Any, structure: Structure) -> list[Any] | None:
    """Return what lies directly below `value`, in the order of `structure`; None if it is of another make."""
    if "dict" in structure:
        keys = [key for key, _ in structure["dict"]]
        entries = cast("dict[Any, Any]", value) if isinstance(value, dict) else {}
        return [entries[key] for key in keys] if set(entries) == set(keys) else None
    wanted = structure["tuple"] if "tuple" in structure else structure["list"]
    if not isinstance(value, tuple | list):
        return None
    parts = list(cast("Sequence[Any]", value))
    return parts if len(parts) == len(wanted) else None


def flatten(value: Any, structure: Structure, path: str) -> list[Any]:
    """Take apart what has to have this structure; a tuple may stand for a list and a list for a tuple.

    Raises:
        TypeError: it has another one.
    """
    if "leaf" in structure:
        return [value]
    parts = _parts(value, structure)
    if parts is None:
        raise TypeError(f"{path} is a {type(value).__name__}, and has to be {_shape_of(structure)}")
    children = _children(structure, path)
    return [leaf for part, (place, child) in zip(parts, children, strict=True) for leaf in flatten(part, child, place)]
