import { rngFor } from "@ksearch/domain";
import type { Fault } from "../../packages/adapters/test/faults.ts";

/** What goes wrong in a rehearsal, drawn from a seed. */
export type FaultPlan = {
  dynamodb: () => Fault;
  s3: () => Fault;
  /** Kills a container before its invocation, or in the middle of it. */
  lambda: (name: string, nth: number) => "before" | "during" | null;
  /** Whether the machine delivers a step's input a second time, as if its first answer had been lost. */
  twice: boolean;
  modal: { loseContainers: number; unavailable: number; throttle: number };
  /** How often each has happened. */
  done: () => Record<string, number>;
};

export const noFaults: FaultPlan = {
  dynamodb: () => "pass",
  s3: () => "pass",
  lambda: () => null,
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

/** Some in a hundred requests are disturbed; `kills` containers die within the first steps of a search. */
export function faultPlan(seed: number, kills: number): FaultPlan {
  const rng = rngFor(seed, "faults");
  const done: Record<string, number> = {};
  const count = (what: string) => {
    done[what] = (done[what] ?? 0) + 1;
  };
  const draw = (kinds: readonly [string, Fault][]) => () => {
    const [what, fault] = kinds[Math.floor(rng() * 100)] ?? ["", "pass" as const];
    if (what !== "") count(what);
    return fault;
  };
  const every = 6;
  let killed = 0;
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
    lambda: (_, nth) => {
      if (killed >= kills || nth % every !== 0) return null;
      killed += 1;
      count("a step's process is killed");
      return rng() < 0.25 ? "before" : "during";
    },
    twice: true,
    modal: { loseContainers: 2, unavailable: 3, throttle: 2 },
    done: () => done,
  };
}
