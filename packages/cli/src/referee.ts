import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import {
  AppError,
  complaints,
  type Device,
  type Language,
  messageOf,
  type Problem,
  parseJson,
  problemName,
} from "@ksearch/domain";
import { z } from "zod";
import { refereeEnv } from "./local.ts";

/** What `ksearch_referee doctor` tells of this machine, as far as a search needs it. */
const Doctor = z.looseObject({
  ok: z.boolean(),
  reasons: z.array(z.string()),
  python: z.string(),
  numpy: z.string().nullable(),
  torch: z.string().nullable(),
  triton: z.string().nullable(),
  harnessVersion: z.string(),
  /** The name of the first GPU that this Python can use; null: none. */
  gpu: z.string().nullable(),
  cpu: z.string(),
  /** Vector instructions, and bytes of the caches by level, as far as the host tells. */
  simd: z.array(z.string()),
  cacheBytes: z.record(z.string(), z.int().positive()),
  compiler: z.string().nullable(),
  compilerVersion: z.string().nullable(),
  compilerFlags: z.array(z.string()),
});
export type Doctor = z.infer<typeof Doctor>;

/** What is to be judged here. */
export type Wanted = { language: Language; device: Device; problem: Problem };

/** Asks the referee what this machine can do. AppError `operator` with the mend when it cannot judge here. */
export async function askDoctor(python: string, wanted: Wanted): Promise<Doctor> {
  const { stdout } = await promisify(execFile)(python, ["-I", "-m", "ksearch_referee", "doctor"], {
    env: refereeEnv(),
    timeout: 60_000,
  }).catch((error: unknown) => {
    throw new AppError(
      "operator",
      "referee.broken",
      `the referee does not start with ${python} (${lastLine(messageOf(error))}): run scripts/quickstart.sh, which sets it up, or name the right --referee-python`,
      { cause: error },
    );
  });
  const json = parseJson(stdout);
  const doctor = Doctor.safeParse(json);
  if (!doctor.success) {
    const said = stdout.trim() === "" ? "nothing" : json === undefined ? "no JSON" : complaints(doctor.error);
    throw new AppError(
      "operator",
      "referee.broken",
      `${python} is no referee's Python, or of another version: its doctor said ${said}`,
    );
  }
  if (!doctor.data.ok)
    throw new AppError(
      "operator",
      "referee.unfit",
      `the referee cannot judge on this machine: ${doctor.data.reasons.join("; ")}`,
    );
  checkFit(doctor.data, wanted);
  return doctor.data;
}

/** AppError: this machine lacks what the search needs, with the mend. */
function checkFit({ compiler, torch, triton, gpu }: Doctor, { language, device, problem }: Wanted): void {
  if (device !== "cpu" && gpu === null)
    throw new AppError(
      "caller",
      "referee.device",
      `this machine has no GPU that the referee can use, and the search is for ${device}: add --target-gpu cpu to search for this processor`,
    );
  if (device === "cpu" && language === "cuda")
    throw new AppError(
      "caller",
      "referee.language",
      "CUDA does not run on a CPU: choose --language cpp, python or triton",
    );
  if (language === "cpp" && compiler === null)
    throw new AppError(
      "operator",
      "referee.compiler",
      "there is no C++ compiler: install g++ or clang++, or search with --language python",
    );
  const missing = [
    ...(torch === null && needsTorch(problem) ? ["torch"] : []),
    ...(triton === null && language === "triton" ? ["triton"] : []),
  ];
  if (missing.length > 0)
    throw new AppError(
      "operator",
      "referee.torch",
      `${problemName(problem)} needs ${missing.join(" and ")}, which the referee's Python does not have: run scripts/torch.sh`,
    );
}

/** Whether a problem's reference is torch code: always outside of FlashInfer-Bench, there where it imports it. */
const needsTorch = (problem: Problem): boolean =>
  problem.format !== "flashinfer" || /^\s*(import|from)\s+torch\b/m.test(problem.definition.reference);

/** What prompts say of the machine. */
export function machineFacts(doctor: Doctor, language: string): string {
  const { cpu, simd, cacheBytes, compilerVersion, compilerFlags, python, numpy } = doctor;
  const caches = Object.entries(cacheBytes).map(([level, bytes]) => `${level} ${Math.round(bytes / 1024)} KiB`);
  return [
    `Processor: ${cpu}, ${availableParallelism()} cores.`,
    simd.length === 0 ? "" : `Vector instructions: ${simd.join(" ")}.`,
    caches.length === 0 ? "" : `Caches: ${caches.join(", ")}.`,
    language === "cpp"
      ? `Compiler: ${compilerVersion}, flags ${compilerFlags.join(" ")}.`
      : `Python ${python}, its standard library${numpy === null ? "" : `, numpy ${numpy}`}; nothing else can be imported.`,
  ]
    .filter((fact) => fact !== "")
    .join(" ");
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
