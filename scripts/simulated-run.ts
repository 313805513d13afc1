/** A small run for `prompt-sizes.ts`, simulated from the first world model on: no model and no referee had a part in it. */
import {
  entryForms,
  type Kernel,
  kernelOf,
  type Language,
  type PolicyName,
  type Problem,
  type RunOptions,
  type RunState,
  readDocument,
  seedsOf,
  settingsFor,
} from "@ksearch/domain";
import { Log, looseDocument, looseNode, sampleOptions } from "../packages/domain/test/samples.ts";

/** A problem, how it is searched, and what the original is known to show of it. */
export type Subject = {
  problem: Problem;
  language: Language;
  /** A baseline's times, ns, in the problem's order of workloads; null: none. */
  baselineNs: number[] | null;
  /** What the original shows of this problem, characters: the whole specification, and its digest in edit prompts. */
  original: { specification: number; digest: number; rules: number };
};

/** Notes of a node. */
export const paragraph = (about: string): string =>
  `CURRENT: ${about}; one block a tile, operands staged once, the rest read in place; limited by memory traffic where a workload is large and by launch cost where it is small. FOLLOW_THROUGH: yes, with a smaller tile than was meant. UPDATE_BELIEF: splitting the longest dimension pays as soon as there are fewer tiles than multiprocessors.\nSELF_CHECK: differs from its siblings in what one block owns.`;

/** A node as a model writes it, with notes of the usual length. */
export const node = (id: string, parent: string, title: string) =>
  looseNode(id, parent, {
    decision: "What does one block own, and how do the partial results meet?",
    choice: `${title}, with partial results combined by a second pass where a row is split`,
    notes: paragraph(title),
    action: {
      title,
      description: `Map the work so that ${title.toLowerCase()}: choose the tile from the sizes at run time, keep accumulation in fp32, and write every output once.`,
      rationale: "The reference reads the same bytes several times; this reads them once.",
      difficulty_1_to_5: 3,
      score_0_to_1: 0.6,
      expected_vs_baseline_factor: 1.3,
    },
  });

export const nodes = [
  node("row_tiles", "root", "One block owns a tile of rows"),
  node("row_tiles_vec", "row_tiles", "Loads of 16 bytes a thread"),
  node("row_tiles_pipe", "row_tiles", "A two-stage pipeline of asynchronous copies"),
  node("split_long", "root", "The longest dimension is split over blocks"),
  node("split_long_tree", "split_long", "Partial results meet in a tree"),
  node("persistent", "root", "Resident blocks take tiles from a queue"),
];

/** What a referee may say of a kernel that passed, and of one that did not. */
export const passedWords =
  "The kernel passed.\n\nWorkloads:\n" +
  "- sizes of the first workload: passed, 0.0213 ms (reference 0.412 ms, 19.3x), 812 GB/s of inputs and outputs, spread 2%\n".repeat(
    5,
  );
export const failedWords = `incorrect_numerical: 17 of 65536 elements of 'output' are wrong\n\nWorkloads:\n- sizes of the first workload: incorrect_numerical, 99.97% of the elements are right, max error 0.31, rms 0.012\n${"    output[3, 5, 7]: got 0.125, want 0.0625\n".repeat(5)}`;

/** Characters of a stand-in for a kernel: the problem's own reference, over and over. */
export const kernelChars = 8_000;

export function standIn(problem: Problem, language: Language): Kernel {
  const form = entryForms[problem.format][language].at(-1);
  const code = `${referenceOf(problem)}\n`.repeat(100).slice(0, kernelChars);
  const files = (form?.files ?? []).map((path) => ({ path, content: code }));
  const made = kernelOf(files, { problem, language, targetHardware: "H100" });
  if ("problem" in made) throw new Error(made.problem);
  return made.kernel;
}

const referenceOf = (problem: Problem): string =>
  problem.format === "flashinfer"
    ? problem.definition.reference
    : problem.format === "gpumode"
      ? problem.files.map(({ content }) => content).join("\n")
      : problem.source;

export const optionsOf = ({ problem, language, baselineNs }: Subject, policy: PolicyName): RunOptions => {
  const ids = problem.format === "flashinfer" ? problem.workloads.map(({ uuid }) => uuid) : [];
  const targets = baselineNs && Object.fromEntries(ids.map((id, index) => [id, baselineNs[index] ?? 1]));
  return sampleOptions({
    policy,
    language,
    device: "H100",
    deviceFacts:
      "NVIDIA H100 80GB HBM3: 132 multiprocessors, 50 MiB L2, 3.35 TB/s. Compiler: the host's nvcc, -O3, sm_90a.",
    evaluation: {
      ...settingsFor(problem),
      baselineNs: targets,
      aggregate: targets === null ? "geomean_speedup" : "geomean_vs_baseline",
    },
  });
};

/**
 * A run with this tree in which `row_tiles` passed at the second attempt, `split_long` failed twice, and others are open.
 * Under `plain`, which has no tree, the same attempts lie on the root; before the first world model there are none.
 */
export function simulated(subject: Subject, policy: PolicyName, tree: readonly object[]): RunState {
  const log = new Log(optionsOf(subject, policy));
  const document = readDocument(looseDocument([...tree]));
  if (document === null) throw new Error("the simulated tree is none");
  log.append({
    type: "tree.initialised",
    call: "init1",
    kernelSummary: `${paragraph("a memory-bound reduction")} ${paragraph("the large workloads decide")}`,
    openQuestions: Array.from(
      { length: 5 },
      (_, index) => `Does regime ${index + 1} need a path of its own, and from which size on?`,
    ),
    rootId: "root",
    rootNotes: paragraph("the analysis").repeat(4),
    nodes: seedsOf(document.tree),
    repairs: [],
  });
  if (policy !== "plain" && tree.length === 0) return log.state;
  const outcomes: [string, number | null][] = [
    ["row_tiles", null],
    ["row_tiles", 1.21],
    ["split_long", null],
    ["split_long", null],
  ];
  for (const [index, [planned, value]] of outcomes.entries()) {
    const attempt = index + 1;
    const cycle = `lane1-cycle${attempt}`;
    const nodeId = policy === "plain" ? "root" : planned;
    const started = {
      nodeAttempt: 1,
      kind: "draft_spec" as const,
      baseKernelId: null,
      previousAttempt: null,
      forecast: 1.3,
      model: null,
    };
    const judged =
      value === null
        ? { status: "incorrect_numerical" as const, score: null, message: "17 of 65536 elements of 'output' are wrong" }
        : { status: "passed" as const, score: { value, low: value, high: value }, message: "" };
    log.append(
      { type: "cycle.opened", cycle, lane: 1, epoch: 1, nodeId },
      { type: "attempt.started", attempt, cycle, nodeId, ...started },
      { type: "attempt.drafted", attempt, kernelId: `ker_${attempt}`, sameAs: null },
      { type: "attempt.judged", attempt, vsBaseline: null, callNs: null, ...judged },
      { type: "cycle.closed", cycle, refine: false },
    );
  }
  return log.state;
}
