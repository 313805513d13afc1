import type { RunEvent, Usage } from "../search/events.ts";
import type { OriginalScore } from "./score.ts";

/** What charts need of a run beside its state: sums that no decision of the search reads. */
export type Tally = {
  /** Tokens of all answered model calls. */
  readonly tokens: Readonly<Omit<Usage, "estimated">>;
  /** Best score by K-Search's measure; null until something passes. */
  readonly best: OriginalScore | null;
};

export const emptyTally: Tally = {
  tokens: { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 },
  best: null,
};

/** The tally after an event. `score`: that of the attempt, where the event judges one that passed. */
export function tallied(before: Tally, event: RunEvent, score: OriginalScore | null): Tally {
  if (event.type === "attempt.judged" && score !== null && score.value > (before.best?.value ?? 0))
    return { ...before, best: score };
  if (event.type !== "call.answered" || event.usage === null) return before;
  const { tokens } = before;
  const { usage } = event;
  return {
    ...before,
    tokens: {
      inputTokens: tokens.inputTokens + usage.inputTokens,
      cachedInputTokens: tokens.cachedInputTokens + usage.cachedInputTokens,
      outputTokens: tokens.outputTokens + usage.outputTokens,
      reasoningTokens: tokens.reasoningTokens + usage.reasoningTokens,
    },
  };
}
