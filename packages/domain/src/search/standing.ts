import type { KernelId } from "../kernel.ts";
import type { RunState } from "./state.ts";

/** What a run has to show: the confirmed kernel, or until there is one the best of the search that nothing speaks against. */
export type Standing = { kernelId: KernelId; score: number; confirmed: boolean };

/** All kernels that passed in the search, the seed among them, best first. Of equals the one found first leads. */
export function ranked(state: RunState): { kernelId: KernelId; score: number }[] {
  const scores = new Map<KernelId, number>();
  for (const { kernelId, score } of state.attempts)
    if (kernelId !== null && score !== null) scores.set(kernelId, Math.max(score.value, scores.get(kernelId) ?? 0));
  const { seed } = state;
  if (seed) scores.set(seed.kernelId, Math.max(seed.score, scores.get(seed.kernelId) ?? 0));
  const rank = (kernelId: KernelId): number => (kernelId === state.best?.kernelId ? 0 : 1);
  return [...scores.entries()]
    .sort(([a, x], [b, y]) => y - x || rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([kernelId, score]) => ({ kernelId, score }));
}

/** Kernels that passed in the search and failed on the fresh seeds of a confirmation. */
export const refuted = (state: RunState): ReadonlySet<KernelId> =>
  new Set(
    state.duels.filter(({ status }) => status !== "passed" && status !== "infra_error").map(({ kernelId }) => kernelId),
  );

/** Scores of the confirmations that a kernel passed. Each timed it in a process of its own. */
export const confirmedScores = (state: RunState, kernelId: KernelId): number[] =>
  state.duels.flatMap((duel) => (duel.kernelId === kernelId && duel.score !== null ? [duel.score.value] : []));

/** By how much, beyond the interval, a rival has to be faster in order to take over (docs/decisions/0003). */
export const duelMargin = 0.05;

/** Null: no kernel passed, or none of those that did held on fresh seeds. */
export function standing(state: RunState): Standing | null {
  if (state.confirmed !== null) {
    const scores = confirmedScores(state, state.confirmed);
    const pooled = Math.exp(scores.reduce((sum, score) => sum + Math.log(score), 0) / scores.length);
    return { kernelId: state.confirmed, score: pooled, confirmed: true };
  }
  if (state.confirmDone) return null;
  const out = refuted(state);
  // While nothing speaks against the fold's own best, nobody has to rank all attempts for it.
  const best = out.size === 0 ? state.best : ranked(state).find(({ kernelId }) => !out.has(kernelId));
  return best ? { kernelId: best.kernelId, score: best.score, confirmed: false } : null;
}
