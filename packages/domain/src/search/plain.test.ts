import { expect, test } from "vitest";
import { sampleKernel, sampleProblem } from "../../test/samples.ts";
import { judge, lane, open, started } from "../../test/steps.ts";
import { draftPrompt } from "../prompts/drafts.ts";
import { afterAttempt, claim, startAttempt } from "./decisions.ts";
import { attemptOf } from "./state.ts";

/** Policy `plain` (spec/ksearch.md 2.2): a chain of drafts, each made from the one before, with the best beside it. */
const plain = (changes = {}) => started([], { policy: "plain", lanes: 1, ...changes });

const opened = (log: ReturnType<typeof plain>, number = 1): string => {
  const { events, result } = claim(log.state, lane(number));
  log.append(...events);
  if (result.next !== "work") throw new Error(`the lane got ${result.next}`);
  return result.cycle;
};

test("each attempt revises the latest draft; the best stands beside it unless it is that draft", () => {
  const log = plain();
  const cycle = opened(log);
  for (const outcome of [1, 3, 2, "compile_error" as const]) judge(log, open(log, cycle) ?? 0, outcome);
  open(log, cycle);
  expect(
    log.state.attempts.map(({ kind, previousAttempt, baseKernelId }) => [kind, previousAttempt, baseKernelId]),
  ).toEqual([
    ["draft_spec", null, null],
    ["revise", 1, null],
    ["revise", 2, null],
    ["revise", 3, "ker_2"],
    ["revise", 4, "ker_2"],
  ]);
});

test("a draft that held no kernel is passed over: the one before it is revised", () => {
  const log = plain();
  const cycle = opened(log);
  judge(log, open(log, cycle) ?? 0, 1);
  judge(log, open(log, cycle) ?? 0, "unparsable", null);
  open(log, cycle);
  expect(attemptOf(log.state, 3)).toMatchObject({ kind: "revise", previousAttempt: 1 });
});

test("it never stops early, and asks for no edit of a world model when the budget is used", () => {
  const log = plain({ budgetAttempts: 12 });
  const cycle = opened(log);
  const results = Array.from({ length: 12 }, () => {
    judge(log, open(log, cycle) ?? 0, "runtime_error");
    const { events, result } = afterAttempt(log.state, cycle);
    log.append(...events);
    return result;
  });
  expect(results).toEqual([...Array.from({ length: 11 }, () => "again"), "claim"]);
  expect(startAttempt(log.state, cycle).result).toBeNull();
  expect(claim(log.state, lane(1)).result).toEqual({ next: "end" });
});

test("a kernel to start from is revised by the first draft", () => {
  const log = plain();
  const score = { value: 1.5, low: 1, high: 2 };
  log.append({ type: "seed.judged", kernelId: "ker_seed", status: "passed", score, vsBaseline: null, message: "" });
  open(log, opened(log));
  expect(attemptOf(log.state, 1)).toMatchObject({ kind: "revise", previousAttempt: null, baseKernelId: "ker_seed" });
});

test("each lane revises its own drafts", () => {
  const log = plain({ lanes: 2 });
  const [one, two] = [opened(log, 1), opened(log, 2)];
  for (const cycle of [one, two, one, two]) judge(log, open(log, cycle) ?? 0, "compile_error");
  open(log, one);
  open(log, two);
  expect(log.state.attempts.map(({ previousAttempt }) => previousAttempt)).toEqual([null, null, 1, 2, 3, 4]);
});

test("the prompt shows the latest draft with the referee's words, the best, and what was tried, and no world model", () => {
  const log = plain();
  const cycle = opened(log);
  judge(log, open(log, cycle) ?? 0, 2);
  judge(log, open(log, cycle) ?? 0, "compile_error");
  open(log, cycle);
  const { user } = draftPrompt(sampleProblem(), log.state, attemptOf(log.state, 3), {
    base: sampleKernel("// THE BEST"),
    previous: { kernel: sampleKernel("// THE LATEST"), feedback: "line 3: error" },
    latest: null,
  });
  for (const part of [
    "The best kernel so far",
    "// THE BEST",
    "The latest draft",
    "// THE LATEST",
    "> line 3: error",
    "attempt 1 (draft_spec): passed, score 2.000",
    "attempt 2 (revise): compile_error",
  ])
    expect(user).toContain(part);
  expect(user).not.toMatch(/world model|action/i);
});
