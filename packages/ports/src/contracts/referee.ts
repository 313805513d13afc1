import { type EvaluationRequest, Verdict } from "@ksearch/domain";
import { expect, test } from "vitest";
import type { Referee } from "../referee.ts";

/** What every referee must do, given a request with a good kernel and one whose kernel does not build. */
export function refereeContract(
  make: () => Promise<Referee>,
  good: EvaluationRequest,
  broken: EvaluationRequest,
): void {
  const judge = async (request: EvaluationRequest) => {
    const referee = await make();
    const submitted = await referee.submit(request);
    if ("verdict" in submitted) return submitted.verdict;
    for (;;) {
      const collected = await referee.collect(submitted.ticket);
      if (collected !== "running" && "ended" in collected) throw collected.ended;
      if (collected !== "running") return collected.verdict;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  test("a good kernel passes with a score, and the verdict parses", async () => {
    const verdict = Verdict.parse(await judge(good));
    expect(verdict.status).toBe("passed");
    if (verdict.status === "passed") expect(verdict.score?.value).toBeGreaterThan(0);
    expect(verdict.requestId).toBe(good.requestId);
  }, 60_000);
  test("a kernel that does not build is a verdict, not an exception", async () => {
    const verdict = Verdict.parse(await judge(broken));
    expect(verdict.status).toBe("compile_error");
    expect(verdict.logs.feedback).not.toBe("");
  }, 60_000);
  test("cancelling an unknown ticket is no error", async () => {
    await (await make()).cancel("no-such-ticket");
  });
}
