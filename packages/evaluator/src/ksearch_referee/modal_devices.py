"""What is deployed at Modal: a function a GPU, and what its container gets (packages/evaluator/modal_app.py).

The same figures stand in `packages/adapters/src/modal/devices.ts`; a test there compares the two.
"""

# The GPU as Modal is asked for it, by the contract's device. Plain H100 may be served by an H200.
MODAL_GPUS = {
    "T4": "T4",
    "L4": "L4",
    "A10": "A10",
    "L40S": "L40S",
    "A100-80GB": "A100-80GB",
    "H100": "H100!",
    "H200": "H200",
    "B200": "B200",
}
CPU_CORES = 8
MEMORY_GIB = 32
TIMEOUT_S = 1_800


def function_name(device: str) -> str:
    """Return the name of the function that judges on a device: `judge_a100_80gb`."""
    return "judge_" + device.lower().replace("-", "_")
