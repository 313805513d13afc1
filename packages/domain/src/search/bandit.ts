import type { KernelId } from "../kernel.ts";
import { rngFor } from "./rng.ts";
import type { Attempt, RunState } from "./state.ts";

/**
 * Which of a run's models drafts the next attempt: a bandit with one arm a model, by reward per dollar
 * (docs/decisions/0012 has the formula and where it comes from). Rewards are doublings of the score; the prior is what an
 * arm is believed to bring before it has brought anything, so that among arms without success the cheaper one leads.
 */
const weights = { exploration: 1, prior: 0.02, mostReward: 1, jitter: 1e-6 };

/** What is known of a model in a run. */
export type Arm = {
  readonly model: string;
  /** Attempts judged, and attempts at work: those count as judged without reward until they are (virtual loss). */
  readonly judged: number;
  readonly inFlight: number;
  /** Sum over the judged ones, log2 of the improvement, each 0 to 1. */
  readonly reward: number;
  /** Attempts whose drafts cost something, what they cost together, and their tokens. */
  readonly paid: number;
  readonly costMicroUsd: number;
  readonly tokens: number;
};

/** The label of the model for the next attempt; null where there is no choice. Pure: the same state, the same label. */
export function chooseModel(state: RunState): string | null {
  const { models, seed } = state.options;
  if (models.length === 1) return null;
  const rng = rngFor(seed, `model/${state.attempts.length + 1}`);
  const arms = armsOf(state);
  const costs = meanCosts(arms);
  const rates = arms.map(({ reward, judged, inFlight }, index) => {
    const pulls = judged + inFlight;
    return (reward + weights.prior) / (pulls + 1) / (costs[index] ?? 1);
  });
  const bestRate = Math.max(...rates);
  const allPulls = arms.reduce((sum, { judged, inFlight }) => sum + judged + inFlight, 0);
  const index = (arm: Arm, rate: number): number => {
    const pulls = arm.judged + arm.inFlight;
    if (pulls === 0) return Number.POSITIVE_INFINITY;
    return rate / bestRate + weights.exploration * Math.sqrt(Math.log(1 + allPulls) / pulls);
  };
  const ranked = arms
    .map((arm, position) => ({ arm, value: index(arm, rates[position] ?? 0), tie: weights.jitter * rng() }))
    .sort((a, b) => (a.value === b.value ? b.tie - a.tie : b.value - a.value));
  return ranked[0]?.arm.model ?? models[0];
}

/** The model that drafts an attempt: its own, or the run's first where its own is no longer among the run's. */
export const draftModelOf = ({ options: { models } }: RunState, { model }: Attempt): string =>
  model !== null && models.includes(model) ? model : models[0];

/** The arms of a run, in the order of its models. The referee's own trouble says nothing of a model, but its draft was paid. */
export function armsOf(state: RunState): Arm[] {
  const scores = new Map<KernelId, number>();
  const { seed } = state;
  if (seed) scores.set(seed.kernelId, seed.score);
  const arms = new Map(state.options.models.map((model): [string, Arm] => [model, untried(model)]));
  for (const attempt of state.attempts) {
    const arm = attempt.model === null ? undefined : arms.get(attempt.model);
    if (arm) arms.set(arm.model, pulled(arm, attempt, rewardOf(state, attempt, scores)));
    if (attempt.kernelId !== null && attempt.score !== null) scores.set(attempt.kernelId, attempt.score.value);
  }
  return [...arms.values()];
}

const untried = (model: string): Arm => ({
  model,
  judged: 0,
  inFlight: 0,
  reward: 0,
  paid: 0,
  costMicroUsd: 0,
  tokens: 0,
});

function pulled(arm: Arm, { status, llmMicroUsd, llmTokens }: Attempt, reward: number): Arm {
  const isJudged = status !== null && status !== "infra_error";
  return {
    ...arm,
    judged: arm.judged + (isJudged ? 1 : 0),
    inFlight: arm.inFlight + (status === null ? 1 : 0),
    reward: arm.reward + reward,
    paid: arm.paid + (llmMicroUsd > 0 || llmTokens > 0 ? 1 : 0),
    costMicroUsd: arm.costMicroUsd + llmMicroUsd,
    tokens: arm.tokens + llmTokens,
  };
}

/** log2 of the score over the better of the kernels that the attempt was shown (none: 1, the reference), 0 to 1. A known kernel brings nothing. */
function rewardOf(state: RunState, attempt: Attempt, scores: ReadonlyMap<KernelId, number>): number {
  if (attempt.score === null || attempt.sameAs !== null) return 0;
  const { previousAttempt, baseKernelId } = attempt;
  const previous = previousAttempt === null ? undefined : state.attempts[previousAttempt - 1]?.score?.value;
  const base = baseKernelId === null ? undefined : scores.get(baseKernelId);
  const shown = [previous, base].filter((score) => score !== undefined);
  const builtOn = shown.length === 0 ? 1 : Math.max(...shown);
  return Math.min(weights.mostReward, Math.max(0, Math.log2(attempt.score.value / builtOn)));
}

/**
 * What a draft costs with each arm, in one unit. A model without a price is charged its tokens at the cheapest rate that a
 * priced one shows, or, where none has a price, one a token. Of an arm that has cost nothing yet the least is believed.
 */
function meanCosts(arms: readonly Arm[]): number[] {
  const rates = arms.flatMap(({ costMicroUsd, tokens }) =>
    costMicroUsd > 0 && tokens > 0 ? [costMicroUsd / tokens] : [],
  );
  const perToken = rates.length === 0 ? 1 : Math.min(...rates);
  const means = arms.map(({ costMicroUsd, tokens, paid }) =>
    paid === 0 ? null : (costMicroUsd > 0 ? costMicroUsd : tokens * perToken) / paid,
  );
  const known = means.filter((mean) => mean !== null);
  const least = known.length === 0 ? 1 : Math.min(...known);
  return means.map((mean) => mean ?? least);
}
