/** Measures the prompts of a simulated run and writes docs/prompts.md. `--check` only compares. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type AttemptKind,
  answerFormat,
  attemptOf,
  type DraftMaterials,
  draftPrompt,
  initPrompt,
  machineText,
  type Prompt,
  problemText,
  proposePrompt,
  type RunState,
  refinePrompt,
  systemText,
  treeView,
} from "@ksearch/domain";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { readFlashInfer, readGpuMode } from "../packages/adapters/src/datasets/index.ts";
import {
  failedWords,
  kernelChars,
  node,
  nodes,
  optionsOf,
  paragraph,
  passedWords,
  type Subject,
  simulated,
  standIn,
} from "./simulated-run.ts";

const inRepository = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const tokensOf = (text: string): number => encode(text).length;
const textOf = ({ system, user }: Prompt): string => `${system}\n\n${user}`;

/** A prompt of ours, and about how many characters the original's counterpart has. */
type Measured = { kind: string; prompt: Prompt; original: number };

/**
 * Characters of the original's prompts (spec/ksearch.md 3.6, 4.1, 9.4): its fixed text, its caps counted in full, and what it
 * copies whole (specification, code, logs) as long as in our prompt of the same run.
 */
function originals({ original: { specification, digest, rules } }: Subject, log: number) {
  const code = kernelChars;
  const init = 6_700 + specification;
  // fixed text, digest, world model, frontier, path, action, forecast, evaluation, code
  const edit = 5_800 + digest + 2_600 + 1_200 + 800 + 500 + 800 + 800 + code;
  // rules and format, specification, world model (a path of three with two siblings)
  const draft = rules + specification + 5_700;
  return {
    init,
    edit,
    refine: edit + 900,
    draft,
    onBase: draft + code,
    debug: draft + 2 * code + log,
    improve: draft + 2 * code,
    revise: rules + specification + 2 * code + log,
  };
}

function promptsOf(subject: Subject): Measured[] {
  const { problem, language } = subject;
  const state = simulated(subject, "lanes", nodes);
  const kernel = standIn(problem, language);
  const draft = (kind: AttemptKind, nodeId: string, materials: Partial<DraftMaterials>): Prompt =>
    draftPrompt(
      problem,
      state,
      { ...attemptOf(state, 2), nodeId, kind },
      { base: null, previous: null, latest: null, ...materials },
    );
  const failed = { kernel, feedback: failedWords };
  const passed = { kernel, feedback: passedWords };
  const plain = simulated(subject, "plain", []);
  const revised = {
    ...attemptOf(plain, 4),
    kind: "revise" as const,
    previousAttempt: 3,
    baseKernelId: "ker_2" as const,
  };
  const by = originals(subject, failedWords.length);
  return [
    { kind: "init", prompt: initPrompt(problem, simulated(subject, "lanes", []), [], null), original: by.init },
    { kind: "propose", prompt: proposePrompt(problem, state, kernel), original: by.edit },
    {
      kind: "refine, passed",
      prompt: refinePrompt(problem, state, "row_tiles", kernel, passedWords),
      original: by.refine,
    },
    {
      kind: "refine, failed",
      prompt: refinePrompt(problem, state, "split_long", kernel, failedWords),
      original: by.edit,
    },
    { kind: "draft from the specification", prompt: draft("draft_spec", "persistent", {}), original: by.draft },
    { kind: "draft on a base", prompt: draft("draft_base", "row_tiles_vec", { base: kernel }), original: by.onBase },
    { kind: "debug", prompt: draft("debug", "row_tiles_vec", { base: kernel, previous: failed }), original: by.debug },
    {
      kind: "improve",
      prompt: draft("improve", "row_tiles", { previous: passed, latest: { attempt: 1, feedback: failedWords } }),
      original: by.improve,
    },
    {
      kind: "revise (policy plain)",
      prompt: draftPrompt(problem, plain, revised, { base: kernel, previous: failed, latest: null }),
      original: by.revise,
    },
  ];
}

/** Tokens that all of these texts begin with. */
function sharedTokens(texts: readonly string[]): number {
  const [first = [], ...others] = texts.map((text) => encode(text));
  const end = first.findIndex((token, index) => others.some((other) => other[index] !== token));
  return end < 0 ? first.length : end;
}

const figure = (value: number): string => value.toLocaleString("en-US");
const row = (cells: readonly (string | number)[]): string =>
  `| ${cells.map((cell) => (typeof cell === "number" ? figure(cell) : cell)).join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map((_, index) => (index === 0 ? "---" : "--:"))), ...rows.map(row)].join("\n");

function sizesText(title: string, subject: Subject): string {
  const { problem, language } = subject;
  const measured = promptsOf(subject);
  const options = optionsOf(subject, "lanes");
  const role = systemText(problem, options).split("\n", 1).join();
  const ofTree = measured.filter(({ kind }) => !kind.startsWith("revise"));
  const drafts = ofTree.filter(({ kind }) => /^(draft|debug|improve)/.test(kind));
  const shared = sharedTokens(ofTree.map(({ prompt }) => textOf(prompt)));
  const edits = ofTree.filter(({ kind }) => /^(propose|refine)/.test(kind));
  const sharedByDrafts = sharedTokens(drafts.map(({ prompt }) => textOf(prompt)));
  const sharedByEdits = sharedTokens(edits.map(({ prompt }) => textOf(prompt)));
  const rows = measured.map(({ kind, prompt, original }) => {
    const text = textOf(prompt);
    const tokens = tokensOf(text);
    const world = tokensOf(/^# World model.*\n(.*)$/m.exec(prompt.user)?.[1] ?? "");
    const kernels = tokensOf(prompt.user.match(/<file name=[\s\S]*?<\/file>/g)?.join("") ?? "");
    const own = prompt.system.includes("# Answer format") ? sharedByDrafts : sharedByEdits;
    const prefix = kind === "init" ? tokensOf(prompt.system) : own;
    const estimate = Math.round((original * tokens) / text.length / 10) * 10;
    return [kind, tokens, text.length, prefix, world, kernels, original, `≈ ${figure(estimate)}`];
  });
  return `## ${title}

${table(["prompt", "tokens", "characters", "stable prefix", "world model", "kernels", "original: characters", "original: tokens"], rows)}

Stable prefix: the ${figure(shared)} tokens with which all prompts of the tree begin (role ${figure(tokensOf(role))}, problem ${figure(tokensOf(problemText(problem, options)))}, machine and rules ${figure(tokensOf(machineText(problem, options)))}); drafts go on with the answer's format (${figure(tokensOf(answerFormat(problem, language, "H100")))}) and share ${figure(sharedByDrafts)}, edits with the rules and the ops and share ${figure(sharedByEdits)}.`;
}

type View = Record<"path" | "open_actions" | "solved" | "not_yet_reachable", object[]> & { left_out: number };

/** What a view shows of the tree. A view that is no JSON ends the script here. */
function viewRow(state: RunState, budget: number): (string | number)[] {
  const text = treeView(state, "row_tiles_vec", budget);
  const view: View = JSON.parse(text);
  const shown = [view.path, view.open_actions, view.solved, view.not_yet_reachable].flat().length;
  return [figure(budget), text.length, tokensOf(text), "yes", shown, view.left_out];
}

function viewText(subject: Subject): string {
  const many = Array.from({ length: 60 }, (_, index) =>
    node(`idea_${index}`, index % 3 === 0 ? "root" : `idea_${index - 1}`, `Idea ${index} with "quotes" and ∑`),
  );
  const state = simulated(subject, "lanes", [...nodes, ...many]);
  return table(
    ["budget, characters", "characters", "tokens", "valid JSON", "nodes shown", "items left out"],
    [1_000, 2_600, 4_000, 8_000, 16_000, 50_000].map((budget) => viewRow(state, budget)),
  );
}

const gqa: Subject = {
  problem: readFlashInfer(inRepository("problems/flashinfer"), "gqa_paged_decode_h32_kv4_d128_ps1", "all").problem,
  language: "cuda",
  baselineNs: [18_000, 45_000, 29_000, 81_000, 61_000],
  original: { specification: 0, digest: 0, rules: 6_000 },
};
gqa.original.specification = problemText(gqa.problem, optionsOf(gqa, "lanes")).length;
gqa.original.digest = gqa.original.specification;

const trimulFolder = inRepository("problems/gpumode/trimul");
const trimul = existsSync(trimulFolder)
  ? sizesText("TriMul (GPU MODE), Triton", {
      problem: readGpuMode(trimulFolder, "leaderboard").problem,
      language: "triton",
      baselineNs: null,
      original: { specification: 7_073, digest: 620, rules: 900 },
    })
  : "## TriMul (GPU MODE), Triton\n\nNot measured: `problems/gpumode/trimul` is not here.";

const page = `# The length of prompts

Written by \`node scripts/prompt-sizes.ts\`; \`npm run check\` fails where it is stale. Tokens are counted by \`gpt-tokenizer\` with
o200k_base; other models' tokenizers differ by some per cent.

The run is **simulated**: six nodes with notes of ${figure(paragraph("a plan").length)} characters each, four attempts of which one passed, invented words of a
referee. A kernel in it is a stand-in: ${figure(kernelChars)} characters of the problem's reference. Real ones have 3,000 to 15,000 tokens and
make every prompt that holds one longer, the original's as much as ours.

The column "original" says about how long K-Search's prompt for the same step is. Measured on the original: its fixed text
(init 6,700 characters, edit 5,800, rules of a CUDA draft 6,000, format block of a Triton draft 900, TriMul's specification
7,073 and the digest of it 620). Read in its code: the caps, counted here in full (world model in edits 2,600, frontier 1,200,
status 900, path 800, action 500, forecast 800, evaluation 800). **Estimated**: what it copies whole is taken to be as long as
ours (a FlashInfer specification and its digest, kernels, a failure's log, which it does not bound), its world model in drafts
5,700 (a path of three with two siblings; the cap is 50,000), and tokens at our prompt's own characters per token. Nothing
more of its Triton drafts was measured, so that figure is a lower bound.

${sizesText("GQA decode (FlashInfer-Bench), CUDA", gqa)}

${trimul}

## Where ours are longer, and why

- **Refine**, by the world model: up to 16,000 characters instead of 2,600. The original's cut falls in the middle of the JSON and takes
  the summary and the open questions with it; notes, rationale and the very scores that the model is asked to revise are never
  shown. In exchange its digest of the specification is gone: it had lost TriMul's problem, and ours is the cached prefix.
- **Drafts**, once the tree is large: up to 8,000 characters of world model. An attempt that does not know what was measured and what
  failed before repeats it.
- **GPU MODE**: \`task.py\` and \`utils.py\` stand beside the reference, because the tolerance is in them.
- **CUDA**: two ways to hand a kernel in are shown, one file of raw pointers and three files for torch's C++ API.

What makes the others shorter: an improvement shows one kernel, the best of its node, where the original shows that one and the
latest; a log is at most 8 KB; sizes are a table, what all cases share is said once; rules that the referee enforces stand once,
in the prefix; no version of a library, no order to use tensor cores, nothing that contradicts the form asked for.

## What a provider can cache

What is the same in all prompts of a run comes first: role, specification with workloads and reference, machine, rules of the
referee; then for drafts the answer's format, for edits the rules of nodes and the ops. Everything that changes follows. In the original volatile parts precede stable ones.

## The world model is always valid JSON

The view shows every node in brief while half of its budget lasts, then lessons and questions, then the notes and reasons of the
nodes that matter most, and counts what it left out; it is never cut. Here for a simulated tree of 66 nodes, each view parsed by \`JSON.parse\` (a view that is none stops
the script). Drafts use 8,000 characters, edits 16,000. The summary stands even where it alone is longer than the budget.

${viewText(gqa)}
`;

const path = inRepository("docs/prompts.md");
if (!process.argv.includes("--check")) writeFileSync(path, page);
else if (!existsSync(path) || readFileSync(path, "utf8") !== page) {
  console.error(`${path} is stale: run node scripts/prompt-sizes.ts`);
  process.exitCode = 1;
}
