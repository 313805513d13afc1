import { pollMs } from "../../packages/adapters/src/modal/connection.ts";
import { nextWaitSeconds } from "../../packages/workflow/src/payload.ts";
import type { RehearsalLog } from "../rehearse/log.ts";
import { cost } from "./prices.ts";

/** What a control plane did, in the units that are billed. */
export type Use = {
  transitions: number;
  invocations: number;
  gbSeconds: number;
  writeUnits: number;
  readUnits: number;
  puts: number;
  gets: number;
  logBytes: number;
  traces: number;
};

export const services = ["Step Functions", "Lambda", "DynamoDB", "S3", "CloudWatch Logs", "X-Ray"] as const;

/** Dollars by service. */
export function costsOf(use: Use): Record<(typeof services)[number], number> {
  return {
    "Step Functions": cost("transition", use.transitions),
    Lambda: cost("invocation", use.invocations) + cost("gbSecond", use.gbSeconds),
    DynamoDB: cost("writeUnit", use.writeUnits) + cost("readUnit", use.readUnits),
    S3: cost("put", use.puts) + cost("get", use.gets),
    "CloudWatch Logs": cost("logGb", use.logBytes / 1e9),
    "X-Ray": cost("trace", use.traces),
  };
}

export const sum = (figures: readonly number[]): number => figures.reduce((total, one) => total + one, 0);

/** Start, report and end of an invocation as Lambda itself logs them in JSON; an estimate. */
export const platformLogBytes = 1_000;

/** The rehearsal as it ran. */
export function measured(log: RehearsalLog): Use {
  const functions = Object.values(log.invocations);
  const invocations = sum(functions.map((one) => one.invocations));
  const stores = Object.values(log.dynamodb);
  return {
    transitions: sum(Object.values(log.statesEntered)),
    invocations,
    gbSeconds: sum(functions.map(({ ms, importMs, memoryMiB }) => ((ms + importMs) / 1_000) * (memoryMiB / 1_024))),
    writeUnits: sum(stores.map(({ writeUnits }) => writeUnits)),
    readUnits: sum(stores.map(({ readUnits }) => readUnits)),
    puts: (log.s3.PUT?.requests ?? 0) + (log.s3.LIST?.requests ?? 0),
    gets: log.s3.GET?.requests ?? 0,
    logBytes: log.logBytes + invocations * platformLogBytes,
    traces: log.executions + log.rounds * log.lanes,
  };
}

/** Whom a function asks. */
const refereeFunctions = new Set(["seed", "evaluate", "confirm"]);
const refereePurposes = new Set(["seed", "evaluate", "confirm"]);

/** Wait, Collect, Ready: what a poll enters. */
export const statesOfPoll = 3;

/** A poll of Modal looks for as long as this; a poll of a model only asks. */
export const lookSeconds = pollMs / 1_000;

export type Polls = { waits: number[]; lookedSeconds: number };

/** The polls for an answer that is there after `seconds`, each of which looks for `lookFor` seconds at most. */
export function pollsFor(seconds: number, lookFor: number): Polls {
  const waits: number[] = [];
  let lookedSeconds = 0;
  for (let clock = 0; clock < seconds; ) {
    const wait = nextWaitSeconds(waits.at(-1));
    waits.push(wait);
    const looked = Math.min(lookFor, Math.max(0, seconds - clock - wait));
    lookedSeconds += looked;
    clock += wait + looked;
  }
  return { waits, lookedSeconds };
}

/** `background`: the model answers later and is polled; otherwise a function waits for its reply. */
export type Scenario = { evaluationSeconds: number; replySeconds: number; background: boolean };

export const callsOf = (log: RehearsalLog) => {
  const of = (isReferee: boolean) =>
    sum(
      Object.entries(log.answeredCalls)
        .filter(([purpose]) => refereePurposes.has(purpose) === isReferee)
        .map(([, count]) => count),
    );
  return { evaluations: of(true), replies: of(false) };
};

/** Polls that the rehearsal itself made: not of a cloud, its waits are short. */
export const rehearsedPolls = (log: RehearsalLog): number =>
  sum(Object.entries(log.statesEntered).flatMap(([state, count]) => (state.startsWith("Wait") ? [count] : [])));

/** Mean duration of a warm step that asks somebody who answers at once. */
export const workMs = (log: RehearsalLog): number => {
  const { invocations = 0, cold = 0, warmMs = 0 } = log.invocations.draft ?? {};
  return warmMs / (invocations - cold);
};

/** The same search with the polls of a cloud. */
export function inCloud(log: RehearsalLog, { evaluationSeconds, replySeconds, background }: Scenario): Use {
  const { evaluations, replies } = callsOf(log);
  const evaluation = pollsFor(evaluationSeconds, lookSeconds);
  const reply = background ? pollsFor(replySeconds, 0) : { waits: [], lookedSeconds: replySeconds };
  const polls = evaluations * evaluation.waits.length + replies * reply.waits.length;
  const rehearsed = measured(log);
  const invocations = rehearsed.invocations - rehearsedPolls(log) + polls;
  const perInvocation = invocations / rehearsed.invocations;
  const memoryGb = Math.max(...Object.values(log.invocations).map(({ memoryMiB }) => memoryMiB)) / 1_024;
  // Of the functions that ask the referee, what they took here is how long this CPU judged.
  const others = Object.entries(log.invocations).filter(([name]) => !refereeFunctions.has(name));
  const workSeconds =
    sum(others.map(([, { ms, importMs }]) => ms + importMs)) / 1_000 +
    ((evaluations + polls) * workMs(log)) / 1_000 +
    evaluations * evaluation.lookedSeconds +
    replies * reply.lookedSeconds;
  return {
    transitions: rehearsed.transitions + statesOfPoll * (polls - rehearsedPolls(log)),
    invocations,
    gbSeconds: workSeconds * memoryGb,
    writeUnits: rehearsed.writeUnits * perInvocation,
    readUnits: rehearsed.readUnits * perInvocation,
    puts: rehearsed.puts * perInvocation,
    gets: rehearsed.gets * perInvocation,
    logBytes: rehearsed.logBytes * perInvocation,
    traces: rehearsed.traces,
  };
}
