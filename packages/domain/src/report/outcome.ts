import type { AttemptStatus } from "../search/events.ts";
import { type Html, html } from "./html.ts";

/** Statuses of attempts as a picture can tell them apart: each has a shape and a mark, so that no colour is needed. */
export const outcomes = {
  passed: { words: "passed", mark: "✓", shape: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0" },
  wrong: { words: "wrong result", mark: "✗", shape: "M-4.5 -4.5L4.5 4.5M-4.5 4.5L4.5 -4.5" },
  broken: { words: "does not compile", mark: "△", shape: "M0 -5.5L5.5 4.5H-5.5Z" },
  crashed: { words: "crashed or too slow", mark: "◇", shape: "M0 -6L6 0L0 6L-6 0Z" },
  refused: { words: "refused", mark: "□", shape: "M-4.5 -4.5H4.5V4.5H-4.5Z" },
  unjudged: { words: "not judged", mark: "–", shape: "M-5 0H5" },
} as const satisfies Record<string, { words: string; mark: string; shape: string }>;
export type Outcome = keyof typeof outcomes;

const outcomeByStatus: Record<AttemptStatus, Outcome> = {
  passed: "passed",
  incorrect_shape: "wrong",
  incorrect_dtype: "wrong",
  incorrect_numerical: "wrong",
  compile_error: "broken",
  runtime_error: "crashed",
  timeout: "crashed",
  rejected: "refused",
  refused: "refused",
  unparsable: "unjudged",
  infra_error: "unjudged",
};

/** Of an attempt; null: it is still at work. */
export const outcomeOf = (status: AttemptStatus | null): Outcome =>
  status === null ? "unjudged" : outcomeByStatus[status];

/** The mark of an attempt's outcome, in the colour that goes with it. */
export function outcomeMark(status: AttemptStatus | null): Html {
  if (status === null) return html`<span class="quiet">…</span>`;
  return html`<span class="${status === "passed" ? "good" : "bad"}">${outcomes[outcomeOf(status)].mark}</span>`;
}

/** `✓ passed`, `✗ incorrect_numerical`. */
export const statusMark = (status: AttemptStatus | null): Html =>
  html`<span class="status">${outcomeMark(status)} ${status ?? "at work"}</span>`;
