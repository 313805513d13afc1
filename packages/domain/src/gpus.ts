import type { Language } from "./kernel.ts";
import type { Device } from "./referee/request.ts";

/** What a data sheet says of a GPU. Peaks are dense, as vendors give them; boards reach less. */
export type GpuFacts = {
  name: string;
  /** Compute capability as nvcc names it. */
  architecture: string;
  multiprocessors: number;
  l2Mb: number;
  memoryGb: number;
  memoryTbPerS: number;
  /** Tensor cores in fp16 (from the A10 on in bf16, too), and fp32 beside them. */
  fp16Tflops: number;
  fp32Tflops: number;
};

/** The GPUs that kernels may be judged on elsewhere: their facts for prompts, where no doctor can be asked. */
export const gpuFacts: Readonly<Record<Exclude<Device, "cpu">, GpuFacts>> = {
  T4: facts("NVIDIA T4", "75", [40, 4, 16, 0.32], [65, 8.1]),
  L4: facts("NVIDIA L4", "89", [58, 48, 24, 0.3], [121, 30]),
  A10: facts("NVIDIA A10", "86", [72, 6, 24, 0.6], [125, 31]),
  L40S: facts("NVIDIA L40S", "89", [142, 96, 48, 0.86], [362, 92]),
  "A100-80GB": facts("NVIDIA A100 80 GB (SXM)", "80", [108, 40, 80, 2.04], [312, 19.5]),
  H100: facts("NVIDIA H100 (SXM)", "90a", [132, 50, 80, 3.35], [989, 67]),
  H200: facts("NVIDIA H200 (SXM)", "90a", [132, 60, 141, 4.8], [989, 67]),
  B200: facts("NVIDIA B200", "100a", [148, 126, 180, 7.7], [2_250, 75]),
};

function facts(
  name: string,
  architecture: string,
  [multiprocessors, l2Mb, memoryGb, memoryTbPerS]: [number, number, number, number],
  [fp16Tflops, fp32Tflops]: [number, number],
): GpuFacts {
  return { name, architecture, multiprocessors, l2Mb, memoryGb, memoryTbPerS, fp16Tflops, fp32Tflops };
}

/** Versions of the images that the referee is deployed in (packages/evaluator/requirements-gpu.txt; a test compares). */
export const hostedVersions = { cuda: "13.2", python: "3.12", torch: "2.15.0", triton: "3.9.0" } as const;

/** What prompts say of a GPU host of ours. */
export function hostedGpuText(device: Exclude<Device, "cpu">, language: Language): string {
  const gpu = gpuFacts[device];
  const { cuda, python, torch, triton } = hostedVersions;
  return [
    `GPU: ${gpu.name}, sm_${gpu.architecture}, ${gpu.multiprocessors} multiprocessors, ${gpu.memoryGb} GB at ${gpu.memoryTbPerS} TB/s, L2 ${gpu.l2Mb} MB; peaks ${gpu.fp16Tflops} TFLOP/s in fp16 on tensor cores, ${gpu.fp32Tflops} in fp32.`,
    language === "cuda" || language === "python" ? `nvcc ${cuda}.` : "",
    `Python ${python}, torch ${torch} for CUDA ${cuda}${language === "cuda" ? "" : `, Triton ${triton}`}.`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}
