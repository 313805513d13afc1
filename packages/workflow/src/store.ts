import { AppError, Kernel, type KernelId, kernelId, Problem, type RunState } from "@ksearch/domain";
import type { Blobs } from "@ksearch/ports";
import { z } from "zod";

/** The blobs of a run, each with one place and one parse. */
export const keys = {
  problem: (runId: string) => `runs/${runId}/problem.json`,
  kernel: (runId: string, id: KernelId) => `runs/${runId}/kernels/${id}.json`,
  prompt: (runId: string, call: string) => `runs/${runId}/calls/${call}/prompt.json`,
  answer: (runId: string, call: string) => `runs/${runId}/calls/${call}/answer.json`,
};

/** Where an execution leaves what it found; a run that is canceled after a pause keeps the pause's folder beside its own. */
export const resultFolder = ({ runId, epoch, status }: Pick<RunState, "runId" | "epoch" | "status">): string =>
  `runs/${runId}/result-${epoch}${status === "canceled" ? "-canceled" : ""}`;

const encode = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

export const putJson = (blobs: Blobs, key: string, value: unknown): Promise<"written" | "existed"> =>
  blobs.put(key, encode(value));

export async function getJson<T>(blobs: Blobs, key: string, schema: z.ZodType<T>): Promise<T | null> {
  const bytes = await blobs.get(key);
  if (bytes === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new AppError("operator", "store.corrupt", `${key} is not readable JSON: restore it from a copy`, {
      cause: error,
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success)
    throw new AppError(
      "operator",
      "store.corrupt",
      `${key} is not what it should be: ${z.prettifyError(parsed.error).split("\n")[0]}`,
    );
  return parsed.data;
}

/** Puts a value unless one is there, and returns the one that holds. */
export async function firstJson<T>(blobs: Blobs, key: string, schema: z.ZodType<T>, value: T): Promise<T> {
  if ((await putJson(blobs, key, value)) === "written") return value;
  return (await getJson(blobs, key, schema)) ?? value;
}

/** Problems that were read before: they never change, and every step of every attempt needs one. */
const knownProblems = new WeakMap<Blobs, Map<string, Problem>>();

export async function loadProblem(blobs: Blobs, runId: string): Promise<Problem> {
  const known = knownProblems.get(blobs) ?? new Map<string, Problem>();
  knownProblems.set(blobs, known);
  const problem = known.get(runId) ?? (await getJson(blobs, keys.problem(runId), Problem));
  if (problem === null)
    throw new AppError("operator", "store.corrupt", `the problem of ${runId} is missing from the store`);
  known.set(runId, problem);
  return problem;
}

export async function saveKernel(blobs: Blobs, runId: string, kernel: Kernel): Promise<KernelId> {
  const id = kernelId(kernel);
  await putJson(blobs, keys.kernel(runId, id), kernel);
  return id;
}

export async function loadKernel(blobs: Blobs, runId: string, id: KernelId): Promise<Kernel> {
  const kernel = await getJson(blobs, keys.kernel(runId, id), Kernel);
  if (kernel === null)
    throw new AppError("operator", "store.corrupt", `kernel ${id} of ${runId} is missing from the store`);
  return kernel;
}
