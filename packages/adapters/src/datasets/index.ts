export { listFlashInfer } from "./flashinfer/dataset.ts";
export { readFlashInfer, type WorkloadChoice } from "./flashinfer/problem.ts";
export { findSolution, type SolutionName, saveSolution } from "./flashinfer/solutions.ts";
export { type Baseline, baselineLatencies, type Judged, saveTraces } from "./flashinfer/traces.ts";
export { type GpuModeMode, listGpuMode, readGpuMode } from "./gpumode/problem.ts";
export { kernelBenchName, listKernelBench, type Precision, readKernelBench } from "./kernelbench/problem.ts";
export { layoutOf } from "./layout.ts";
export type { Listed } from "./listed.ts";
export { didYouMean, nearest } from "./nearest.ts";
