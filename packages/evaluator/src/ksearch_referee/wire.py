"""Static types of the request: what `schemas/request.schema.json` has already checked. Never checked twice."""

from typing import Any, Literal, NotRequired, TypedDict


class TensorSpec(TypedDict):
    """`shape` None is a scalar passed by value; `[]` is a 0-d tensor."""

    shape: list[str] | None
    dtype: str


class Definition(TypedDict):
    """What a problem computes; `reference` is Python source with a top-level `run`."""

    name: str
    op_type: str
    axes: dict[str, dict[str, Any]]
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    reference: str


class Workload(TypedDict):
    """One set of axis values and the sources of its inputs."""

    uuid: str
    axes: dict[str, int]
    inputs: dict[str, dict[str, Any]]


class SourceFile(TypedDict):
    """One file of a kernel or a problem; `path` is a plain relative POSIX path."""

    path: str
    content: str


class FlashInferProblem(TypedDict):
    """A definition and the workloads it is judged on."""

    format: Literal["flashinfer"]
    definition: Definition
    workloads: list[Workload]


class GpuModeCase(TypedDict):
    """Keyword arguments of `generate_input`, without its seed."""

    id: str
    args: dict[str, int | float | bool | str]


class GpuModeProblem(TypedDict):
    """Files with `reference.py` or `reference.cuh` among them; `tests` are checked, `benchmarks` checked and timed."""

    format: Literal["gpumode"]
    name: str
    files: list[SourceFile]
    tests: list[GpuModeCase]
    benchmarks: list[GpuModeCase]


class KernelBenchProblem(TypedDict):
    """One Python file with `Model`, `get_inputs` and `get_init_inputs`."""

    format: Literal["kernelbench"]
    name: str
    level: int
    source: str
    precision: Literal["fp32", "fp16", "bf16"]


Problem = FlashInferProblem | GpuModeProblem | KernelBenchProblem
Language = Literal["cpp", "python", "triton", "cuda"]


class Sources(TypedDict):
    """Files of which those that are native to the language can be compiled (`kernels.native_suffixes`)."""

    language: Language
    files: list[SourceFile]


class Kernel(Sources):
    """A complete solution of one problem; `entryPoint` is `file::symbol`."""

    definition: str
    entryPoint: str
    binding: Literal["c-abi", "c++", "python", "torch"]
    destinationPassing: bool


class CorrectnessSettings(TypedDict):
    """Tolerances of spec/backends.md 8.4."""

    trials: int
    rtol: float
    atol: float
    bound: Literal["max", "sum"]
    matchedRatio: float
    rmsRel: float | None
    checkTimed: Literal["all", "none"]


class TimingSettings(TypedDict):
    """How a workload is timed; the count is fixed before the timed calls, so that a candidate cannot steer it.

    `targetMs`, if given, asks for so many calls that the reference's would take so long: at least `iterations`.
    """

    warmup: int
    iterations: int
    targetMs: int | None
    inputs: Literal["fresh", "same"]
    flushCache: bool
    statistic: Literal["median", "mean"]


class Limits(TypedDict):
    """Upper bounds; `memoryMb` (MiB of address space, beside what a worker holds by itself) holds for each worker.

    `processes`: threads of each worker, beside its own and one a CPU; no process at all but for compilers.
    """

    buildMs: int
    workloadMs: int
    totalMs: int
    logBytes: int
    memoryMb: int | None
    processes: int


Aggregate = Literal[
    "geomean_speedup", "mean_speedup", "total_speedup", "last_speedup", "geomean_vs_baseline", "mean_vs_baseline"
]


class Settings(TypedDict):
    """Everything of a judgement that is policy."""

    profile: Literal["hardened", "compat"]
    mode: Literal["compile", "test", "benchmark"]
    correctness: CorrectnessSettings
    timing: TimingSettings
    aggregate: Aggregate
    baselineNs: dict[str, int] | None
    isolateWorkloads: bool
    parallelWorkloads: int
    feedbackOrder: Literal["first", "random"]
    staticPolicy: Literal["off", "warn", "enforce"]
    digest: Literal["none", "counters"]
    limits: Limits


class Request(TypedDict):
    """One evaluation: one candidate, one device, everything inline."""

    requestId: str
    problem: Problem
    kernel: Kernel
    incumbent: Kernel | None
    settings: Settings
    device: str


class ExaminationRequest(TypedDict):
    """A problem to look at, without a kernel; `baseline` is what to time beside its reference."""

    requestId: str
    problem: Problem
    settings: Settings
    device: str
    baseline: NotRequired[Literal["torch_compile"]]
