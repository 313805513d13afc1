import type { Kernel, Language } from "./kernel.ts";
import type { Format, Problem } from "./problem.ts";
import { isCppTask } from "./problems/gpumode.ts";

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

/** A C++ function of the containers that the problem's own header names. */
const cppFunction = (file: string): EntryForm => ({
  files: [file],
  entryPoint: `${file}::custom_kernel`,
  binding: "c++",
  destinationPassing: false,
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
 * How a kernel is handed in and called, by format (`gpumodeCpp`: GPU MODE's problems in C++) and language. Of two forms the
 * one with more files stands first: a kernel that has them all means it. None: kernels cannot be in that language.
 */
export const entryForms: Record<Format | "gpumodeCpp", Record<Language, readonly EntryForm[]>> = {
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
  gpumodeCpp: {
    cpp: [cppFunction("submission.cpp")],
    python: [],
    triton: [],
    cuda: [cppFunction("submission.cu")],
  },
  kernelbench: {
    cpp: [pythonName("model_new.py", "ModelNew", "kernel.cpp")],
    python: [pythonName("model_new.py", "ModelNew")],
    triton: [pythonName("model_new.py", "ModelNew")],
    cuda: [pythonName("model_new.py", "ModelNew", "kernel.cu")],
  },
};

/** The forms for a problem: prompts say them, replies are read by them, vetting and the `judge` command hold kernels to them. */
export const entryFormsOf = (problem: Problem, language: Language): readonly EntryForm[] =>
  entryForms[problem.format === "gpumode" && isCppTask(problem) ? "gpumodeCpp" : problem.format][language];

/** Why a problem's kernels cannot be in a language; null: they can. */
export function languageFault(problem: Problem, language: Language): string | null {
  if (entryFormsOf(problem, language).length > 0) return null;
  return `the problem's code is C++, and its kernels are functions of C++ containers: take cuda for a GPU, cpp for a processor, not ${language}`;
}

/** File and symbol of an entry point. */
export function entryOf({ entryPoint }: Pick<EntryForm, "entryPoint">): { file: string; symbol: string } {
  const [file = "", symbol = ""] = entryPoint.split("::");
  return { file, symbol };
}
