import { type Cycle, curve, type OpenCall, type RunState, repliesFrom, standing } from "@ksearch/domain";
import { agentLabel } from "@ksearch/workflow";
import { dollars, duration, paint, times } from "../output.ts";

const sparks = "▁▂▃▄▅▆▇█";

/** The best score over the judged attempts in one line of at most `width` characters. */
function sparkline(state: RunState, width: number): string {
  const bests = curve(state).map((point) => point.best ?? 0);
  const top = Math.max(...bests, 1e-9);
  return bests
    .slice(-width)
    .map((value) => sparks[Math.min(sparks.length - 1, Math.floor((value / top) * sparks.length))])
    .join("");
}

const bar = (done: number, total: number, width: number): string => {
  const filled = Math.round((Math.min(done, total) / Math.max(1, total)) * width);
  return paint.good("━".repeat(filled)) + paint.quiet("─".repeat(width - filled));
};

/** What a running search looks like on a terminal, as lines. Nothing but the state, the time and the width goes in. */
export function screen(state: RunState, nowMs: number, width: number, recent: readonly string[]): string[] {
  const { options } = state;
  const label = options.recordedReplies ? paint.alert(repliesFrom(options)) : repliesFrom(options);
  const budget = options.budgetMicroUsd === null ? "no money cap" : `of ${dollars(options.budgetMicroUsd)}`;
  const solved = [...state.tree.nodes.values()].filter((node) => node.solution !== null).length;
  const before = curve(state).at(-2)?.best ?? null;
  const best = standing(state)?.score ?? null;
  const change =
    best !== null && before !== null && best > before ? paint.good(` ▲ +${(best - before).toFixed(2)}`) : "";
  return [
    `${paint.strong(`ksearch  ${state.problem}`)}  ${paint.quiet(state.runId)}`,
    `${paint.quiet("model")}     ${label}`,
    `${paint.quiet("attempts")}  ${bar(state.judged, options.budgetAttempts, 24)} ${state.judged} of ${options.budgetAttempts}   ${paint.quiet("nodes")} ${state.tree.nodes.size - 1}, ${solved} solved`,
    `${paint.quiet("best")}      ${paint.strong(times(best))}${change}   ${sparkline(state, Math.max(8, Math.min(40, width - 40)))}`,
    `${paint.quiet("elapsed")}   ${duration(nowMs - state.startedAtMs)}   ${paint.quiet("cost")} ${dollars(state.spentMicroUsd)} ${budget}`,
    ...Array.from(
      { length: state.lanes },
      (_, index) => `${paint.quiet(`lane ${index + 1}`.padEnd(10))}${laneLine(state, index + 1, nowMs)}`,
    ),
    ...outsideLanes(state, nowMs),
    "",
    ...recent,
  ];
}

const doing = (state: RunState, call: OpenCall, nowMs: number): string => {
  const since = duration(nowMs - call.submittedAtMs);
  if (call.to === "referee") return `${call.purpose === "confirm" ? "confirming" : "judging"} ${paint.quiet(since)}`;
  const who = call.model === null || state.options.models.length === 1 ? "the model" : call.model;
  const what = call.model === agentLabel ? `waiting for an answer to ${call.call}` : `waiting for ${who}`;
  return `${what} ${paint.quiet(`(${call.purpose}) ${since}`)}`;
};

const openCall = (state: RunState, prefix: string): OpenCall | undefined =>
  [...state.calls.values()].find((call) => call.state === "submitted" && call.call.startsWith(prefix));

function laneLine(state: RunState, lane: number, nowMs: number): string {
  const cycle: Cycle | undefined = [...state.cycles.values()].find(
    (one) => one.lane === lane && one.epoch === state.epoch,
  );
  if (cycle) {
    const call = openCall(state, `${cycle.cycle}/`);
    const attempt = cycle.attempts.at(-1);
    return `${cycle.nodeId}${attempt === undefined ? "" : `  attempt ${attempt}`}  ${call ? doing(state, call, nowMs) : paint.quiet("between steps")}`;
  }
  if (state.proposal?.lane === lane) {
    const call = openCall(state, state.proposal.call);
    return call ? doing(state, call, nowMs) : paint.quiet("asks for new ideas");
  }
  const stop = state.stops.find((one) => one.lane === lane);
  return paint.quiet(stop ? `ended: ${stop.message}` : "idle");
}

/** What the run itself waits for: the first world model, the seed, a confirmation. */
const outsideLanes = (state: RunState, nowMs: number): string[] =>
  [...state.calls.values()]
    .filter((call) => call.state === "submitted" && ["init", "seed", "confirm"].includes(call.purpose))
    .map((call) => `${paint.quiet("run")}       ${doing(state, call, nowMs)}`);
