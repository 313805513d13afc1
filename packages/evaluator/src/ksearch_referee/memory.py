"""Another process's memory, read and written (`process_vm_readv(2)`), as its parent of the same user may."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class _Range(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("nbytes", ctypes.c_size_t))


_libc = ctypes.CDLL(None, use_errno=True)
for _function in (_libc.process_vm_readv, _libc.process_vm_writev):
    _function.restype = ctypes.c_ssize_t
    _function.argtypes = (
        ctypes.c_int,
        ctypes.POINTER(_Range),
        ctypes.c_ulong,
        ctypes.POINTER(_Range),
        ctypes.c_ulong,
        ctypes.c_ulong,
    )


def _move(function: Callable[..., int], pid: int, address: int, here: NDArray[np.uint8]) -> None:
    done = 0
    while done < here.nbytes:
        near = _Range(here.ctypes.data + done, here.nbytes - done)
        far = _Range(address + done, here.nbytes - done)
        count = function(pid, ctypes.byref(near), 1, ctypes.byref(far), 1, 0)
        if count <= 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        done += count


def read_memory(pid: int, address: int, nbytes: int) -> NDArray[np.uint8]:
    """Copy `nbytes` bytes at `address` out of process `pid`.

    Raises:
        OSError: they are not mapped, or this host does not allow it.
    """
    copied = np.empty(nbytes, dtype=np.uint8)
    _move(_libc.process_vm_readv, pid, address, copied)
    return copied


def write_memory(pid: int, address: int, values: NDArray[np.uint8]) -> None:
    """Copy bytes to `address` in process `pid`.

    Raises:
        OSError: nothing that may be written to is mapped there, or this host does not allow it.
    """
    _move(_libc.process_vm_writev, pid, address, values)


def is_shared(pid: int, address: int, nbytes: int) -> bool:
    """Tell whether any of a range of process `pid` is shared or belongs to a file (`proc_pid_maps(5)`).

    A line ends in a file's name, of the process's own choice: bytes, of which the system escapes the new-line alone.
    """
    for line in Path(f"/proc/{pid}/maps").read_bytes().split(b"\n")[:-1]:
        bounds, rights, _offset, _device, inode = line.split(maxsplit=5)[:5]
        first, last = (int(bound, 16) for bound in bounds.split(b"-"))
        if first < address + nbytes and address < last and (rights[3:4] != b"p" or inode != b"0"):
            return True
    return False
