import { AppError, type EvaluationRequest, type Verdict } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import {
  accounts,
  bench,
  createRun,
  execute,
  failingVerdict,
  fakeLlm,
  fakeReferee,
  goodModel,
  kernelOf,
  kernelReply,
  ticketReferee,
  verdictFor,
  world,
} from "./fakes.ts";

const crash = () => new AppError("retry", "referee.rubbish", "the referee ended with signal SIGSEGV");
/** What a request is about: `lane1-cycle1/attempt1/evaluate`. */
const about = (request: EvaluationRequest) => request.requestId.replace(/^run_a\//, "");
const one = { lanes: 1, attemptsPerNode: { base: 1, max: 1 }, confirmTop: 1 };

describe("a referee in trouble", () => {
  test.each([
    [
      "that crashes",
      () => {
        throw crash();
      },
    ],
    ["of infra_error verdicts", (request: EvaluationRequest) => failingVerdict(request, "infra_error")],
  ] as const)("%s, twice: asked again under the same name, and the third verdict holds", async (_, trouble) => {
    let failures = 0;
    const referee = fakeReferee(0, (request) => {
      if (about(request).includes("attempt1/") && failures < 2) {
        failures += 1;
        return trouble(request);
      }
      return verdictFor(request);
    });
    const on = bench(goodModel(0, 3), referee);
    await createRun(on, "run_a", { ...one, budgetAttempts: 2 });
    const state = await execute(on, "run_a", 1);
    expect(state).toMatchObject({ status: "succeeded", judged: 2 });
    expect(state.attempts.map((attempt) => attempt.status)).toEqual(["passed", "passed"]);
    const first = referee.requests.filter((request) => about(request).includes("attempt1/"));
    expect(first.map((request) => request.requestId)).toEqual(Array(3).fill("run_a/lane1-cycle1/attempt1/evaluate"));
    const { rows, sum, spent } = await accounts(on, "run_a");
    expect(
      rows.filter((row) => row.key.startsWith("lane1-cycle1/attempt1/evaluate")).map((row) => row.outcome),
    ).toEqual(["failed", "failed", "answered"]);
    expect(sum).toBe(spent);
  });

  test.each<[string, (request: EvaluationRequest) => Verdict, RegExp]>([
    [
      "with a crash",
      () => {
        throw crash();
      },
      /3 times in a row.*SIGSEGV/,
    ],
    ["by passes without a score", (request) => ({ ...verdictFor(request), score: null }) as Verdict, /without timing/],
  ])(
    "for ever, %s: three tries an attempt, three such attempts, then the run pauses for the operator; mended, it goes on",
    async (_, judge, words) => {
      const broken = fakeReferee(0, judge);
      const on = bench(goodModel(0, 12), broken);
      await createRun(on, "run_a", { ...one, budgetAttempts: 8 });
      const paused = await execute(on, "run_a", 1);
      expect(paused).toMatchObject({
        status: "paused",
        judged: 3,
        pause: { who: "operator", code: "referee.trouble", message: expect.stringMatching(words) },
      });
      expect(paused.attempts.map((attempt) => attempt.status)).toEqual(["infra_error", "infra_error", "infra_error"]);
      expect(broken.requests).toHaveLength(9);

      const state = await execute(bench(goodModel(0, 12), fakeReferee(0), on.folder), "run_a", 1);
      expect(state).toMatchObject({ status: "succeeded", judged: 8, refereeTrouble: 0 });
      expect(state.confirmed).toBe(state.best?.kernelId);
    },
  );

  test("for ever, with four lanes: none goes on for long", async () => {
    const broken = fakeReferee(1, () => {
      throw crash();
    });
    const on = bench(goodModel(1, 12), broken);
    await createRun(on, "run_a", { budgetAttempts: 100 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({ status: "paused", pause: { who: "operator", code: "referee.trouble" } });
    expect(state.judged).toBeLessThanOrEqual(3 + 3);
    expect(broken.requests.length).toBeLessThanOrEqual(3 * state.attempts.length);
  });

  test("in the confirmation only: the search's work is kept, and a resume confirms without another attempt", async () => {
    const referee = fakeReferee(0, (request) => {
      if (about(request).startsWith("confirm")) throw crash();
      return verdictFor(request);
    });
    const on = bench(goodModel(0, 3), referee);
    await createRun(on, "run_a", { ...one, budgetAttempts: 3 });
    const paused = await execute(on, "run_a", 1);
    expect(paused).toMatchObject({ status: "paused", judged: 3, confirmed: null, pause: { code: "referee.trouble" } });
    expect(referee.requests.filter((request) => about(request).startsWith("confirm"))).toHaveLength(3);
    const llm = goodModel(0, 3);
    const state = await execute(bench(llm, fakeReferee(0), on.folder), "run_a", 1);
    expect(state).toMatchObject({ status: "succeeded", judged: 3 });
    expect(state.confirmed).toBe(paused.best?.kernelId);
    expect(llm.requests).toEqual([]);
  });

  test("whose host must be mended: paused at once with its words", async () => {
    const referee = fakeReferee(0, () => {
      throw new AppError("operator", "referee.start", "the referee cannot be started: run scripts/quickstart.sh");
    });
    const on = bench(goodModel(0, 3), referee);
    await createRun(on, "run_a", one);
    expect(await execute(on, "run_a", 1)).toMatchObject({
      status: "paused",
      judged: 0,
      pause: { who: "operator", code: "referee.start", message: expect.stringContaining("quickstart") },
    });
    expect(referee.requests).toHaveLength(1);
  });
});

describe("kernels that fail are attempts, not errors", () => {
  test("they are recorded with the referee's words, the next draft is told, and the budget counts them", async () => {
    const llm = goodModel(0, 3);
    const referee = fakeReferee(0, (request, count) =>
      count === 1
        ? failingVerdict(request, "compile_error")
        : count === 2
          ? failingVerdict(request, "incorrect_numerical")
          : verdictFor(request),
    );
    const on = bench(llm, referee);
    await createRun(on, "run_a", { lanes: 1, attemptsPerNode: { base: 3, max: 3 }, budgetAttempts: 3, confirmTop: 1 });
    const state = await execute(on, "run_a", 1);
    expect(state.attempts.map(({ status, kind }) => [status, kind])).toEqual([
      ["compile_error", "draft_spec"],
      ["incorrect_numerical", "debug"],
      ["passed", "debug"],
    ]);
    expect(state).toMatchObject({ status: "succeeded", pause: null, judged: 3 });
    expect(llm.requests.find((request) => request.slot === "draft/n0/2")?.prompt.user).toContain("words for the model");
  });

  test("nothing passes: the run has failed, says so, and keeps its tree and report", async () => {
    const on = bench(
      goodModel(0, 3),
      fakeReferee(0, (request) => failingVerdict(request, "compile_error")),
    );
    await createRun(on, "run_a", { budgetAttempts: 6 });
    const state = await execute(on, "run_a");
    expect(state).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("no kernel passed"),
      best: null,
      confirmed: null,
    });
    const files = await on.blobs.list("runs/run_a/result-1/");
    expect(files).toEqual([
      "runs/run_a/result-1/report.html",
      "runs/run_a/result-1/report.md",
      "runs/run_a/result-1/world_model.json",
    ]);
  });
});

describe("referee time is not spent", () => {
  test("on a kernel that was judged before: its verdict holds for the twin", async () => {
    const llm = fakeLlm(0, ({ purpose }) =>
      purpose === "init" ? world(5) : purpose === "draft" ? kernelReply(1.5, "always the same") : '{"ops": []}',
    );
    const referee = fakeReferee(0);
    const on = bench(llm, referee);
    await createRun(on, "run_a", { ...one, budgetAttempts: 5 });
    const state = await execute(on, "run_a", 1);
    expect(state.attempts.map(({ sameAs, status, score }) => [sameAs, status, score?.value])).toEqual([
      [null, "passed", 1.5],
      [1, "passed", 1.5],
      [1, "passed", 1.5],
      [1, "passed", 1.5],
      [1, "passed", 1.5],
    ]);
    expect(referee.requests.map(about)).toEqual(["lane1-cycle1/attempt1/evaluate", "confirm1/evaluate"]);
    expect(state.status).toBe("succeeded");
  });

  test("nor on a twin of a failed kernel; its draft is told that it came before", async () => {
    const llm = fakeLlm(0, ({ purpose }) =>
      purpose === "init" ? world(1) : purpose === "draft" ? kernelReply(1.5, "same") : '{"ops": []}',
    );
    const referee = fakeReferee(0, (request) => failingVerdict(request, "compile_error"));
    const on = bench(llm, referee);
    await createRun(on, "run_a", { lanes: 1, attemptsPerNode: { base: 3, max: 3 }, budgetAttempts: 3 });
    const state = await execute(on, "run_a", 1);
    expect(state.attempts.map((attempt) => attempt.status)).toEqual([
      "compile_error",
      "compile_error",
      "compile_error",
    ]);
    expect(referee.requests).toHaveLength(1);
    expect(llm.requests.at(-1)?.purpose).not.toBe("init");
    expect(llm.requests.find((request) => request.slot === "draft/n0/3")?.prompt.user).toContain(
      "the same kernel as attempt 1",
    );
  });

  test("on a kernel that does what no kernel needs", async () => {
    const llm = fakeLlm(0, ({ purpose, slot }, count) =>
      purpose === "init"
        ? world(2)
        : purpose === "draft"
          ? kernelReply(count, slot).replace("return x * 2", "import subprocess; return x * 2")
          : '{"ops": []}',
    );
    const referee = fakeReferee(0);
    const on = bench(llm, referee);
    await createRun(on, "run_a", { ...one, budgetAttempts: 2 });
    const state = await execute(on, "run_a", 1);
    expect(state.attempts.map(({ status, message }) => [status, message])).toEqual(
      Array(2).fill(["refused", expect.stringContaining("not allowed")]),
    );
    expect(referee.requests).toEqual([]);
    expect(state.status).toBe("failed");
  });
});

describe("a run that starts from a kernel", () => {
  const seed = kernelOf(1.5, "the seed");

  test("judges it first, shows it to the model, and builds on it", async () => {
    const [llm, referee] = [goodModel(0, 3), fakeReferee(0)];
    const on = bench(llm, referee);
    await createRun(on, "run_a", { ...one, budgetAttempts: 3 }, seed);
    const state = await execute(on, "run_a", 1);
    expect(about(referee.requests[0] as EvaluationRequest)).toBe("seed/evaluate");
    expect(referee.requests[0]?.kernel).toEqual(seed);
    expect(state.tree.nodes.get(state.tree.rootId)?.solution).toMatchObject({ attempt: 0, score: 1.5 });
    expect(llm.requests[0]?.prompt.user).toContain("score 1.5 the seed");
    expect(state.attempts.map(({ kind, baseKernelId }) => [kind, baseKernelId])).toEqual(
      Array(3).fill(["draft_base", state.seedKernelId]),
    );
    expect(llm.requests.find((request) => request.purpose === "draft")?.prompt.user).toContain("score 1.5 the seed");
    expect(state.judged).toBe(3);
  });

  test("keeps it when nothing is better", async () => {
    const on = bench(goodModel(0, 3), fakeReferee(0));
    await createRun(on, "run_a", { ...one, budgetAttempts: 3 }, kernelOf(9, "the seed"));
    const state = await execute(on, "run_a", 1);
    expect(state).toMatchObject({ status: "succeeded", best: { attempt: 0, score: 9 } });
    expect(state.confirmed).toBe(state.seedKernelId);
    expect(state.confirmed).not.toBeNull();
  });

  test("begins from nothing when it fails, and says why it failed", async () => {
    const referee = fakeReferee(0, (request) =>
      about(request).startsWith("seed") ? failingVerdict(request, "compile_error") : verdictFor(request),
    );
    const llm = goodModel(0, 3);
    const on = bench(llm, referee);
    await createRun(on, "run_a", { ...one, budgetAttempts: 2 }, seed);
    const state = await execute(on, "run_a", 1);
    expect(state).toMatchObject({ status: "succeeded", judged: 2, seedJudged: true });
    expect(state.attempts.map((attempt) => attempt.kind)).toEqual(["draft_spec", "draft_spec"]);
    const seedEvent = (await on.events.read("run_a", 0)).find(({ event }) => event.type === "seed.judged");
    expect(seedEvent?.event).toMatchObject({
      status: "compile_error",
      score: null,
      message: "it ended with compile_error",
    });
  });

  test("is judged once: a resume after the model failed does not judge it again", async () => {
    const dumb = fakeLlm(0, () => "no");
    const on = bench(dumb, fakeReferee(0));
    await createRun(on, "run_a", { ...one, budgetAttempts: 2 }, seed);
    expect(await execute(on, "run_a", 1)).toMatchObject({ status: "paused", seedJudged: true });
    const referee = fakeReferee(0);
    expect(await execute(bench(goodModel(0, 3), referee, on.folder), "run_a", 1)).toMatchObject({
      status: "succeeded",
    });
    expect(referee.requests.map(about).filter((call) => call.startsWith("seed"))).toEqual([]);
  });
});

describe("confirmation", () => {
  /** A search that finds kernels of these scores, and a referee that sees them otherwise on fresh seeds. */
  const searched = async (scores: number[], confirm: (request: EvaluationRequest) => ReturnType<typeof verdictFor>) => {
    let next = 0;
    const llm = fakeLlm(0, ({ purpose, slot }) =>
      purpose === "init"
        ? world(scores.length)
        : purpose === "draft"
          ? kernelReply(scores[next++] ?? 1, slot)
          : '{"ops": []}',
    );
    const referee = fakeReferee(0, (request) =>
      about(request).startsWith("confirm") ? confirm(request) : verdictFor(request),
    );
    const on = bench(llm, referee);
    await createRun(on, "run_a", { ...one, confirmTop: 3, budgetAttempts: scores.length });
    const state = await execute(on, "run_a", 1);
    const scoreOf = (kernelId: string | null) =>
      state.attempts.find((attempt) => attempt.kernelId === kernelId)?.score?.value ?? null;
    return { state, on, duels: referee.requests.filter((request) => about(request).startsWith("confirm")), scoreOf };
  };
  /** A verdict as if the kernel and its rival had these other scores. */
  const asIf = (request: EvaluationRequest, truth: Record<string, number>) => {
    const told = (text: string) =>
      text.replace(/score ([\d.]+)/, (_, score: string) => `score ${truth[score] ?? score}`);
    const kernel = (one: EvaluationRequest["kernel"]) => ({
      ...one,
      files: one.files.map((file) => ({ ...file, content: told(file.content) })),
    });
    return verdictFor({
      ...request,
      kernel: kernel(request.kernel),
      incumbent: request.incumbent && kernel(request.incumbent),
    });
  };

  test("the leader stands when it is as fast as it seemed: one duel with the runner-up each, on more timed calls", async () => {
    const { state, duels, scoreOf } = await searched([2, 3, 1.5, 1.2], verdictFor);
    expect(scoreOf(state.confirmed)).toBe(3);
    expect(duels.map((request) => [request.kernel.files[0]?.content, request.incumbent?.files[0]?.content])).toEqual([
      [expect.stringContaining("score 3 "), expect.stringContaining("score 2 ")],
      [expect.stringContaining("score 3 "), expect.stringContaining("score 1.5 ")],
    ]);
    expect(duels[0]?.settings.timing.iterations).toBeGreaterThan(state.options.evaluation.timing.iterations);
  });

  test("the runner-up wins when it is the faster one beyond the noise", async () => {
    const { state, on, scoreOf } = await searched([3, 2], (request) => asIf(request, { "3": 1.1 }));
    expect(state.best?.score).toBe(3);
    expect(scoreOf(state.confirmed)).toBe(2);
    const solution = new TextDecoder().decode((await on.blobs.get("runs/run_a/result-1/kernel/main.py")) ?? undefined);
    expect(solution).toContain("score 2 ");
    expect(await on.runs.get("run_a")).toMatchObject({ bestScore: 2 });
  });

  test("a lead within the noise stands", async () => {
    const { state, scoreOf } = await searched([3, 2.99], (request) => asIf(request, { "3": 2.985 }));
    expect(scoreOf(state.confirmed)).toBe(3);
  });

  test("a leader that is wrong on fresh seeds loses to the next", async () => {
    const { state, scoreOf } = await searched([3, 2, 1.5], (request) =>
      request.kernel.files[0]?.content.includes("score 3 ")
        ? failingVerdict(request, "incorrect_numerical")
        : verdictFor(request),
    );
    expect(scoreOf(state.confirmed)).toBe(2);
    expect(state.duels[0]).toMatchObject({ status: "incorrect_numerical", winner: state.confirmed });
    expect(state.status).toBe("succeeded");
  });

  test("where none stands, nothing is called the best and the run has failed", async () => {
    const { state, on, duels } = await searched([3, 2, 1.5, 1.2], (request) =>
      failingVerdict(request, "incorrect_numerical"),
    );
    expect(state).toMatchObject({
      status: "failed",
      confirmed: null,
      confirmDone: true,
      reason: expect.stringContaining("no kernel held on fresh seeds"),
    });
    expect(new Set(duels.map((request) => request.kernel.files[0]?.content)).size).toBe(4);
    expect(await on.runs.get("run_a")).toMatchObject({ status: "failed", bestScore: null, speedup: null });
    const report = await on.blobs.get("runs/run_a/result-1/report.md");
    expect(new TextDecoder().decode(report ?? undefined)).toContain("No kernel held on fresh seeds");
    expect(await on.blobs.get("runs/run_a/result-1/solution.json")).toBeNull();
  });
});

describe("a referee that gives tickets", () => {
  test("a whole search through them", async () => {
    const referee = ticketReferee(3);
    const on = bench(goodModel(0, 6), referee);
    await createRun(on, "run_a", { lanes: 2, budgetAttempts: 6 });
    const state = await execute(on, "run_a", 2);
    expect(state).toMatchObject({ status: "succeeded", judged: 6 });
    expect(on.visited).toContain("CollectVerdict");
    expect(on.visited).toContain("CollectConfirm");
    expect(referee.tickets.size).toBe(state.callsMade.referee);
    expect(referee.canceled).toEqual([]);
  });

  test("a cancel while verdicts are out: the run ends as canceled and the tickets are canceled", async () => {
    const referee = ticketReferee(1_000_000);
    const on = bench(goodModel(0, 6), referee);
    await createRun(on, "run_a", { lanes: 2, budgetAttempts: 6 });
    const ended = execute(on, "run_a", 2);
    while (referee.tickets.size < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await on.log.commit("run_a", () => ({ events: [{ type: "cancel.requested" }], result: null }));
    expect(await ended).toMatchObject({ status: "canceled" });
    expect(referee.canceled.sort()).toEqual([...referee.tickets.keys()].sort());
  });

  test("a cancel while the seed is out ends the run, too", async () => {
    const referee = ticketReferee(1_000_000);
    const on = bench(goodModel(0, 6), referee);
    await createRun(on, "run_a", one, kernelOf(1, "seed"));
    const ended = execute(on, "run_a", 1);
    while (referee.tickets.size < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    await on.log.commit("run_a", () => ({ events: [{ type: "cancel.requested" }], result: null }));
    expect(await ended).toMatchObject({ status: "canceled" });
    expect(referee.canceled).toEqual(["ticket-1"]);
  });

  test("a pause with verdicts out loses none: after the resume every attempt is judged, once", async () => {
    const referee = ticketReferee(8);
    let drafts = 0;
    const llm = fakeLlm(0, ({ purpose, slot }, count) => {
      if (purpose === "draft" && ++drafts === 2) throw new AppError("caller", "llm.auth", "the key is not valid");
      return purpose === "init" ? world(4) : purpose === "draft" ? kernelReply(1 + count / 100, slot) : '{"ops": []}';
    });
    const on = bench(llm, referee);
    await createRun(on, "run_a", { lanes: 2, attemptsPerNode: { base: 1, max: 1 }, budgetAttempts: 100 });
    expect(await execute(on, "run_a", 2)).toMatchObject({ status: "paused", pause: { code: "llm.auth" } });
    const state = await execute(bench(goodModel(0, 4), referee, on.folder), "run_a", 2);
    expect(state).toMatchObject({ status: "succeeded", judged: 4 });
    expect(state.attempts.map((attempt) => attempt.status)).toEqual(Array(4).fill("passed"));
  });
});

test("a money budget that does not cover the confirmation: a success with its best so far, said to be unconfirmed", async () => {
  const free = fakeReferee(0);
  const referee = { ...free, price: () => (free.requests.length >= 2 ? 1_000_000 : 0) };
  const on = bench(goodModel(0, 4), referee);
  await createRun(on, "run_a", { lanes: 1, budgetAttempts: 2, budgetMicroUsd: 100_000 });
  const state = await execute(on, "run_a", 1);
  expect(state).toMatchObject({
    status: "succeeded",
    confirmed: null,
    reason: expect.stringContaining("not confirmed"),
  });
  expect(state.best).not.toBeNull();
});
