import type { RunState } from "../src/index.ts";
import { armsOf, chooseModel, draftCall, rngFor } from "../src/index.ts";
import { Log, sampleOptions } from "./samples.ts";

/** How a simulated model does: the chance that its draft is better, by how many doublings, and what a draft costs. */
export type Model = { wins: number; gain: number; costMicroUsd: number; tokens?: number };

/** A search in which lanes ask the models that the bandit names, and dice say how their drafts do. */
export function play(models: Record<string, Model>, { attempts = 100, lanes = 4, seed = 1 } = {}): RunState {
  const labels = Object.keys(models) as [string, ...string[]];
  const log = new Log(sampleOptions({ models: labels, seed, budgetAttempts: attempts }));
  const dice = rngFor(seed, "play");
  const open: { attempt: number; model: string }[] = [];
  while (log.state.judged < attempts) {
    while (open.length < lanes && log.state.attempts.length < attempts) {
      const model = chooseModel(log.state);
      const attempt = log.state.attempts.length + 1;
      if (model === null) throw new Error("no choice");
      log.append({
        type: "attempt.started",
        attempt,
        cycle: `lane1-cycle${attempt}`,
        nodeId: "n",
        nodeAttempt: 1,
        kind: "draft_base",
        baseKernelId: log.state.best?.kernelId ?? null,
        previousAttempt: null,
        forecast: null,
        model,
      });
      open.push({ attempt, model });
    }
    const [next] = open.splice(Math.floor(dice() * open.length), 1);
    if (next === undefined) break;
    answer(log, next.attempt, models[next.model] ?? { wins: 0, gain: 0, costMicroUsd: 0 }, dice);
  }
  return log.state;
}

function answer(log: Log, attempt: number, { wins, gain, costMicroUsd, tokens = 1_000 }: Model, dice: () => number) {
  const started = log.state.attempts[attempt - 1];
  if (!started) throw new Error(`no attempt ${attempt}`);
  const call = draftCall(started);
  const usage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: tokens, reasoningTokens: 0, estimated: false };
  const { model } = started;
  const base = log.state.attempts.find(({ kernelId }) => kernelId === started.baseKernelId)?.score?.value ?? 1;
  const value = base * (dice() < wins ? 2 ** gain : 0.9);
  log.append(
    {
      type: "call.submitted",
      call,
      to: "llm",
      purpose: "draft",
      slot: call,
      model,
      submission: 1,
      reservedMicroUsd: 9,
    },
    { type: "call.answered", call, model: `${model}`, usage, costMicroUsd, durationMs: 5 },
    { type: "attempt.drafted", attempt, kernelId: `ker_${attempt}`, sameAs: null },
    {
      type: "attempt.judged",
      attempt,
      status: wins > 0 ? "passed" : "incorrect_numerical",
      score: wins > 0 ? { value, low: value, high: value } : null,
      vsBaseline: null,
      callNs: null,
      message: "",
    },
  );
}

/** How many attempts each model got. */
export const shares = (state: RunState): Record<string, number> =>
  Object.fromEntries(armsOf(state).map(({ model, judged, inFlight }) => [model, judged + inFlight]));
