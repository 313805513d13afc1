"""A FlashInfer-Bench definition as memory and as a C prototype."""

from collections.abc import Sequence

from ksearch_referee.layout import Layout, TensorFacts, lay_out
from ksearch_referee.trees import positional
from ksearch_referee.wire import Definition, TensorSpec, Workload

_C_TYPES = {
    "float32": "float",
    "float16": "uint16_t",
    "bfloat16": "uint16_t",
    "float8_e4m3fn": "uint8_t",
    "float8_e5m2": "uint8_t",
    "float4_e2m1": "uint8_t",
    "int64": "int64_t",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "bool": "uint8_t",
}


def variable_axes(definition: Definition) -> list[str]:
    """Axes in definition order that vary by workload."""
    return [axis for axis, spec in definition["axes"].items() if spec["type"] == "var"]


def layout_of(definition: Definition, workload: Workload) -> Layout:
    """Lay the tensors of a workload out: inputs, then outputs, in definition order.

    Raises:
        DtypeError: a tensor has a dtype that the referee cannot hold.
    """
    sizes = {axis: int(spec["value"]) for axis, spec in definition["axes"].items() if spec["type"] == "const"}
    sizes.update({axis: workload["axes"][axis] for axis in variable_axes(definition)})

    def facts(spec: TensorSpec) -> TensorFacts:
        return TensorFacts(spec["dtype"], tuple(sizes[axis] for axis in spec["shape"] or []))

    return lay_out(
        [(name, None if spec["shape"] is None else facts(spec)) for name, spec in definition["inputs"].items()],
        [(name, facts(spec)) for name, spec in definition["outputs"].items()],
        arguments=positional(len(definition["inputs"])),
        results=None,
        axes=tuple(workload["axes"][axis] for axis in variable_axes(definition)),
    )


def c_prototype(definition: Definition, symbol: str) -> str:
    """Return the C prototype of a `c-abi` kernel; the source is `cPrototype` in packages/domain."""
    inputs = [
        f"{_C_TYPES[spec['dtype']]} {name}" if spec["shape"] is None else f"const {_C_TYPES[spec['dtype']]}* {name}"
        for name, spec in definition["inputs"].items()
    ]
    outputs = [f"{_C_TYPES[spec['dtype']]}* {name}" for name, spec in definition["outputs"].items()]
    axes = [f"int64_t {axis}" for axis in variable_axes(definition)]
    return f'extern "C" void {symbol}({", ".join([*inputs, *outputs, *axes])});'


def extension_module(symbol: str, names: Sequence[str]) -> str:
    """Return how a torch extension declares its function, with the names of its arguments if they have any."""
    arguments = "".join(f', pybind11::arg("{name}")' for name in names)
    return f'PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {{ m.def("{symbol}", &{symbol}{arguments}); }}'
