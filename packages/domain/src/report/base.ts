import type { KernelId } from "../kernel.ts";
import type { RunState } from "../search/state.ts";

/** What a kernel was made from: the draft before it, else the kernel that its node builds on. Null: from nothing. */
export function baseOf(state: RunState, kernelId: KernelId): { kernelId: KernelId; words: string } | null {
  const made = state.attempts.find((attempt) => attempt.kernelId === kernelId);
  if (!made) return null;
  const before = made.previousAttempt === null ? undefined : state.attempts[made.previousAttempt - 1];
  const base = before?.kernelId ?? made.baseKernelId;
  if (base === null || base === kernelId) return null;
  const source = before?.kernelId === base ? before : state.attempts.find((attempt) => attempt.kernelId === base);
  return {
    kernelId: base,
    words: source ? `attempt ${source.attempt} (${source.nodeId})` : "the kernel that was there before the run",
  };
}
