import {
  apply,
  type FlashInferProblem,
  hardenedSettings,
  type Kernel,
  type LoggedEvent,
  type RunEvent,
  type RunOptions,
  type RunState,
} from "../src/index.ts";

/** y = x · scale on batches of rows: the smallest problem with a constant axis, a varying one and a scalar. */
export const sampleProblem = (): FlashInferProblem => ({
  format: "flashinfer",
  definition: {
    name: "scale_rows",
    op_type: "elementwise",
    description: "Every row times a scalar.",
    axes: { batch: { type: "var" }, width: { type: "const", value: 64 } },
    inputs: {
      x: { shape: ["batch", "width"], dtype: "float32" },
      half: { shape: ["width"], dtype: "bfloat16" },
      scale: { shape: null, dtype: "float32" },
    },
    outputs: { y: { shape: ["batch", "width"], dtype: "float32" }, total: { shape: [], dtype: "int64" } },
    reference: "import numpy as np\n\ndef run(x, half, scale):\n    return x * scale, np.int64(x.size)\n",
  },
  workloads: [8, 512].map((batch) => ({
    uuid: `w${batch}`,
    axes: { batch },
    inputs: { x: { type: "random" }, half: { type: "random" }, scale: { type: "scalar", value: 2 } },
  })),
});

export const sampleKernel = (content = 'extern "C" void run() {}'): Kernel => ({
  definition: "scale_rows",
  language: "cpp",
  entryPoint: "kernel.cpp::run",
  binding: "c-abi",
  destinationPassing: true,
  targetHardware: ["cpu"],
  dependencies: [],
  files: [{ path: "kernel.cpp", content }],
});

export const sampleOptions = (changes: Partial<RunOptions> = {}): RunOptions => ({
  policy: "lanes",
  stagnationWindow: 3,
  maxDifficulty: null,
  lanes: 2,
  attemptsPerNode: { base: 2, max: 4 },
  laneShare: 5,
  budgetAttempts: 20,
  budgetMicroUsd: null,
  targetScore: null,
  patience: null,
  confirmTop: 3,
  language: "cpp",
  device: "cpu",
  deviceFacts: "2 cores.",
  seed: 1,
  maxOutputTokens: 4_096,
  llmTimeoutMs: 60_000,
  evaluation: hardenedSettings,
  models: ["simulated"],
  treeModel: null,
  baseline: null,
  modelLabel: "simulated",
  recordedReplies: true,
  ...changes,
});

const impacts = { memory_bandwidth: { rating_0_to_10: 4, risk: "r", notes: "n" } };

/** A node as a model writes it. */
export const looseNode = (node_id: string, parent_id: string | null, changes: object = {}) => ({
  node_id,
  parent_id,
  decision: `decision of ${node_id}`,
  choice: `choice of ${node_id}`,
  overall_rating_0_to_10: 6,
  confidence_0_to_1: 0.5,
  notes: `notes of ${node_id}`,
  impacts,
  action: {
    title: `try ${node_id}`,
    description: "do it",
    rationale: "it pays",
    difficulty_1_to_5: 2,
    score_0_to_1: 0.6,
  },
  ...changes,
});

export const looseDocument = (nodes: object[]) => ({
  kernel_summary: "a summary",
  open_questions: ["why?"],
  decision_tree: {
    root_id: "root",
    nodes: [{ node_id: "root", parent_id: null, decision: null, choice: null, notes: "the analysis" }, ...nodes],
  },
});

/** A log that grows and the state that it describes. */
export class Log {
  readonly events: LoggedEvent[] = [];
  #state: RunState;
  constructor(options: RunOptions) {
    const event: RunEvent = {
      type: "run.created",
      runId: "run_1",
      problem: "scale_rows",
      problemDigest: "sha256:0",
      options,
      seedKernelId: null,
    };
    this.events.push({ seq: 1, atMs: 1_000, event });
    this.#state = apply(null, { seq: 1, atMs: 1_000, event });
  }
  get state(): RunState {
    return this.#state;
  }
  append(...events: RunEvent[]): RunState {
    for (const event of events) {
      const logged = { seq: this.#state.seq + 1, atMs: 1_000 + this.#state.seq * 10, event };
      this.events.push(logged);
      this.#state = apply(this.#state, logged);
    }
    return this.#state;
  }
}
