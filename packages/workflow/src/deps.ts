import type { Blobs, Events, Llm, Money, Referee, Runs } from "@ksearch/ports";
import type { Log } from "./log.ts";

/** Everything that could differ on a rerun is here, and comes in as an argument. What every step needs: */
export type Deps = {
  readonly events: Events;
  readonly runs: Runs;
  readonly money: Money;
  readonly blobs: Blobs;
  readonly log: Log;
  /** Unix time in ms. */
  readonly now: () => number;
  /** Unix ms as ISO 8601, UTC. */
  readonly iso: (ms: number) => string;
};

/** Of steps that ask a model. */
export type LlmDeps = Deps & { readonly llm: Llm };

/** Of steps that ask the referee. */
export type RefereeDeps = Deps & { readonly referee: Referee };

/** All ports of the state machine. */
export type Ports = Omit<LlmDeps & RefereeDeps, "log">;
