import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

/**
 * The floors of docs/architecture.md as biome enforces them: every rule is shown a file that breaks it. All files lie in
 * one temporary copy of the repository's outline, which biome reads once.
 */
const root = fileURLToPath(new URL("..", import.meta.url));
const packages = ["domain", "ports", "adapters", "workflow", "cli"];

const floor1 = "floor 1 imports zod, @noble/hashes and itself, nothing else";
const floor1Up = "floor 1 knows no floor above it";
const floor2 = "floor 2 imports types of the domain, nothing else";
const floor3 = "floor 3 implements ports and knows nothing of the workflow or the doors";
const floor4 = "floor 4 imports zod, the domain and the ports; adapters and vendors are handed to it";
const contract = "a contract suite imports the domain, its port and vitest, no adapter";
const oneVendor = "one vendor a folder: an adapter imports no other adapter";
const oneDoor = "adapters are wired in one place: packages/cli/src/local.ts, functions/src/runtime.ts";
const stack =
  "stacks import zod, the domain, the workflow and the table's schema; the cloud's own words are global there";
const ownRandom = "a pure floor draws from the Rng that it is given";
const global = (name: string) => `Do not use the global variable ${name}.`;

const importing = (source: string): string => `import { thing } from "${source}";\nexport const use = thing;\n`;
const using = (expression: string): string => `export const use = () => ${expression};\n`;

/** Path, code, and what biome must say of it. The last block is for the rules of all floors. */
const refused: [path: string, code: string, message: string][] = [
  ["packages/domain/src/bad/node.ts", importing("node:fs"), floor1],
  ["packages/domain/src/bad/bare.ts", importing("fs"), floor1],
  ["packages/domain/src/bad/vendor.ts", importing("openai"), floor1],
  ["packages/domain/src/bad/ports.ts", importing("@ksearch/ports"), floor1],
  ["packages/domain/src/bad/climbs.ts", importing("../../../ports/src/llm.ts"), floor1Up],
  ["packages/domain/src/bad/random.ts", using("Math.random()"), ownRandom],
  ...["Date.now()", "process.pid", "fetch('/')", "console.log(1)", "setTimeout(use)", "crypto.randomUUID()"].map(
    (expression): [string, string, string] => {
      const name = /^\w+/.exec(expression)?.[0] ?? "";
      return [`packages/domain/src/bad/global-${name}.ts`, using(expression), global(name)];
    },
  ),

  ["packages/ports/src/bad/zod.ts", importing("zod"), floor2],
  ["packages/ports/src/bad/node.ts", importing("node:fs"), floor2],
  ["packages/ports/src/bad/vitest.ts", importing("vitest"), floor2],
  ["packages/ports/src/bad/adapter.ts", importing("@ksearch/adapters/sqlite"), floor2],
  [
    "packages/ports/src/bad/value.ts",
    importing("@ksearch/domain"),
    "floor 2 takes types from the domain: write import type",
  ],
  ["packages/ports/src/contracts/bad.ts", importing("@ksearch/adapters/sqlite"), contract],

  ["packages/adapters/src/openai/workflow.ts", importing("@ksearch/workflow"), floor3],
  ["packages/adapters/src/openai/climbs.ts", importing("../../../workflow/src/index.ts"), floor3],
  ["packages/adapters/src/openai/cli.ts", importing("ksearch"), floor3],
  ["packages/adapters/src/openai/neighbour.ts", importing("../sqlite/index.ts"), oneVendor],
  ["packages/adapters/src/openai/deep/neighbour.ts", importing("../../sqlite/index.ts"), oneVendor],
  ["packages/adapters/src/openai/itself.ts", importing("@ksearch/adapters/sqlite"), oneVendor],

  ["packages/workflow/src/bad/adapter.ts", importing("@ksearch/adapters/sqlite"), floor4],
  ["packages/workflow/src/bad/node.ts", importing("node:crypto"), floor4],
  ["packages/workflow/src/bad/vendor.ts", importing("@aws-sdk/client-s3"), floor4],
  [
    "packages/workflow/src/bad/climbs.ts",
    importing("../../../adapters/src/sqlite/index.ts"),
    "floor 4 knows neither the adapters nor the doors",
  ],
  ["packages/workflow/src/bad/date.ts", using("Date.now()"), global("Date")],
  ["packages/workflow/src/bad/random.ts", using("Math.random()"), ownRandom],

  ["packages/cli/src/run.ts", importing("@ksearch/adapters/sqlite"), oneDoor],
  ["packages/cli/src/commands/serve.ts", importing("../../../adapters/src/sqlite/index.ts"), oneDoor],
  ["functions/src/steps/draft.ts", importing("@ksearch/adapters/s3"), oneDoor],

  ["functions/src/events/ended.ts", importing("../../../packages/adapters/src/s3/index.ts"), oneDoor],
  ["functions/src/steps/judge.ts", using("process.env.KSEARCH_TABLE"), "Don't use process.env."],
  ["functions/src/steps/default.ts", "export default 1;\n", "Avoid default exports."],

  ["stacks/adapter.ts", importing("@ksearch/adapters/s3"), stack],
  [
    "stacks/stores.ts",
    importing("@ksearch/adapters/dynamodb"),
    "of the adapters, stacks import the table's schema alone",
  ],
  ["stacks/climbs.ts", importing("../packages/adapters/src/s3/index.ts"), stack],
  ["stacks/vendor.ts", importing("@pulumi/aws"), stack],
  ["stacks/node.ts", importing("node:fs"), stack],
  ["stacks/env.ts", using("process.env.KSEARCH_REGION"), "Don't use process.env."],
  ["stacks/default.ts", "export default 1;\n", "Avoid default exports."],
  ["vite.config.ts", "export default 1;\n", "Avoid default exports."],

  ["packages/cli/src/env.ts", using("process.env.HOME"), "Don't use process.env."],
  ["packages/workflow/src/bad/env.ts", using("process.env.HOME"), "Don't use process.env."],
  ["packages/adapters/src/openai/console.ts", using("console.log(1)"), "Don't use console."],
  ["packages/cli/src/ring/one.ts", importing("./two.ts"), "This import is part of a cycle."],
  ["packages/cli/src/ring/two.ts", importing("./one.ts"), "This import is part of a cycle."],
  ["packages/cli/src/default.ts", "export default 1;\n", "Avoid default exports."],
  ["packages/cli/src/any.ts", "export const use: any = 1;\n", "Unexpected any. Specify a different type."],
  ["packages/cli/src/empty.ts", using("{ try { use(); } catch {} }"), "Unexpected empty block."],
  [
    "packages/cli/src/undeclared.ts",
    importing("left-pad"),
    "Dependency left-pad isn't specified in packages/cli/package.json.",
  ],
];

/** Path and code that biome must let pass. */
const allowed: [path: string, code: string][] = [
  ["packages/domain/src/good/zod.ts", importing("zod")],
  ["packages/domain/src/good/hash.ts", importing("@noble/hashes/sha2.js")],
  ["packages/domain/src/good/own.ts", importing("../tree/node.ts")],
  ["packages/domain/src/good/clock.test.ts", using("[Date.now(), Math.random(), process.env.HOME]")],
  ["packages/domain/test/files.ts", importing("node:fs")],
  ["packages/ports/src/good/type.ts", 'import type { Tree } from "@ksearch/domain";\nexport type Use = Tree;\n'],
  [
    "packages/ports/src/contracts/good.ts",
    `${importing("vitest")}import type { Blobs } from "../blobs.ts";\nexport type Use = Blobs;\n`,
  ],
  ["packages/ports/src/contracts/value.ts", importing("@ksearch/domain")],
  ["packages/adapters/src/openai/vendor.ts", importing("openai")],
  ["packages/adapters/src/openai/deep/own.ts", importing("../price.ts")],
  ["packages/adapters/src/sqlite/host.ts", `${importing("node:fs")}export const now = () => Date.now();\n`],
  ["packages/workflow/src/good/ports.ts", importing("@ksearch/ports")],
  ["packages/workflow/src/good/domain.ts", importing("@ksearch/domain")],
  ["packages/workflow/src/good/contracts.test.ts", importing("@ksearch/ports/contracts")],
  [
    "packages/cli/src/local.ts",
    `${importing("@ksearch/adapters/sqlite")}export const home = process.env.HOME;\nconsole.log(home);\n`,
  ],
  ["packages/cli/src/main.ts", using("process.env.HOME")],
  ["functions/src/steps/vet.ts", importing("@ksearch/workflow")],
  ["functions/src/runtime.ts", `${importing("@ksearch/adapters/s3")}export const stage = process.env.KSEARCH_STAGE;\n`],
  ["stacks/good.ts", `${importing("@ksearch/workflow")}import { zod } from "zod";\nexport const own = zod;\n`],
  ["stacks/table.ts", 'import { tableSchema } from "@ksearch/adapters/dynamodb";\nexport const use = tableSchema;\n'],
  ["stacks/own.ts", importing("./stage.ts")],
  ["sst.config.ts", "export default process.env.KSEARCH_REGION;\n"],
  ["scripts/measure.ts", using("console.log(process.env.HOME)")],
];

type Report = { diagnostics: { category: string; message: string; location: { path: string } }[] };

const copy = mkdtempSync(join(tmpdir(), "floors-"));
const said = new Map<string, string[]>();

beforeAll(async () => {
  for (const item of [
    "biome.json",
    ".biome",
    ".gitignore",
    "package.json",
    ...packages.map((name) => `packages/${name}/package.json`),
  ])
    cpSync(join(root, item), join(copy, item), { recursive: true });
  for (const [path, code] of [...refused, ...allowed]) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    writeFileSync(join(copy, path), code);
  }
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", "--colors=off"];
  const json = await new Promise<string>((resolve) => {
    execFile(join(root, "node_modules/.bin/biome"), args, { cwd: copy, maxBuffer: 2 ** 26 }, (_, stdout) =>
      resolve(stdout),
    );
  });
  const report: Report = JSON.parse(json);
  for (const { message, location } of report.diagnostics)
    said.set(location.path, [...(said.get(location.path) ?? []), message]);
}, 60_000);

afterAll(() => rmSync(copy, { recursive: true, force: true }));

test.each(refused)("%s is refused", (path, _, message) => {
  expect(said.get(path)).toContain(message);
});

/** Dependencies that only the invented files have are not what this test is about. */
const undeclared = /^Dependency .* isn't specified in /;

test.each(allowed)("%s passes", (path) => {
  expect((said.get(path) ?? []).filter((message) => !undeclared.test(message))).toEqual([]);
});
