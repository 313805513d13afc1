import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { Verdict, type WorkloadVerdict } from "@ksearch/domain";
import { describe, expect, test, vi } from "vitest";
import { dataset, folderOf, gather, gatherKernel } from "../../../test/datasets.ts";
import { python, repository, template } from "../../../test/referee.ts";
import { saveSolution } from "./solutions.ts";
import { saveTraces } from "./traces.ts";

/** What the real package says of a dataset that we wrote into; importing it takes torch along. */
vi.setConfig({ testTimeout: 120_000 });

/** Loads a dataset as FlashInfer-Bench does before anything else, and says what it found. */
const load = `
import json, sys
from flashinfer_bench.data import TraceSet

found = TraceSet.from_path(sys.argv[1])
print(json.dumps({
    "definitions": sorted(found.definitions),
    "workloads": {name: len(traces) for name, traces in found.workloads.items()},
    "solutions": {s.name: [s.spec.language.value, s.spec.destination_passing_style] for all in found.solutions.values() for s in all},
    "traces": [[t.solution, t.workload.uuid, t.evaluation.status.value] for all in found.traces.values() for t in all],
    "passed": [t.evaluation.performance.speedup_factor for all in found.traces.values() for t in all if t.is_successful()],
}))
`;

const isThere = spawnSync(python, ["-c", "import flashinfer_bench"]).status === 0;
const loaded = (root: string) => {
  const { status, stdout, stderr } = spawnSync(python, ["-c", load, root], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
};

const extension = ["kernel.h", "kernel.cu", "main.cpp"].map((path) => ({ path, content: `// ${path}\n` }));

const said = (id: string, status: WorkloadVerdict["status"], maxAbs: number | "nan" | "inf" = 0.5): WorkloadVerdict => {
  const timing = { n: 5, medianNs: 2_000, meanNs: 2_100, stdNs: 1, minNs: 1_900, p90Ns: 2_200 };
  const isTimed = status === "passed";
  return {
    id,
    axes: {},
    status,
    correctness: { trials: 1, checkedTimed: 5, maxAbs, maxRel: "nan", rmsRel: 0.1, matchedRatio: 0.9, bad: [] },
    call: isTimed ? timing : null,
    device: null,
    referenceCall: isTimed ? { ...timing, medianNs: 6_000 } : null,
    referenceDevice: null,
    incumbentCall: null,
    incumbentDevice: null,
    floorNs: null,
    undercutNs: null,
    speedup: isTimed ? 3 : null,
  };
};

const statuses = [
  "compile_error",
  "incorrect_shape",
  "incorrect_dtype",
  "incorrect_numerical",
  "runtime_error",
] as const;
const verdicts: [string, Verdict][] = [
  ["passed", Verdict.parse({ ...template, requestId: "r", device: "cpu", workloads: [said("w1", "passed")] })],
  ...[...statuses, "timeout" as const, "rejected" as const].map((status): [string, Verdict] => {
    const { score: _, aggregate: __, ...common } = template;
    const workloads = [said("w1", status, "inf"), said("w2", status, "nan")];
    const failed = { ...common, status, message: "why", requestId: "r", device: "cpu", workloads };
    return [status, Verdict.parse(failed)];
  }),
];

describe.skipIf(!isThere)("flashinfer-bench 0.1.2 (skipped without it, or without torch)", () => {
  test("reads a dataset into which all that we can say was written", () => {
    const root = dataset();
    const about = (name: string) => ({ name, author: "ksearch", description: "" });
    saveSolution(root, gatherKernel({}), about("returns"));
    saveSolution(root, gatherKernel({ destinationPassing: true, language: "triton" }), about("fills"));
    const entryPoint = "main.cpp::run";
    saveSolution(
      root,
      gatherKernel({ language: "cuda", binding: "torch", entryPoint, files: extension }),
      about("extension"),
    );
    for (const [solution, verdict] of verdicts)
      saveTraces(root, {
        definition: gather.name,
        solution,
        author: "vendor/model",
        verdict,
        statistic: "median",
        timestamp: "2026-11-23T00:00:00.000Z",
      });
    const both = (status: string, solution = status.toLowerCase()) => [
      [solution, "w1", status],
      [solution, "w2", status],
    ];
    expect(loaded(root)).toEqual({
      definitions: expect.arrayContaining([gather.name]),
      workloads: expect.objectContaining({ [gather.name]: 2 }),
      solutions: { returns: ["python", false], fills: ["triton", true], extension: ["cuda", false] },
      traces: [
        ["passed", "w1", "PASSED"],
        ...[...statuses, "timeout"].flatMap((status) => both(status.toUpperCase())),
        ...both("RUNTIME_ERROR", "rejected"),
      ],
      passed: [3],
    });
  });

  test("reads the definitions that come along", () => {
    const root = folderOf({});
    cpSync(join(repository, "problems/flashinfer/definitions"), join(root, "definitions"), { recursive: true });
    expect(loaded(root).definitions).toContain("gqa_paged_decode_h32_kv4_d128_ps1");
  });
});
