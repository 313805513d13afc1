import { AppError, type OpenCall } from "@ksearch/domain";
import { agentLabel, getJson, keys, StoredPrompt } from "@ksearch/workflow";
import { deliver, openRuns, type Stores, self } from "../local.ts";
import { columns, duration, print, printJson } from "../output.ts";
import { readText } from "../text.ts";
import { pickRun } from "./pick.ts";
import type { ReadCommand } from "./read.ts";

async function openPrompts(stores: Stores, given: string | undefined): Promise<{ runId: string; calls: OpenCall[] }> {
  const runId = await pickRun(stores, given);
  const { calls, status } = await stores.log.state(runId);
  if (status !== "running" && status !== "paused") return { runId, calls: [] };
  return {
    runId,
    calls: [...calls.values()].filter(
      (call) => call.model === agentLabel && call.state === "submitted" && call.ticket !== null,
    ),
  };
}

/** `ksearch prompts`: the prompts that wait for an answer; with `--call`, the text of one. */
export async function prompts(
  given: string | undefined,
  command: ReadCommand & { call?: string | undefined },
): Promise<void> {
  const stores = await openRuns(command);
  const { runId, calls } = await openPrompts(stores, given);
  if (command.call !== undefined) {
    const prompt = await getJson(stores.blobs, keys.prompt(runId, command.call), StoredPrompt);
    if (prompt === null) throw new AppError("caller", "prompt.unknown", `${runId} has no prompt '${command.call}'`);
    return command.json
      ? printJson({ runId, call: command.call, ...prompt })
      : print(`${prompt.system}\n\n${prompt.user}`);
  }
  if (command.json)
    return printJson({
      runId,
      prompts: calls.map(({ call, purpose, slot, submittedAtMs }) => ({
        call,
        purpose,
        slot,
        submittedAt: stores.iso(submittedAtMs),
      })),
    });
  if (calls.length === 0) return print(`no prompt of ${runId} waits for an answer`);
  print(
    columns([
      ["call", "purpose", "about", "waiting"],
      ...calls.map((call) => [call.call, call.purpose, call.slot, duration(stores.now() - call.submittedAtMs)]),
    ]),
  );
  print(`\nread one:  ${self} prompts ${runId} --call <call>\nanswer it: ${self} answer ${runId} <call> <file or ->`);
}

/** `ksearch answer`: delivers the reply to an open prompt; the first one holds. */
export async function answer(
  given: string,
  call: string,
  file: string,
  command: ReadCommand & { modelName: string },
): Promise<void> {
  const stores = await openRuns(command);
  const { runId, calls } = await openPrompts(stores, given);
  if (!calls.some((open) => open.call === call))
    throw new AppError(
      "caller",
      "prompt.closed",
      `no prompt '${call}' of ${runId} waits for an answer; open: ${calls.map((open) => open.call).join(", ") || "none"}`,
    );
  const outcome = await deliver(stores.blobs, runId, call, readText(file, "reply"), command.modelName);
  if (outcome === "existed")
    throw new AppError("caller", "prompt.answered", `'${call}' has been answered already; the first reply holds`);
  if (command.json) return printJson({ runId, call, delivered: true });
  print(`delivered to ${call}`);
}
