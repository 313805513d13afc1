import { rngFor } from "@ksearch/domain";
import type { Fault } from "../../packages/adapters/test/faults.ts";

/**
 * What is killed: a step's process before its invocation or in the middle of it, the execution (another one follows), a
 * container of the referee at work, the connections to Modal's control plane.
 */
export type Kill = "stepBefore" | "stepDuring" | "engine" | "container" | "connection";

/** What goes wrong in a rehearsal, drawn from a seed. */
export type FaultPlan = {
  dynamodb: () => Fault;
  s3: () => Fault;
  /** What is killed at the n-th invocation, when so many kills are done. */
  kill: (nth: number, done: number) => Kill | null;
  /** Whether the machine delivers a step's input a second time, as if its first answer had been lost. */
  twice: boolean;
  modal: { loseContainers: number; unavailable: number; throttle: number };
  /** How often each has happened. */
  done: () => Record<string, number>;
};

export const noFaults: FaultPlan = {
  dynamodb: () => "pass",
  s3: () => "pass",
  kill: () => null,
  twice: false,
  modal: { loseContainers: 0, unavailable: 0, throttle: 0 },
  done: () => ({}),
};

const throttled: Fault = {
  status: 400,
  headers: { "content-type": "application/x-amz-json-1.0" },
  body: JSON.stringify({
    __type: "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    message: "The level of configured provisioned throughput for the table was exceeded",
  }),
};
const slowDown: Fault = {
  status: 503,
  headers: { "content-type": "application/xml" },
  body: "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
};

/** In a hundred kills. Most states are steps, and a search has only so many executions. */
const shares: readonly [Kill, number][] = [
  ["stepBefore", 15],
  ["stepDuring", 35],
  ["engine", 20],
  ["container", 16],
  ["connection", 14],
];

function killOf(percent: number): Kill | null {
  let sum = 0;
  for (const [kill, share] of shares) {
    sum += share;
    if (percent < sum) return kill;
  }
  return null;
}

/** Some in a hundred requests are disturbed; at every `every`-th invocation something is killed until `kills` are done. */
export function faultPlan(seed: number, kills: number, every = 6): FaultPlan {
  const rng = rngFor(seed, "faults");
  const killRng = rngFor(seed, "kills");
  const done: Record<string, number> = {};
  const draw = (kinds: readonly [string, Fault][]) => () => {
    const [what, fault] = kinds[Math.floor(rng() * 100)] ?? ["", "pass" as const];
    if (what !== "") done[what] = (done[what] ?? 0) + 1;
    return fault;
  };
  return {
    dynamodb: draw([
      ["DynamoDB throttles", throttled],
      ["DynamoDB: connection cut before the work", "cutBefore"],
      ["DynamoDB: connection cut after the work", "cutAfter"],
    ]),
    s3: draw([
      ["S3 answers 503", slowDown],
      ["S3: connection cut before the work", "cutBefore"],
      ["S3: connection cut after the work", "cutAfter"],
    ]),
    kill: (nth, killed) => {
      if (killed >= kills || nth % every !== 0) return null;
      return killOf(killRng() * 100);
    },
    twice: true,
    modal: { loseContainers: 2, unavailable: 3, throttle: 2 },
    done: () => done,
  };
}
