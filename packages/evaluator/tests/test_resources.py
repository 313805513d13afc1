"""Registers, spills and occupancy: out of ptxas's log, out of Triton's cache, and by formula."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ksearch_referee.cubin import CubinInvalid, Function, functions
from ksearch_referee.environment import package_version
from ksearch_referee.occupancy import occupancy
from ksearch_referee.resources import Resources, of_cache, of_log, readable, with_occupancy

LOG = (Path(__file__).parent / "logs" / "ptxas.log").read_text("utf-8")


def cubin(kernels: dict[str, tuple[int, int]]) -> bytes:
    """Return the smallest ELF file that tells registers and stack of some kernels, by name."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in kernels)
    symbols, info = bytes(24), b""
    for number, (name, (registers, stack)) in enumerate(kernels.items(), start=1):
        symbols += struct.pack("<IBBHQQ", names.index(name.encode() + b"\0"), 0x12, 0, 1, 0, 0)
        info += struct.pack("<BBHII", 4, 0x2F, 8, number, registers) + struct.pack("<BBH", 3, 0x50, 0)
        info += struct.pack("<BBHII", 4, 0x11, 8, number, stack)
    titles = b"\0.shstrtab\0.strtab\0.symtab\0.nv.info\0"
    parts = {".shstrtab": titles, ".strtab": names, ".symtab": symbols, ".nv.info": info}
    body, headers = b"", bytes(64)
    for title, content in parts.items():
        place = titles.index(title.encode() + b"\0")
        headers += struct.pack("<IIQQQQIIQQ", place, 1, 0, 0, 64 + len(body), len(content), 0, 0, 1, 0)
        body += content
    start = b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HHIQQQ", 2, 190, 1, 0, 0, 64 + len(body))
    return start + struct.pack("<IHHHHHH", 0, 64, 0, 0, 64, 5, 1) + body + headers


def cached(folder: Path, name: str, content: bytes, metadata: str) -> None:
    place = folder / name.upper()
    place.mkdir()
    (place / f"{name}.cubin").write_bytes(content)
    (place / f"{name}.json").write_text(metadata, "utf-8")


def test_ptxas_is_read_by_kernel() -> None:
    assert of_log(LOG) == [
        Resources("scale", None, 12, 0, 0, 0),
        Resources("tiles::gemm", None, 255, 148, 96, 49_152),  # not the stack of a function that it calls
    ]
    assert of_log("nvcc warning : nothing\n") == []


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_Z6kernelPKffPfl", "kernel"),
        ("_ZN2ns4tileILi4EEEvPf", "ns::tile"),
        ("_ZN12_GLOBAL__N_15scaleEPf", "scale"),
        ("run", "run"),
        ("_Z99999999short", "_Z99999999short"),
        ("_Z", "_Z"),
    ],
)
def test_symbols_are_readable(symbol: str, name: str) -> None:
    assert readable(symbol) == name


@pytest.mark.parametrize(
    ("capability", "threads", "registers", "shared", "share"),
    [
        ("90", 256, 32, 0, 1.0),
        ("90", 256, 40, 0, 0.75),
        ("90", 256, 64, 0, 0.5),
        ("90", 256, 255, 0, 0.125),
        ("90", 128, 32, 100 << 10, 0.125),
        ("90", 32, 16, 0, 0.5),  # 32 blocks of one warp
        ("80", 128, 32, 81 << 10, 0.125),
        ("86", 1_024, 32, 0, 2 / 3),
        ("75", 256, 32, 32 << 10, 0.5),
        ("90", None, 168, 0, 0.1875),
        ("90", 1_024, 255, 0, 0.0),  # cannot be launched
    ],
)
def test_occupancy_follows_from_what_runs_out_first(
    capability: str, threads: int | None, registers: int, shared: int, share: float
) -> None:
    assert occupancy(capability, threads, registers, shared) == pytest.approx(share)


def test_a_device_that_is_not_known_has_no_occupancy() -> None:
    assert occupancy("52", 256, 32, 0) is None
    assert with_occupancy([Resources("a", registers=32), Resources("b")], "52")[0].occupancy is None


def test_a_cubin_tells_registers_and_stack() -> None:
    assert functions(cubin({"add": (24, 0), "heavy": (255, 512)})) == [
        Function("add", 24, 0),
        Function("heavy", 255, 512),
    ]


def test_no_bytes_harm_the_reader_of_cubins() -> None:
    good = cubin({"add": (24, 0)})
    for length in range(len(good)):
        with pytest.raises(CubinInvalid):
            functions(good[:length])
    for place in range(len(good)):
        broken = bytearray(good)
        broken[place] ^= 0xFF
        try:
            assert len(functions(bytes(broken))) <= 1
        except CubinInvalid as error:
            assert str(error)


def test_a_cache_of_tritons_is_read(tmp_path: Path) -> None:
    cached(tmp_path, "add", cubin({"add": (24, 8)}), json.dumps({"num_warps": 4, "shared": 1_024}))
    assert of_cache(tmp_path) == [Resources("add", 128, 24, 8, 8, 1_024)]
    assert with_occupancy(of_cache(tmp_path), "90")[0].occupancy == 1


def test_what_foreign_code_planted_in_a_cache_is_left_out(tmp_path: Path) -> None:
    cached(tmp_path, "broken", b"\x7fELF no", "{}")
    cached(tmp_path, "odd", cubin({"odd": (24, 0)}), '{"num_warps": "many", "shared": -1}')
    cached(tmp_path, "deep", cubin({"deep": (24, 0)}), "[" * 100_000)
    cached(tmp_path, "linked", b"", "{}")
    (tmp_path / "LINKED/linked.cubin").unlink()
    (tmp_path / "LINKED/linked.cubin").symlink_to("/dev/zero")
    (tmp_path / "PIPE").mkdir()
    os.mkfifo(tmp_path / "PIPE/pipe.cubin")
    (tmp_path / "elsewhere").symlink_to("/")
    with (tmp_path / "ODD/large.cubin").open("wb") as large:
        large.truncate(1 << 40)
    assert of_cache(tmp_path) == [Resources("deep", None, 24, 0, 0, None), Resources("odd", None, 24, 0, 0, None)]


COMPILE = """
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

@triton.jit
def heavy(x, y, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    v, w = tl.load(x + at), tl.load(x + BLOCK * BLOCK + at)
    for i in range(n):
        v, w = v * w + tl.trans(v), w * w + v
    tl.store(y + at, v + w)

source = ASTSource(heavy, {"x": "*fp32", "y": "*fp32", "n": "i32", "BLOCK": "constexpr"}, {"BLOCK": 64})
triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1})
"""


@pytest.mark.skipif(package_version("triton") is None, reason="there is no triton here")
def test_what_triton_really_writes_is_read(tmp_path: Path) -> None:
    file, cache = tmp_path / "main.py", tmp_path / "cache"
    file.write_text(COMPILE, "utf-8")
    environment = {"TRITON_CACHE_DIR": str(cache), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, str(file)], env=environment, check=True, capture_output=True, timeout=120)
    (kernel,) = of_cache(cache)
    assert (kernel.name, kernel.threads) == ("heavy", 32)
    assert kernel.registers is not None and 16 <= kernel.registers <= 255
    assert kernel.spill_bytes, "256 values a thread do not fit into registers"
    assert kernel.shared_bytes, "a transposition goes through shared memory"
