import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseTranscript, replayLlm, type Transcript } from "@ksearch/adapters/replay";
import { type EvaluationRequest, rngFor, type Verdict } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import { createRun, execute, failingVerdict, fakeReferee, stage, verdictFor } from "./fakes.ts";

/** The transcripts that are shipped: on another machine times, scores and failures differ, and with them the order of a search. */
const folder = new URL("../../../problems/flashinfer/transcripts/", import.meta.url);
const transcripts = readdirSync(folder).map((name): [string, Transcript] => {
  return [name, parseTranscript(readFileSync(new URL(name, folder), "utf8"), fileURLToPath(new URL(name, folder)))];
});

describe.each(transcripts)("%s", (_, transcript) => {
  const chances = [0, 0.3, 0.8, 1];
  const searches = [1, 2, 4, 8].flatMap((lanes) =>
    [16, 24, 60].flatMap((budgetAttempts) => chances.map((failures) => ({ lanes, budgetAttempts, failures }))),
  );

  test.each(searches)(
    "answers every question of a search on $lanes lanes, $budgetAttempts attempts, of which $failures fail",
    async (search) => {
      const { lanes, budgetAttempts, failures } = search;
      const dice = rngFor(lanes * 1_000 + budgetAttempts * 10 + failures, "transcript");
      const delayMs = () => Math.floor(dice() ** 3 * 12);
      const judge = (request: EvaluationRequest): Verdict => {
        if (dice() < failures) return failingVerdict(request, dice() < 0.5 ? "compile_error" : "incorrect_numerical");
        const value = 0.3 + dice() * 5;
        const verdict = verdictFor(request);
        return verdict.status === "passed"
          ? { ...verdict, score: { ...verdict.score, name: "geomean_speedup", value, low: value, high: value } }
          : verdict;
      };
      const on = stage({ llm: replayLlm(transcript), referee: fakeReferee(delayMs, judge) });
      await createRun(on, "run_a", {
        lanes,
        budgetAttempts,
        attemptsPerNode: transcript.attemptsPerNode,
        language: "cpp",
      });
      const { pause, judged, attempts, status } = await execute(on, "run_a", lanes);
      expect({ pause, open: attempts.length - judged }).toEqual({ pause: null, open: 0 });
      expect(["succeeded", "failed"], "it ended").toContain(status);
      if (failures <= 0.3) expect(judged).toBeGreaterThanOrEqual(16);
      expect(attempts.filter((attempt) => attempt.status === "unparsable")).toEqual([]);
    },
  );
});
