"""A seccomp filter: system calls that a kernel has no honest use for fail with EPERM.

Denied are sockets other than local ones, reading or tracing other processes, signals to anyone but oneself, leaving
the process group (the driver kills by it), other namespaces and io_uring (which would go round this filter).
Numbers: `asm/unistd.h` of x86_64 and of the generic table (aarch64). Layouts: `linux/filter.h`, `linux/seccomp.h`.
"""

import ctypes
import platform
import struct

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW, _DENY = 0x7FFF_0000, 0x0005_0000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_X32_BIT = 0x4000_0000
_AF_UNIX = 1

_AUDIT_ARCHITECTURE = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_ALWAYS_DENIED = {
    # ptrace, process_vm_readv/writev, setsid, setpgid, unshare, setns, mount, bpf, perf_event_open, userfaultfd,
    # keyctl, io_uring_setup, pidfd_send_signal, pidfd_getfd, tkill
    "x86_64": (101, 310, 311, 112, 109, 272, 308, 165, 321, 298, 323, 250, 425, 424, 438, 200),
    "aarch64": (117, 270, 271, 157, 154, 97, 268, 40, 280, 241, 282, 219, 425, 424, 438, 130),
}
# kill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo: only to oneself
_SIGNALS = {"x86_64": (62, 234, 129, 297), "aarch64": (129, 131, 138, 240)}
_SOCKET = {"x86_64": 41, "aarch64": 198}


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, operand)


def _program(machine: str, pid: int) -> bytes:
    def only_when_first_argument_is(number: int, value: int) -> bytes:
        return (
            _instruction(_EQUAL, number, 0, 4)
            + _instruction(_LOAD, _FIRST_ARGUMENT)
            + _instruction(_EQUAL, value, 0, 1)
            + _instruction(_RETURN, _ALLOW)
            + _instruction(_RETURN, _DENY)
        )

    program = _instruction(_LOAD, _ARCHITECTURE)
    program += _instruction(_EQUAL, _AUDIT_ARCHITECTURE[machine], 1, 0) + _instruction(_RETURN, _DENY)
    program += _instruction(_LOAD, _NUMBER)
    program += _instruction(_AT_LEAST, _X32_BIT, 0, 1) + _instruction(_RETURN, _DENY)
    for number in _ALWAYS_DENIED[machine]:
        program += _instruction(_EQUAL, number, 0, 1) + _instruction(_RETURN, _DENY)
    for number in _SIGNALS[machine]:
        program += only_when_first_argument_is(number, pid)
    program += only_when_first_argument_is(_SOCKET[machine], _AF_UNIX)
    return program + _instruction(_RETURN, _ALLOW)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_system_calls(libc: ctypes.CDLL, pid: int) -> bool:
    """Install the filter for this process and all that it starts; False where the host does not allow it.

    Needs `no_new_privs`.
    """
    machine = platform.machine()
    if machine not in _AUDIT_ARCHITECTURE:
        return False
    program = _program(machine, pid)
    structure = _FilterProgram(len(program) // 8, program)
    return libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(structure), 0, 0) == 0
