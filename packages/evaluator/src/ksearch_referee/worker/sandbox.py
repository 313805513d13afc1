"""What a worker takes from itself before it loads a kernel.

Each measure is best effort; the names of those that hold are reported in the verdict's `env.isolation`.

No measure needs root. As root (no other uid can read the interpreter on some hosts) capabilities are dropped as well.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

from ksearch_referee.worker.landlock import NO_MORE, Files, confine_files
from ksearch_referee.worker.seccomp import forbid_system_calls

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x2008_0522
_LAST_CAPABILITY = 40


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Give up every capability for good (`capset(2)`): root is then an ordinary owner of its files."""
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    return libc.capset(header, none) == 0


def enter(*, children: bool = False, files: Files = NO_MORE) -> list[str]:
    """Apply all measures to this process, in its folder `work`; return the names of those that this host gave.

    `children` says whether it may start other processes, as a compiler has to; `files` what it may reach beside what
    every worker may.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    applied = {
        "dies-with-driver": libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0,
        "no-new-privs": libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "no-capabilities": _drop_capabilities(libc),
        "landlock": confine_files(libc, Path.cwd().parent, files),
        "seccomp": forbid_system_calls(libc, os.getpid(), children=children, gpu=files.gpu),
    }
    return [name for name, holds in applied.items() if holds]


def die_with_parent() -> None:
    """Have the kernel end this process (the driver) by SIGTERM when its parent dies, and end in order when it does."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def hide_from_same_user() -> None:
    """Make this process (the driver) unreadable to others of its user: no ptrace, no `/proc/<pid>/mem` or `fd`."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
