import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  AppError,
  complaints,
  Device,
  gpuFacts,
  hostedGpuText,
  isCppTask,
  type Language,
  languageFault,
  messageOf,
  type Problem,
  parseJson,
  problemName,
} from "@ksearch/domain";
import { z } from "zod";
import { refereeEnv, refereePython } from "./local.ts";
import type { RefereeChoice } from "./referee-choice.ts";
import { readText } from "./text.ts";

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
  /** Which of the contract's devices it is. */
  gpuDevice: Device.nullable(),
  /** Why a GPU that is there cannot be used; null: it can, or there is none. */
  gpuFault: z.string().nullable(),
  /** The newest CUDA of its driver, the one that torch was built with, and that of nvcc. */
  cuda: z.string().nullable(),
  torchCuda: z.string().nullable(),
  nvcc: z.string().nullable(),
  /** The languages that can be judged on it. */
  judgesOnGpu: z.array(z.string()),
  cpu: z.string(),
  cpuCount: z.int().positive(),
  /** Vector instructions, and bytes of the caches by level, as far as the host tells. */
  simd: z.array(z.string()),
  cacheBytes: z.record(z.string(), z.int().positive()),
  compiler: z.string().nullable(),
  compilerVersion: z.string().nullable(),
  compilerFlags: z.array(z.string()),
});
type Doctor = z.infer<typeof Doctor>;

/** What is to be judged here. */
export type Wanted = { language: Language; device: Device; problem: Problem };

/** On a machine that has just started, torch is first read from its disk: with CUDA, several GB of it. */
const doctorTimeoutMs = 180_000;

/** Where kernels will be judged: what prompts say of it, what traces call it, and by which version of the referee. */
export type Bench = { facts: string; hardware: string; version: string };

/** Looks at the place of a choice. AppError: it lacks what is wanted, with the mend. */
export async function benchOf(choice: RefereeChoice, python: string | undefined, wanted: Wanted): Promise<Bench> {
  const unfit = languageFault(wanted.problem, wanted.language);
  if (unfit !== null) throw new AppError("caller", "referee.language", `--language: ${unfit}`);
  if (choice.kind === "modal") return modalBench(choice.app, wanted);
  const doctor = choice.kind === "folder" ? readDoctor(choice.path) : await askDoctor(refereePython(python));
  checkFit(doctor, wanted);
  return {
    facts: machineFacts(doctor, wanted),
    hardware: doctor.gpu ?? doctor.cpu,
    version: doctor.harnessVersion,
  };
}

/** A GPU at Modal, by its data sheet: nothing is started there to ask. */
function modalBench(app: string, { language, device }: Wanted): Bench {
  if (device === "cpu")
    throw new AppError(
      "caller",
      "referee.device",
      `the referee at Modal judges on GPUs: add --target-gpu ${Object.keys(gpuFacts).join("|")}, or --referee local for this processor`,
    );
  if (language === "cpp") throw cppOnGpu();
  return { facts: hostedGpuText(device, language), hardware: gpuFacts[device].name, version: `${app} at Modal` };
}

const cppOnGpu = (): AppError =>
  new AppError(
    "caller",
    "referee.language",
    "C++ kernels are for processors: choose --language cuda, triton or python for a GPU, or add --target-gpu cpu",
  );

/** What the referee behind a folder wrote of its host when it began to answer there. AppError `caller`: nobody has. */
function readDoctor(folder: string): Doctor {
  const file = join(folder, "answers", ".doctor.json");
  if (!existsSync(file))
    throw new AppError(
      "caller",
      "referee.unwatched",
      `nobody has answered in ${folder} yet: run 'mkdir -p ${folder}/requests && python -m ksearch_referee batch ${folder}/requests ${folder}/answers --watch' where kernels are to be judged, or carry the folder there and back`,
    );
  return fitDoctor(readText(file, "report of the referee's host"), `the report ${file}`, "the host of that folder");
}

/** Asks the referee what this machine can do. AppError `operator` with the mend when it cannot judge here. */
async function askDoctor(python: string): Promise<Doctor> {
  const { stdout } = await promisify(execFile)(python, ["-I", "-m", "ksearch_referee", "doctor", "--json"], {
    env: refereeEnv(),
    timeout: doctorTimeoutMs,
  }).catch((error: unknown) => {
    throw new AppError(
      "operator",
      "referee.broken",
      `the referee does not start with ${python} (${lastLine(messageOf(error))}): run scripts/quickstart.sh, which sets it up, or name the right --referee-python`,
      { cause: error },
    );
  });
  return fitDoctor(stdout, `${python} is no referee's Python, or of another version: its doctor`, "this machine");
}

/** A doctor's report on a host that can judge. AppError `operator`: `who` said that it cannot, or something else. */
function fitDoctor(text: string, who: string, host: string): Doctor {
  const json = parseJson(text);
  const doctor = Doctor.safeParse(json);
  if (!doctor.success) {
    const said = text.trim() === "" ? "nothing" : json === undefined ? "no JSON" : complaints(doctor.error);
    throw new AppError("operator", "referee.broken", `${who} said ${said}`);
  }
  if (!doctor.data.ok)
    throw new AppError(
      "operator",
      "referee.unfit",
      `the referee cannot judge on ${host}: ${doctor.data.reasons.join("; ")}`,
    );
  return doctor.data;
}

/** AppError: this machine lacks what is wanted, with the mend. */
function checkFit(doctor: Doctor, wanted: Wanted): void {
  if (wanted.device === "cpu") checkCpu(doctor, wanted);
  else checkGpu(doctor, { language: wanted.language, device: wanted.device });
}

const runsOnCpu = "--target-gpu cpu to search for this processor";

function checkGpu(
  { gpu, gpuDevice, gpuFault, judgesOnGpu }: Doctor,
  { language, device }: { language: Language; device: Device },
): void {
  if (gpu === null)
    throw new AppError(
      "caller",
      "referee.device",
      `this machine has no GPU that the referee can use, and ${device} is asked for: add ${runsOnCpu}${gpuFault === null ? "" : ` (${gpuFault})`}`,
    );
  if (gpuDevice !== device)
    throw new AppError(
      "caller",
      "referee.device",
      `this machine's GPU is an ${gpu}, and ${device} is asked for: add --target-gpu ${gpuDevice} to search for that, or ${runsOnCpu}`,
    );
  if (language === "cpp") throw cppOnGpu();
  if (judgesOnGpu.includes(language)) return;
  const mends: Partial<Record<Language, string>> = {
    cuda: "install CUDA's nvcc and g++, or name CUDA's folder in CUDA_HOME",
    triton: "run scripts/torch.sh, which sets Triton up",
  };
  throw new AppError(
    "operator",
    "referee.language",
    `the referee cannot judge ${language} kernels on this GPU: ${mends[language] ?? "see what `ksearch_referee doctor` says"}`,
  );
}

function checkCpu({ compiler, torch, triton }: Doctor, { language, problem }: Wanted): void {
  if (language === "cuda")
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

/** Whether a problem's reference is torch code: in FlashInfer-Bench where it imports it, elsewhere unless it is C++. */
const needsTorch = (problem: Problem): boolean =>
  problem.format === "flashinfer"
    ? /^\s*(import|from)\s+torch\b/m.test(problem.definition.reference)
    : problem.format !== "gpumode" || !isCppTask(problem);

/** What prompts say of the machine. */
const machineFacts = (doctor: Doctor, wanted: Wanted): string =>
  wanted.device === "cpu" ? cpuFacts(doctor, wanted) : gpuText(doctor, wanted.language);

function gpuText({ gpu, cuda, torch, torchCuda, triton, nvcc, python }: Doctor, language: Language): string {
  const compiler = language === "cuda" || language === "python" ? nvcc : null;
  return [
    `GPU: ${gpu}, whose driver runs CUDA ${cuda}.`,
    compiler === null ? "" : `nvcc ${compiler}.`,
    `Python ${python}, torch ${torch} for CUDA ${torchCuda}${triton === null || language === "cuda" ? "" : `, Triton ${triton}`}.`,
  ]
    .filter((fact) => fact !== "")
    .join(" ");
}

function cpuFacts(doctor: Doctor, { language, problem }: Wanted): string {
  const { cpu, cpuCount, simd, cacheBytes, compilerVersion, compilerFlags, python, numpy, torch, triton } = doctor;
  const packages = [
    numpy === null ? "" : `numpy ${numpy}`,
    needsTorch(problem) || language === "triton" ? `torch ${torch}` : "",
    language === "triton" ? `Triton ${triton}` : "",
  ].filter((name) => name !== "");
  const caches = Object.entries(cacheBytes).map(([level, bytes]) => `${level} ${Math.round(bytes / 1024)} KiB`);
  return [
    `Processor: ${cpu}, ${cpuCount} cores.`,
    simd.length === 0 ? "" : `Vector instructions: ${simd.join(" ")}.`,
    caches.length === 0 ? "" : `Caches: ${caches.join(", ")}.`,
    language === "cpp"
      ? `Compiler: ${compilerVersion}, flags ${compilerFlags.join(" ")}.`
      : `Python ${python}, ${["its standard library", ...packages].join(", ")}; nothing else can be imported.`,
  ]
    .filter((fact) => fact !== "")
    .join(" ");
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
