"""torch tensors on the GPU as the referee sees them (see `arrays.Arrays`)."""

from typing import Any

import numpy as np

from ksearch_referee.frames import Frame
from ksearch_referee.worker import torch_arrays
from ksearch_referee.worker.torch_arrays import copy, facts, is_tensor, same, seed, span

__all__ = ["copy", "dense", "facts", "fault", "host", "is_tensor", "same", "seed", "span", "wrap"]


def wrap(array: np.ndarray) -> Any:
    """Return a copy of the array on the GPU."""
    return torch_arrays.wrap(array).cuda()


def fault(value: Any) -> Frame | None:
    """Refuse what is not exactly a tensor on the GPU whose elements lie densely in memory."""
    return torch_arrays.fault(value, "cuda")


def host(tensor: Any) -> Any:
    """Return a copy in this process's own memory, with the dimensions in the same order."""
    return tensor.cpu()


def dense(tensor: Any) -> Any:
    """Return the tensor itself, or one on the GPU in row-major order."""
    return torch_arrays.dense(tensor, "cuda")
