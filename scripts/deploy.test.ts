import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { platformInstalled } from "./synthesis/platform.ts";

/** scripts/deploy.sh, run for real up to the point where something would be made; beyond it, with recorders for tools. */
const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "deploy-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const secrets = {
  OPENAI_API_KEY: "sk-proj-veryverysecret",
  MODAL_TOKEN_ID: "ak-modaltokenid",
  MODAL_TOKEN_SECRET: "as-modaltokensecret",
};
const credentials = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: "awsveryverysecret" };
const good: Record<string, string> = { ...secrets, ...credentials };

/** A folder of commands that a PATH may name: `uv` stands in where the machine has none. */
const tools = join(scratch, "tools");
const command = (path: string, body: string): void => {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, `#!/usr/bin/env bash\n${body}\n`);
  chmodSync(path, 0o755);
};
command(join(tools, "uv"), "exit 9");

function deploy(args: string[], env: Record<string, string>, cwd = root) {
  const { status, stdout, stderr } = spawnSync(join(cwd, "scripts/deploy.sh"), args, {
    env: { PATH: `${process.env.PATH}:${tools}`, HOME: scratch, ...env },
    encoding: "utf8",
  });
  return { status, said: `${stdout}${stderr}` };
}
const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(good).filter(([name]) => !names.includes(name)));

const refused: [what: string, args: string[], env: Record<string, string>, says: RegExp][] = [
  ["no stage", ["--dry-run"], good, /which stage\?/],
  ["an unknown flag", ["--stage", "dev", "--force"], good, /--force is not known/],
  ["a flag without its value", ["--stage"], good, /--stage wants a value/],
  ["a stage that nearly is production", ["--stage", "prod"], good, /called production/],
  ["a stage's name with a capital", ["--stage", "Dev"], good, /1 to 20 of a-z/],
  ["a wrong region", ["--stage", "dev", "--region", "us-east-9"], good, /"us-east-9" is none of us-east-1/],
  [
    "a wrong region over a right variable",
    ["--stage", "dev", "--region", "us-east-9", "--dry-run"],
    { ...good, KSEARCH_REGION: "eu-west-1" },
    /"us-east-9" is none of/,
  ],
  ["an unknown GPU", ["--stage", "dev"], { ...good, KSEARCH_BATCH_GPUS: "H100!" }, /"H100!" is none of T4 L4/],
  ["Batch without an image", ["--stage", "dev"], { ...good, KSEARCH_BATCH_GPUS: "L4" }, /KSEARCH_BATCH_IMAGE/],
  ["no model's key", ["--stage", "dev"], without("OPENAI_API_KEY"), /export one of OPENAI_API_KEY, GEMINI_API_KEY/],
  [
    "a key with a line's end",
    ["--stage", "dev"],
    { ...good, OPENAI_API_KEY: "sk-aaaaaaaa\n" },
    /OPENAI_API_KEY is no key/,
  ],
  ["a key in quotes", ["--stage", "dev"], { ...good, LLM_API_KEY: '"abcdefghij"' }, /LLM_API_KEY is no key/],
  ["no token of Modal", ["--stage", "dev"], without("MODAL_TOKEN_ID"), /MODAL_TOKEN_ID is missing: make a token/],
  ["half a token", ["--stage", "dev"], without("MODAL_TOKEN_SECRET"), /MODAL_TOKEN_SECRET is missing/],
  [
    "a token's halves exchanged",
    ["--stage", "dev"],
    { ...good, MODAL_TOKEN_ID: secrets.MODAL_TOKEN_SECRET, MODAL_TOKEN_SECRET: secrets.MODAL_TOKEN_ID },
    /MODAL_TOKEN_ID is malformed[\s\S]*MODAL_TOKEN_SECRET is malformed/,
  ],
  ["no AWS credentials", ["--stage", "dev"], secrets, /no AWS credentials: run `aws configure sso`/],
  ["half of them", ["--stage", "dev"], without("AWS_SECRET_ACCESS_KEY"), /export both/],
];

test.each(refused)("%s ends with 3 and the mend, and tells no secret", (_, args, env, says) => {
  const { status, said } = deploy(args, env);
  expect(said).toMatch(says);
  expect(status).toBe(3);
  for (const secret of ["veryverysecret", "modaltokenid", "modaltokensecret"]) expect(said).not.toContain(secret);
});

test("all that is wrong is told at once", () => {
  const { said } = deploy(["--stage", "prod"], {});
  expect(said.match(/^deploy: /gm)).toHaveLength(5);
});

test.skipIf(!platformInstalled(root))(
  "a dry run checks everything, says what it would do and makes nothing",
  () => {
    const { status, said } = deploy(["--stage", "dev", "--region", "eu-west-1", "--dry-run"], good);
    expect(said).toMatch(
      /"region":"eu-west-1"[\s\S]*resources on AWS[\s\S]*would[\s\S]*ksearch-referee-dev[\s\S]*sst deploy --stage dev/,
    );
    expect(said).toContain("secrets OPENAI_API_KEY MODAL_TOKEN_ID MODAL_TOKEN_SECRET\n");
    expect(said).not.toContain("veryverysecret");
    expect(status).toBe(0);
  },
  300_000,
);

/** A checkout of recorders: each tool writes what it was called with. */
function checkout(name: string, sst: string): { path: string; calls: () => string } {
  const path = join(scratch, name);
  cpSync(join(root, "scripts/deploy.sh"), join(path, "scripts/deploy.sh"));
  mkdirSync(join(path, "packages/evaluator"), { recursive: true });
  writeFileSync(join(path, "packages/evaluator/modal_app.py"), "");
  command(join(path, "node_modules/.bin/node"), 'echo "{}"; echo "1 resources"; echo file');
  const log = join(path, "calls");
  command(join(path, "node_modules/.bin/sst"), `echo "sst $*" >> "${log}"\n${sst}`);
  command(join(path, ".tools/bin/uv"), `echo "uv app=$KSEARCH_MODAL_APP $*" >> "${log}"`);
  return { path, calls: () => readFileSync(log, "utf8") };
}
/** Shows the file that SST was to load, with its mode. */
const showSecrets = 'if [ "$1" = secret ]; then stat -c %a "$3" >> calls; cat "$3" >> calls; echo "$3" > at; fi';

describe("a deployment", () => {
  test("goes to Modal, then loads the secrets, then deploys; no secret is an argument or stays", () => {
    const { path, calls } = checkout("whole", showSecrets);
    const { status } = deploy(["--stage", "dev"], good, path);
    const at = readFileSync(join(path, "at"), "utf8").trim();
    expect(calls().replace(at, "FILE").split("\n")).toEqual([
      "uv app=ksearch-referee-dev run --project packages/evaluator --frozen --group modal modal deploy packages/evaluator/modal_app.py",
      "sst secret load FILE --stage dev",
      "600",
      "OpenaiApiKey=sk-proj-veryverysecret",
      "ModalTokenId=ak-modaltokenid",
      "ModalTokenSecret=as-modaltokensecret",
      "sst deploy --stage dev",
      "",
    ]);
    expect(existsSync(at)).toBe(false);
    expect(existsSync(join(at, ".."))).toBe(false);
    expect(status).toBe(0);
  });
  test("that fails half-way leaves no secret behind and goes no further", () => {
    const { path, calls } = checkout("broken", `${showSecrets}\nexit 7`);
    const { status } = deploy(["--stage", "dev"], good, path);
    expect(status).toBe(7);
    expect(existsSync(join(readFileSync(join(path, "at"), "utf8").trim(), ".."))).toBe(false);
    expect(calls()).not.toContain("sst deploy");
  });
  test("wants its tools", () => {
    const { path } = checkout("bare", "");
    rmSync(join(path, ".tools"), { recursive: true });
    const env = { ...good, PATH: "/usr/bin:/bin" };
    const withoutUv = deploy(["--stage", "dev"], env, path);
    expect(withoutUv.said).toMatch(/uv is missing: install it/);
    expect(withoutUv.status).toBe(3);
    rmSync(join(path, "node_modules"), { recursive: true });
    const withoutPackages = deploy(["--stage", "dev"], env, path);
    expect(withoutPackages.said).toMatch(/run npm ci/);
    expect(withoutPackages.status).toBe(3);
  });
});
