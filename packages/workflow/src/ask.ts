import {
  AppError,
  asAppError,
  type Decision,
  type OpenCall,
  type Purpose,
  type RunState,
  submissionKey,
  type Usage,
} from "@ksearch/domain";
import type { z } from "zod";
import type { Deps } from "./deps.ts";
import { firstJson, getJson, keys } from "./store.ts";

/** A paid question to the model or the referee, under a name that is unique in the run. */
export type Question<A> = {
  call: string;
  to: "llm" | "referee";
  purpose: Purpose;
  slot: string;
  schema: z.ZodType<A>;
  worstMicroUsd: number;
  submit: () => Promise<{ answer: A } | { ticket: string }>;
  collect: (ticket: string) => Promise<{ answer: A } | "running">;
  receipt: (answer: A) => { model: string; usage: Usage | null; costMicroUsd: number };
};

/**
 * Asks once and for all: a recorded answer is returned, never asked for or paid again; a ticket is collected; a
 * submission that a dead process left without an answer is booked as lost at its worst case and asked anew.
 * Null: the answer is not there yet, or the money that it may cost is reserved for calls in flight. Throws AppError:
 * `budget.exhausted`, or whatever the port threw (recorded first).
 */
export async function ask<A>(deps: Deps, runId: string, question: Question<A>): Promise<A | null> {
  const { call, schema } = question;
  const recorded = await getJson(deps.blobs, keys.answer(runId, call), schema);
  const open = (await deps.log.state(runId)).calls.get(call);
  if (recorded !== null) {
    if (open?.state === "submitted") await book(deps, runId, question, recorded, open);
    return recorded;
  }
  if (open?.state === "answered")
    throw new AppError(
      "operator",
      "store.corrupt",
      `the answer to ${call} is missing from the store: restore it from a copy`,
    );
  if (open?.state === "submitted" && open.ticket !== null)
    return settle(deps, runId, question, open, () => question.collect(open.ticket ?? ""));
  if (open?.state === "submitted") await bookLost(deps, runId, open);
  const submission = (open?.submission ?? 0) + 1;
  const key = submissionKey(call, submission);
  const reserved = await deps.money.reserve(runId, key, question.worstMicroUsd);
  if (reserved === "wait") return null;
  if (reserved === "exhausted")
    throw new AppError(
      "caller",
      "budget.exhausted",
      `the money budget does not cover another call: it may cost up to $${(question.worstMicroUsd / 1e6).toFixed(4)}`,
    );
  const mine = await deps.log.commit(runId, (state) => submit(state, question, submission, deps.now()));
  return settle(deps, runId, question, mine, question.submit);
}

/** The call as it is once this submission is told; whoever told it. */
function submit<A>(state: RunState, question: Question<A>, submission: number, nowMs: number): Decision<Submission> {
  const { call, to, purpose, slot, worstMicroUsd: reservedMicroUsd } = question;
  const known = state.calls.get(call);
  if (known && known.submission >= submission) return { events: [], result: known };
  return {
    events: [{ type: "call.submitted", call, to, purpose, slot, submission, reservedMicroUsd }],
    result: { submission, submittedAtMs: nowMs },
  };
}

type Submission = Pick<OpenCall, "submission" | "submittedAtMs">;

/** Failures after which the provider may have billed a reply that never came: booked at their worst case. */
const maybeBilled: ReadonlySet<string> = new Set(["llm.timeout", "llm.rubbish"]);

/** Waits for one exchange with the port and records what came of it: answer, ticket, nothing yet, or failure. */
async function settle<A>(
  deps: Deps,
  runId: string,
  question: Question<A>,
  open: Submission,
  exchange: () => Promise<{ answer: A } | { ticket: string } | "running">,
): Promise<A | null> {
  const { call } = question;
  let outcome: { answer: A } | { ticket: string } | "running";
  try {
    outcome = await exchange();
  } catch (error) {
    const { who, code, message } = asAppError(error);
    const costMicroUsd = maybeBilled.has(code) ? question.worstMicroUsd : 0;
    const outcome = costMicroUsd > 0 ? "lost" : "failed";
    // The log first: a death between the two must not leave a call that seems lost beside a row that cost nothing.
    await deps.log.commit(runId, () => ({
      events: [{ type: "call.failed", call, who, code, message: message.slice(0, 2_000), costMicroUsd }],
      result: null,
    }));
    const key = submissionKey(call, open.submission);
    await deps.money.settle(runId, {
      key,
      to: question.to,
      model: "",
      usage: null,
      costMicroUsd,
      outcome,
      atMs: deps.now(),
    });
    throw error;
  }
  if (outcome === "running") return null;
  if ("ticket" in outcome) {
    const { ticket } = outcome;
    await deps.log.commit(runId, () => ({ events: [{ type: "call.ticketed", call, ticket }], result: null }));
    return null;
  }
  const answer = await firstJson(deps.blobs, keys.answer(runId, call), question.schema, outcome.answer);
  await book(deps, runId, question, answer, open);
  return answer;
}

async function book<A>(deps: Deps, runId: string, question: Question<A>, answer: A, open: Submission): Promise<void> {
  const { call, to } = question;
  const { model, usage, costMicroUsd } = question.receipt(answer);
  await deps.money.settle(runId, {
    key: submissionKey(call, open.submission),
    to,
    model,
    usage,
    costMicroUsd,
    outcome: "answered",
    atMs: deps.now(),
  });
  await deps.log.commit(runId, (state: RunState) => {
    if (state.calls.get(call)?.state !== "submitted") return { events: [], result: null };
    const durationMs = Math.max(0, deps.now() - open.submittedAtMs);
    return { events: [{ type: "call.answered", call, model, usage, costMicroUsd, durationMs }], result: null };
  });
}

/** At the end of a run: what a dead process had submitted and nobody asks again was paid all the same. */
export async function bookAllLost(deps: BookDeps, runId: string): Promise<void> {
  for (const call of (await deps.log.state(runId)).calls.values()) {
    const inFlight = call.state === "submitted" && call.ticket === null;
    if (inFlight && (await deps.blobs.get(keys.answer(runId, call.call))) === null) await bookLost(deps, runId, call);
  }
}

type BookDeps = Pick<Deps, "blobs" | "money" | "log" | "now">;

async function bookLost(deps: BookDeps, runId: string, open: OpenCall): Promise<void> {
  const { call, to, submission, reservedMicroUsd } = open;
  await deps.money.settle(runId, {
    key: submissionKey(call, submission),
    to,
    model: "",
    usage: null,
    costMicroUsd: reservedMicroUsd,
    outcome: "lost",
    atMs: deps.now(),
  });
  await deps.log.commit(runId, (state: RunState) => {
    const now = state.calls.get(call);
    if (now?.state !== "submitted" || now.submission !== submission) return { events: [], result: null };
    return { events: [{ type: "call.lost", call, costMicroUsd: reservedMicroUsd }], result: null };
  });
}
