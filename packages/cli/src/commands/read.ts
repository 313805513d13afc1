import {
  AppError,
  apply,
  attemptLine,
  type KernelId,
  type RunState,
  type RunSummary,
  repliesFrom,
  standing,
  summarise,
  treeLines,
  value,
  worldModelFile,
} from "@ksearch/domain";
import { loadKernel, loadVerdict } from "@ksearch/workflow";
import { openRuns, type RunPlace, type Stores, self } from "../local.ts";
import { columns, dollars, duration, micros, note, paint, print, printJson, times } from "../output.ts";
import { eventLine, paintNode } from "../view/events.ts";
import { resultLines } from "../view/result.ts";
import { pickRun } from "./pick.ts";

export type ReadCommand = RunPlace & { json: boolean };

/** `ksearch list`: one line a run, newest first. */
export async function list(command: ReadCommand): Promise<void> {
  const stores = await openRuns(command);
  const lines = await Promise.all((await stores.runs.list(1_000)).map((run) => upToDate(stores, run)));
  const runs = await Promise.all(lines.map(async (run) => ({ ...run, status: await statusNow(stores, run) })));
  if (command.json) return printJson({ runs });
  if (runs.length === 0) return print(`no runs yet: '${self} run' starts one`);
  const rows = runs.map((run) => [
    run.id,
    run.problem,
    run.status === "interrupted" ? paint.alert(`interrupted: ${self} resume`) : run.status,
    String(run.attempts),
    times(run.bestScore),
    dollars(run.costMicroUsd),
    run.endedAt === null ? "–" : duration(Date.parse(run.endedAt) - Date.parse(run.startedAt)),
  ]);
  print(columns([["run", "problem", "status", "attempts", "best", "cost", "took"], ...rows]));
}

/**
 * A run's line, anew from its log unless it has ended: a process that was killed may have left the line behind. A log
 * that cannot be read is told of on standard error, and hides no other run.
 */
async function upToDate(stores: Stores, run: RunSummary): Promise<RunSummary> {
  if (run.endedAt !== null) return run;
  try {
    return summarise(await stores.log.state(run.id), stores.iso);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    note(paint.alert(`${run.id}: ${error.message}`));
    return run;
  }
}

/** The status in the log; `interrupted` when it says running but no process is at work (killed, or the power went). */
const statusNow = async (stores: Stores, run: RunSummary): Promise<RunSummary["status"] | "interrupted"> =>
  run.status === "running" && !(await stores.isHeld(run.id)) ? "interrupted" : run.status;

/** `ksearch show`: the whole story of a run. */
export async function show(given: string | undefined, command: ReadCommand): Promise<void> {
  const stores = await openRuns(command);
  const runId = await pickRun(stores, given);
  const log = await stores.events.read(runId, 0);
  if (command.json)
    return printJson({
      runId,
      balance: await stores.money.balance(runId),
      usage: await stores.money.rows(runId),
      events: log,
    });
  let state: RunState | null = null;
  for (const logged of log) {
    state = apply(state, logged);
    const line = eventLine(logged, state);
    if (line !== null) print(`${paint.quiet(duration(logged.atMs - state.startedAtMs).padStart(12))}  ${line}`);
  }
  if (state) print(resultLines(state, stores.root).join("\n"));
}

/** `ksearch tree`: the world model as it stands, each node with its evidence. */
export async function tree(given: string | undefined, command: ReadCommand): Promise<void> {
  const stores = await openRuns(command);
  const state = await stores.log.state(await pickRun(stores, given));
  if (command.json) {
    const claimed = new Set([...state.cycles.values()].map((cycle) => cycle.nodeId));
    const nodes = [...state.tree.nodes.values()].map((node) => ({
      ...node,
      value: node.action === null ? null : value(state, node, claimed),
      attempts: node.attempts.map((number) => state.attempts[number - 1]),
    }));
    return printJson({
      runId: state.runId,
      model: repliesFrom(state.options),
      rootId: state.tree.rootId,
      nodes,
      document: worldModelFile(state),
    });
  }
  if (state.options.recordedReplies) print(paint.alert(repliesFrom(state.options)));
  print(treeLines(state).map(paintNode).join("\n"));
  print(paint.quiet("\n✓ solved  ✗ tried in vain  … at work  ○ open  × times the reference's speed"));
}

/** `ksearch kernel`: the source of the best kernel, or of one attempt, with its verdict. */
export async function kernel(
  given: string | undefined,
  command: ReadCommand & { attempt?: string | undefined },
): Promise<void> {
  const stores = await openRuns(command);
  const state = await stores.log.state(await pickRun(stores, given));
  const attempt = command.attempt === undefined ? undefined : state.attempts[Number(command.attempt) - 1];
  if (command.attempt !== undefined && !attempt)
    throw new AppError(
      "caller",
      "attempt.unknown",
      `${state.runId} has ${state.attempts.length} attempts, no attempt '${command.attempt}'`,
    );
  const best = attempt ? null : standing(state);
  const id: KernelId | null = (attempt ?? best)?.kernelId ?? null;
  if (id === null)
    throw new AppError(
      "caller",
      "kernel.none",
      attempt
        ? `attempt ${attempt.attempt} has no kernel: ${attemptLine(attempt)}`
        : `no kernel of ${state.runId} stands: none has passed yet, or none held on fresh seeds`,
    );
  const found = await loadKernel(stores.blobs, state.runId, id);
  const verdict = await loadVerdict(stores.blobs, state, id, attempt?.attempt);
  const model = repliesFrom(state.options);
  if (command.json) return printJson({ kernelId: id, model, kernel: found, verdict });
  const comment = found.language === "python" ? "#" : "//";
  const label = state.options.recordedReplies ? `${comment} ${model}\n` : "";
  const score = best ? best.score : verdict?.status === "passed" ? (verdict.score?.value ?? null) : null;
  const figures =
    verdict?.status === "passed"
      ? `${times(score)} the reference's speed${best?.confirmed ? ", confirmed" : ""}, ${micros(verdict.aggregate?.geomeanCallNs ?? null)} a call`
      : (verdict?.status ?? "not judged");
  for (const file of found.files)
    print(`${comment} ${file.path} of ${id} (${state.runId}): ${figures}\n${label}${file.content}`);
}
