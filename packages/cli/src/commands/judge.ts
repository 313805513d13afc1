import { basename } from "node:path";
import {
  AppError,
  type EvaluationRequest,
  entryForms,
  hardenedSettings,
  type Kernel,
  kernelId,
  kernelOf,
  kernelOfSolution,
  type Problem,
  problemName,
  type Verdict,
} from "@ksearch/domain";
import { openReferee, refereePython } from "../local.ts";
import { columns, micros, paint, print, printJson, times } from "../output.ts";
import { loadProblem } from "../problems.ts";
import { readJson, readText } from "../text.ts";

export type JudgeCommand = {
  problems: string;
  json: boolean;
  refereePython?: string | undefined;
  against?: string | undefined;
};

/** `ksearch judge`: one kernel (a .cpp, .cu or .py file, or a solution JSON) against the referee on this machine. */
export async function judge(name: string, file: string, command: JudgeCommand): Promise<void> {
  const { problem } = loadProblem(name, command);
  const kernel = readCandidate(file, problem);
  const incumbent = command.against === undefined ? null : readCandidate(command.against, problem);
  const request: EvaluationRequest = {
    schema: "ksearch.request/1",
    requestId: `judge/${kernelId(kernel)}`,
    problem,
    kernel,
    incumbent,
    settings: hardenedSettings,
    device: "cpu",
  };
  const outcome = await openReferee(refereePython(command.refereePython)).submit(request);
  if (!("verdict" in outcome))
    throw new AppError("operator", "referee.ticket", "the local referee gave a ticket instead of a verdict");
  if (command.json) printJson(outcome.verdict);
  else print(verdictLines(outcome.verdict).join("\n"));
  if (outcome.verdict.status !== "passed") process.exitCode = 1;
}

function readCandidate(file: string, problem: Problem): Kernel {
  const definition = problemName(problem);
  if (file.endsWith(".json")) {
    const shape = problem.format === "flashinfer" ? problem.definition : null;
    const read = kernelOfSolution(readJson(file, "solution"), shape);
    if ("problem" in read) throw new AppError("caller", "solution.invalid", `${file}: ${read.problem}`);
    const { kernel } = read;
    if (kernel.definition !== definition)
      throw new AppError(
        "caller",
        "solution.problem",
        `${file} is for '${kernel.definition}', not for '${definition}'`,
      );
    return kernel;
  }
  const language = file.endsWith(".py") ? "python" : file.endsWith(".cu") ? "cuda" : "cpp";
  const alone = entryForms[problem.format][language].find(({ files }) => files.length === 1)?.files[0];
  const files = [{ path: alone ?? basename(file), content: readText(file, "kernel") }];
  const read = kernelOf(files, { problem, language, targetHardware: "cpu" });
  if ("problem" in read) {
    const mend = alone === undefined ? "; several files come as the sources of a solution JSON" : "";
    throw new AppError("caller", "kernel.unusable", `${file}: ${read.problem}${mend}`);
  }
  return read.kernel;
}

/** A verdict for people: status, score with interval, a line a workload, the referee's words. */
function verdictLines(verdict: Verdict): string[] {
  const rows = verdict.workloads.map((workload) => [
    workload.id.slice(0, 8),
    workload.status,
    micros(workload.call?.medianNs ?? null),
    micros(workload.referenceCall?.medianNs ?? null),
    times(workload.speedup),
    Object.entries(workload.axes)
      .map(([axis, size]) => `${axis}=${size}`)
      .join(" "),
  ]);
  const head =
    verdict.status === "passed"
      ? `${paint.good("✓ passed")}  ${paint.strong(times(verdict.score?.value ?? null))} (${times(verdict.score?.low ?? null)} to ${times(verdict.score?.high ?? null)})`
      : `${paint.bad(`✗ ${verdict.status}`)} in phase ${verdict.phase}: ${verdict.message}`;
  const against = verdict.status === "passed" ? verdict.aggregate?.vsIncumbent : null;
  return [
    head,
    ...(against
      ? [
          `against the other kernel: ${against.value.toFixed(3)} times its speed (${against.low.toFixed(3)} to ${against.high.toFixed(3)})`,
        ]
      : []),
    ...(rows.length > 0
      ? [columns([["workload", "status", "kernel", "reference", "speed-up", "sizes"], ...rows])]
      : []),
    ...verdict.guards.map(
      (guard) => `${guard.level === "reject" ? paint.bad("✗") : "·"} ${guard.id}: ${guard.evidence}`,
    ),
    ...(verdict.status === "passed" ? [] : ["", verdict.logs.feedback]),
  ];
}
