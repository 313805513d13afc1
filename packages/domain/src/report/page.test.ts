import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bareReport, hostile, sampleReport } from "../../test/reports.ts";
import { sampleOptions } from "../../test/samples.ts";
import { simulate } from "../../test/simulator.ts";
import { judge, open, started, work } from "../../test/steps.ts";
import { type Problem, problemName } from "../problem.ts";
import type { EvaluationSettings } from "../referee/request.ts";
import type { RunReport } from "./facts.ts";
import { reportHtml } from "./page.ts";

/** The tags of a page in order, with the names of their attributes: all that a browser acts upon. */
const skeleton = (page: string): string[] =>
  (page.replace(/<(style|script)>.*?<\/\1>/gs, "<$1>").match(/<[^>]*>/g) ?? []).map((tag) =>
    tag.replace(/="[^"]*"/g, ""),
  );

const text = (page: string): string => page.replace(/<(style|script)>.*?<\/\1>/gs, "").replace(/<[^>]*>/g, "");

describe("words of models, kernels and logs", () => {
  test("never become markup: the page has the same tags whatever they are", () => {
    const plain = skeleton(reportHtml(sampleReport("words")));
    expect(skeleton(reportHtml(sampleReport(hostile)))).toEqual(plain);
    const anything = fc.string({ unit: "binary", minLength: 1, maxLength: 300 }).map((given) => `x${given}`);
    fc.assert(
      fc.property(anything, (given) => {
        expect(skeleton(reportHtml(sampleReport(given)))).toEqual(plain);
      }),
      { numRuns: 30 },
    );
  });

  test("show as they are, without what a reader would not see", () => {
    const page = reportHtml(sampleReport(`a <b> & "c" 'd'\u001b[31m red\u001b[0m \u202etxt\u0007 \r\nend`));
    expect(page).toContain("a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; red \ufffdtxt\ufffd \nend");
    expect(page).not.toMatch(/\p{Cc}(?<![\t\n])|[\u2028-\u202e]/u);
  });
});

test("the policy names the page's one script and one style by their digests, and allows nothing else", () => {
  const page = reportHtml(sampleReport());
  const digest = (element: string) => {
    const [, content = ""] = new RegExp(`<${element}>(.*?)</${element}>`, "s").exec(page) ?? [];
    return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
  };
  expect(page).toContain(
    `<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; script-src ${digest("script").replaceAll("'", "&#39;")}; style-src ${digest("style").replaceAll("'", "&#39;")}; base-uri &#39;none&#39;; form-action &#39;none&#39;">`,
  );
  expect(page.match(/<script|<style/g)).toHaveLength(2);
  expect(skeleton(page).join("")).not.toMatch(/ (src|style|on\w+)\b/);
  expect(page.match(/href="[^"]*"/g)?.every((href) => href.startsWith('href="#'))).toBe(true);
});

test("a page tells what was found, with interval, evidence, cost and the commands that do it again", () => {
  const seen = text(reportHtml(sampleReport()));
  for (const words of [
    "3.00×",
    "geometric mean over 2 workloads",
    "confirmed on fresh secret seeds, timed interleaved with its rivals: 3.00 (2.70 to 3.30)",
    "1 note of the referee",
    "ker_2",
    "1.20 (1.08 to 1.32)",
    "max(0.01, 0.01 · |reference|)",
    "compile_error",
    "npx ksearch judge scale_rows solution.json --target-gpu cpu",
    "npx ksearch transcript run_1 &gt; transcript.jsonl",
    "sha256:0",
  ])
    expect(seen).toContain(words);
});

test("recorded replies are labelled in the title and at the head, and only they", () => {
  const recorded = sampleReport();
  const live: RunReport = {
    ...recorded,
    state: { ...recorded.state, options: sampleOptions({ recordedReplies: false, modelLabel: "gpt-5-mini" }) },
  };
  expect(reportHtml(recorded)).toContain("<title>3.00× scale_rows (recorded replies) · ksearch</title>");
  expect(reportHtml(live)).toContain("<title>3.00× scale_rows · ksearch</title>");
  expect(text(reportHtml(recorded))).toContain("Recorded replies.");
  expect(text(reportHtml(live)).toLowerCase()).not.toContain("recorded");
});

describe("a run in any state has a page", () => {
  test("one that nothing has happened in", () => {
    const seen = text(reportHtml(bareReport(started([]))));
    for (const words of ["running: the log has no end yet", "No kernel passed.", "No attempt was judged.", "None yet."])
      expect(seen).toContain(words);
  });

  test("one that paused with an attempt at work, its best not confirmed", () => {
    const log = started(["a", "b"]);
    judge(log, open(log, work(log, 1)) ?? 0, 2);
    open(log, work(log, 2));
    log.append({ type: "run.paused", who: "caller", code: "budget.exhausted", message: "no money is left" });
    const seen = text(reportHtml(bareReport(log)));
    for (const words of ["paused: no money is left", "as measured in the search, not confirmed", "… at work"])
      expect(seen).toContain(words);
  });

  test("one of the policy plain, whose attempts all belong to the root", () => {
    const { state } = simulate({ options: sampleOptions({ policy: "plain", lanes: 1, budgetAttempts: 6 }), seed: 3 });
    const seen = text(reportHtml(bareReport({ state })));
    expect(seen).toMatch(/the problem as a whole root.*6 attempts/s);
    expect(seen).toContain("6 of at most 6");
  });
});

test.each<[string, Problem]>([
  [
    "GPU MODE",
    {
      format: "gpumode",
      name: "sum",
      description: "adds up",
      files: [{ path: "reference.py", content: "def ref_kernel(data): ...  # the reference" }],
      tests: [{ id: "t", args: { n: 1 } }],
      benchmarks: [{ id: "b", args: { n: 2 } }],
      rankingBy: "geom",
      madeFor: "gpu",
    },
  ],
  [
    "KernelBench",
    {
      format: "kernelbench",
      name: "kernelbench_l1_p7",
      level: 1,
      problemId: 7,
      title: "adds_up",
      source: "class Model: ...  # the reference",
      precision: "fp32",
      madeFor: "gpu",
    },
  ],
])("a problem of %s stands with its name, its words, its reference and one timed workload", (_, problem) => {
  const seen = text(reportHtml({ ...sampleReport(), problem }));
  for (const words of [problemName(problem), "adds up", "# the reference", "geometric mean over 1 workload,"])
    expect(seen).toContain(words);
});

test("with a baseline the score is times its speed, and its times stand beside the kernel's", () => {
  const report = sampleReport();
  const { options } = report.state;
  const evaluation: EvaluationSettings = {
    ...options.evaluation,
    aggregate: "geomean_vs_baseline",
    baselineNs: { words: 15_000 },
  };
  const baseline = { solution: "cublas", source: "measured" as const };
  const state = { ...report.state, options: { ...options, evaluation, baseline } };
  const seen = text(reportHtml({ ...report, state }));
  for (const words of ["the baseline's speed", "cublas, measured when the run began", "15.0", "1.50×"])
    expect(seen).toContain(words);
});

test("a run of 300 attempts with much to say fits into 2 MB; texts are cut with a word, the winner's source never", () => {
  const options = sampleOptions({ lanes: 4, budgetAttempts: 300 });
  const log = simulate({ options, seed: 7, proposes: 1 });
  const long = "<long words of a model> ".repeat(160);
  const nodes = [...log.state.tree.nodes].map(([id, node]) => [id, { ...node, notes: long, decision: long }] as const);
  const attempts = log.state.attempts.map((attempt) => ({ ...attempt, message: long }));
  const source = `// ${"<source> ".repeat(20_000)}the end of it`;
  const { winner, ...sample } = sampleReport();
  const state = { ...log.state, attempts, tree: { ...log.state.tree, nodes: new Map(nodes) } };
  const files = [{ path: "kernel.cpp", content: source }];
  const page = reportHtml({
    ...sample,
    state,
    winner: winner && { ...winner, kernel: { ...winner.kernel, files } },
  });
  expect(log.state.attempts.length).toBeGreaterThanOrEqual(300);
  expect(Buffer.byteLength(page)).toBeLessThan(2_000_000);
  expect(page).toContain("the end of it");
  expect(page).toMatch(/… \(cut: \d+ more characters\)/);
  expect(page.match(/<tr><th scope="row">\d+<\/th>/g)?.length).toBeGreaterThanOrEqual(log.state.attempts.length);
});
