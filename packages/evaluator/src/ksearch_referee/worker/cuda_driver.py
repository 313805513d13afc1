"""The functions of CUDA's driver library that a worker needs, bound before any kernel is loaded."""

import ctypes

_MAPPED = 2  # CU_MEMHOSTALLOC_DEVICEMAP
_PEER_ACCESS = 1  # CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS, the only flag there is
_NOT_READY = 600  # CUDA_ERROR_NOT_READY


class _IpcHandle(ctypes.Structure):
    """`CUipcMemHandle`: by it another process opens memory of this one."""

    _fields_ = [("bytes", ctypes.c_ubyte * 64)]


class CudaError(RuntimeError):
    """What CUDA says of work on the device that failed; later calls in this process fail as well."""


class CudaDriver:
    """`libcuda.so.1` in the context that is current when this is made. Launches and events go to the default stream."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libcuda.so.1")
        self._allocate, self._free = library.cuMemAlloc_v2, library.cuMemFree_v2
        self._allocate.argtypes = (ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t)
        self._free.argtypes = (ctypes.c_uint64,)
        self._export, self._open, self._close = (
            library.cuIpcGetMemHandle,
            library.cuIpcOpenMemHandle_v2,
            library.cuIpcCloseMemHandle,
        )
        self._export.argtypes = (ctypes.POINTER(_IpcHandle), ctypes.c_uint64)
        self._open.argtypes = (ctypes.POINTER(ctypes.c_uint64), _IpcHandle, ctypes.c_uint)
        self._close.argtypes = (ctypes.c_uint64,)
        self._pin = library.cuMemHostRegister_v2
        self._pin.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
        self._text = library.cuGetErrorString
        self._synchronise = library.cuCtxSynchronize
        self._choose = library.cuCtxSetCurrent
        self._forget_persisting = library.cuCtxResetPersistingL2Cache
        self._share, self._shared_pointer = library.cuMemHostAlloc, library.cuMemHostGetDevicePointer_v2
        self._share.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_uint)
        self._shared_pointer.argtypes = (ctypes.POINTER(ctypes.c_uint64), ctypes.c_void_p, ctypes.c_uint)
        self._load, self._function = library.cuModuleLoadData, library.cuModuleGetFunction
        self._load.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p)
        self._function.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_char_p)
        self._launch = library.cuLaunchKernel
        self._launch.argtypes = (ctypes.c_void_p, *(ctypes.c_uint,) * 7, *(ctypes.c_void_p,) * 3)
        self._create = library.cuEventCreate
        self._create.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint)
        self._record, self._wait, self._ask = library.cuEventRecord, library.cuEventSynchronize, library.cuEventQuery
        self._record.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._wait.argtypes = self._ask.argtypes = (ctypes.c_void_p,)
        self._elapsed = library.cuEventElapsedTime
        self._elapsed.argtypes = (ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_void_p)
        self._context = ctypes.c_void_p()
        self.check(library.cuCtxGetCurrent(ctypes.byref(self._context)))

    def check(self, status: int) -> None:
        """Raise a `CudaError` unless `status` is success."""
        if status != 0:
            text = ctypes.c_char_p()
            self._text(status, ctypes.byref(text))
            raise CudaError(f"CUDA error {status}: {(text.value or b'unknown').decode()}")

    def synchronise(self) -> None:
        """Wait for everything on the device that this process has begun, on whatever stream."""
        self._choose(self._context)
        self.check(self._synchronise())

    def allocate(self, nbytes: int) -> int:
        """Return a pointer to new memory."""
        pointer = ctypes.c_uint64()
        self.check(self._allocate(ctypes.byref(pointer), nbytes))
        return pointer.value

    def free(self, pointer: int) -> None:
        """Give memory back; of a context that has failed there is nothing to be given back."""
        self._free(pointer)

    def export(self, pointer: int) -> bytes:
        """Return the handle by which another process may open an allocation of this one."""
        handle = _IpcHandle()
        self.check(self._export(ctypes.byref(handle), pointer))
        return bytes(handle.bytes)

    def open(self, handle: bytes) -> int:
        """Return a pointer to memory of another process."""
        pointer = ctypes.c_uint64()
        self.check(self._open(ctypes.byref(pointer), _IpcHandle.from_buffer_copy(handle), _PEER_ACCESS))
        return pointer.value

    def close(self, pointer: int) -> None:
        """Close memory of another process."""
        self._close(pointer)

    def pin(self, address: int, nbytes: int) -> None:
        """Have the device copy to and from memory of this process directly; a host that refuses is only slower."""
        self._pin(address, nbytes, 0)

    def forget_persisting(self) -> None:
        """Make lines of the L2 cache that a kernel had asked to be kept ordinary ones."""
        self._forget_persisting()

    def share(self) -> tuple[ctypes.c_uint32, int]:
        """Return a number that host and device both reach, and the device's pointer to it."""
        address, pointer = ctypes.c_void_p(), ctypes.c_uint64()
        self.check(self._share(ctypes.byref(address), ctypes.sizeof(ctypes.c_uint32), _MAPPED))
        self.check(self._shared_pointer(ctypes.byref(pointer), address, 0))
        return ctypes.c_uint32.from_address(address.value or 0), pointer.value

    def function(self, ptx: str, name: str) -> ctypes.c_void_p:
        """Return a kernel that is written in PTX; CUDA's driver compiles it."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self._load(ctypes.byref(module), ptx.encode("ascii")))
        self.check(self._function(ctypes.byref(function), module, name.encode("ascii")))
        return function

    def launch(self, function: ctypes.c_void_p, blocks: int, threads: int, arguments: list[int]) -> None:
        """Launch a kernel whose arguments are 64-bit numbers."""
        values = [ctypes.c_uint64(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        self._choose(self._context)
        self.check(self._launch(function, blocks, 1, 1, threads, 1, 1, 0, None, pointers, None))

    def event(self) -> ctypes.c_void_p:
        """Return an event that notes the time."""
        event = ctypes.c_void_p()
        self.check(self._create(ctypes.byref(event), 0))
        return event

    def record(self, event: ctypes.c_void_p) -> None:
        """Have the event pass when all that was queued so far is done, on the default stream and those that join it."""
        self._choose(self._context)
        self.check(self._record(event, None))

    def wait(self, event: ctypes.c_void_p) -> None:
        """Wait until the event has passed."""
        self.check(self._wait(event))

    def has_passed(self, event: ctypes.c_void_p) -> bool:
        """Tell whether the event has passed."""
        status = self._ask(event)
        if status != _NOT_READY:
            self.check(status)
        return status != _NOT_READY

    def between_ns(self, start: ctypes.c_void_p, end: ctypes.c_void_p) -> int:
        """Return the time between two events that have passed, ns; CUDA tells it to about half a microsecond."""
        elapsed_ms = ctypes.c_float()
        self.check(self._elapsed(ctypes.byref(elapsed_ms), start, end))
        return round(elapsed_ms.value * 1e6)
