import type { Kernel, Language } from "./kernel.ts";
import type { Format } from "./problem.ts";

/** One way to hand in a kernel: the files that it takes, where it begins and how it is called. */
export type EntryForm = {
  /** Files that have to be there; others may stand beside them. */
  files: readonly [string, ...string[]];
  /** `file::symbol`, one of `files`. */
  entryPoint: string;
  binding: Kernel["binding"];
  destinationPassing: boolean;
};

/** An extern "C" function of raw pointers that fills its outputs (see `cPrototype`). */
const cFunction = (file: string): EntryForm => ({
  files: [file],
  entryPoint: `${file}::run`,
  binding: "c-abi",
  destinationPassing: true,
});

/** A Python function or class; `native` is compiled into `kernel.so` beside it, which it loads with ctypes. */
const pythonName = (file: string, symbol: string, ...native: string[]): EntryForm => ({
  files: [file, ...native],
  entryPoint: `${file}::${symbol}`,
  binding: "python",
  destinationPassing: false,
});

/** K-Search's three CUDA files: a torch extension whose module has `run`. */
const torchModule: EntryForm = {
  files: ["kernel.h", "kernel.cu", "main.cpp"],
  entryPoint: "main.cpp::run",
  binding: "torch",
  destinationPassing: false,
};

/**
 * How a kernel is handed in and called, by format and language: prompts say it, replies are read by it, and vetting and the
 * `judge` command hold kernels to it. Of two forms the one with more files stands first: a kernel that has them all means it.
 */
export const entryForms: Record<Format, Record<Language, readonly [EntryForm, ...EntryForm[]]>> = {
  flashinfer: {
    cpp: [cFunction("kernel.cpp")],
    python: [pythonName("main.py", "run")],
    triton: [pythonName("main.py", "run")],
    cuda: [torchModule, cFunction("kernel.cu")],
  },
  gpumode: {
    cpp: [pythonName("submission.py", "custom_kernel", "kernel.cpp")],
    python: [pythonName("submission.py", "custom_kernel")],
    triton: [pythonName("submission.py", "custom_kernel")],
    cuda: [torchModule, pythonName("submission.py", "custom_kernel", "kernel.cu")],
  },
  kernelbench: {
    cpp: [pythonName("model_new.py", "ModelNew", "kernel.cpp")],
    python: [pythonName("model_new.py", "ModelNew")],
    triton: [pythonName("model_new.py", "ModelNew")],
    cuda: [pythonName("model_new.py", "ModelNew", "kernel.cu")],
  },
};

/** File and symbol of an entry point. */
export function entryOf({ entryPoint }: Pick<EntryForm, "entryPoint">): { file: string; symbol: string } {
  const [file = "", symbol = ""] = entryPoint.split("::");
  return { file, symbol };
}
