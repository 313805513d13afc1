/**
 * The names of calls: one a question, the same however often it is asked, and the path under which its answer lies.
 * Nothing else spells one.
 */

type AttemptKey = { cycle: string; attempt: number };

/** One lane's nth cycle: `lane2-cycle3`. */
export const cycleName = (lane: number, nth: number): string => `lane${lane}-cycle${nth}`;

/** Under which all of an attempt's steps are recorded, once and for all: `lane2-cycle3/attempt7`. */
export const attemptName = ({ cycle, attempt }: AttemptKey): string => `${cycle}/attempt${attempt}`;

export const seedCall = "seed/evaluate";
export const initCall = (nth: number): string => `init${nth}`;
export const proposeCall = (nth: number): string => `propose${nth}`;
export const draftCall = (attempt: AttemptKey): string => `${attemptName(attempt)}/draft`;
export const evaluateCall = (attempt: AttemptKey): string => `${attemptName(attempt)}/evaluate`;
/** The nth edit that a cycle asks for. */
export const refineCall = (cycle: string, nth: number): string => `${cycle}/refine${nth === 1 ? "" : nth}`;
export const confirmCall = (duel: number): string => `confirm${duel}/evaluate`;

/** The attempt that a call belongs to, null for one that is nobody's. */
export const attemptOfCall = (call: string): number | null => {
  const number = /\/attempt(\d+)\//.exec(call)?.[1];
  return number === undefined ? null : Number(number);
};

/** One asking of a call, unique in the run: `lane1-cycle1/attempt1/draft#1`. Money is reserved under it. */
export const submissionKey = (call: string, submission: number): string => `${call}#${submission}`;
