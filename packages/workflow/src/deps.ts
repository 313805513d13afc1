import type { Blobs, Events, Llm, Money, Referee, Runs } from "@ksearch/ports";
import type { Log } from "./log.ts";

/** Everything that could differ on a rerun is here, and comes in as an argument. */
export type Ports = {
  readonly events: Events;
  readonly runs: Runs;
  readonly money: Money;
  readonly blobs: Blobs;
  readonly llm: Llm;
  readonly referee: Referee;
  /** Unix time in ms. */
  readonly now: () => number;
  /** Unix ms as ISO 8601, UTC. */
  readonly iso: (ms: number) => string;
};

export type Deps = Ports & { readonly log: Log };
