import type { UsageRow } from "@ksearch/domain";
import { expect, test, vi } from "vitest";
import {
  type FakeResponses,
  fakeResponses,
  ksearch,
  lastJson,
  newFolder,
  pause,
  problemFolder,
  problemName,
  standInReferee,
  start,
} from "./stand-ins.ts";

/** `--llm-background`: replies that outlive the process that asked for them, over a real connection. */
vi.setConfig({ testTimeout: 60_000 });

const anywhere = ["--world-model", "--target-gpu", "cpu", "--language", "python"];
const search = (model: FakeResponses, python: string): string[] => {
  const size = ["--lanes", "1", "--budget-attempts", "2", "--attempts-per-node", "2"];
  const at = ["--problems", problemFolder(), "--referee-python", python];
  return ["run", problemName, "--json", ...at, ...anywhere, ...size, ...model.flags];
};
const isDraft = (prompt: string): boolean => prompt.includes("# Action to carry out");
const everything = (): boolean => true;
const nothing = (): boolean => false;

async function told(cwd: string, command: string) {
  const ended = await ksearch([command, "--json"], { cwd });
  if (ended.code !== 0) throw new Error(`${command}: ${ended.stdout} ${ended.stderr}`);
  return lastJson(ended);
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await pause(20);
  }
}

const posts = ({ requests }: FakeResponses) => requests.filter((request) => request === "POST /v1/responses");
const gets = ({ requests }: FakeResponses, nth: number) =>
  requests.filter((request) => request === `GET /v1/responses/resp_${nth}`);
const rowsOf = (usage: UsageRow[]) =>
  usage.filter(({ to }) => to === "llm").map(({ key, outcome }) => `${key} ${outcome}`);

/** A run whose process was killed when the first draft was submitted and its ticket recorded. */
async function killedInDraft() {
  const cwd = newFolder();
  const model = await fakeResponses();
  const referee = standInReferee();
  model.hold(isDraft);
  const { child, ended } = start(search(model, referee.python), { cwd });
  await until("a draft is submitted and polled for", () => gets(model, 2).length > 0);
  child.kill("SIGKILL");
  await ended;
  return { cwd, model, resume: ["resume", "--json", "--referee-python", referee.python] };
}

test("a process dies between submit and collect: the next one collects the ticket, and pays no reply twice", async () => {
  const { cwd, model, resume } = await killedInDraft();
  const before = posts(model).length;
  model.hold(nothing);
  const resumed = await ksearch(resume, { cwd });
  expect({ code: resumed.code, ...lastJson(resumed) }).toMatchObject({ code: 0, status: "succeeded", attempts: 2 });
  expect(before).toBe(2);
  expect(new Set(model.prompts).size).toBe(model.prompts.length);
  const { usage } = await told(cwd, "show");
  expect(rowsOf(usage)).toContain("lane1-cycle1/attempt1/draft#1 answered");
  expect(rowsOf(usage).filter((row) => !row.endsWith("answered"))).toEqual([]);
});

test("the answer has expired meanwhile: a loss at its worst case, told by name, and asked once more", async () => {
  const { cwd, model, resume } = await killedInDraft();
  model.forget();
  model.hold(nothing);
  const resumed = await ksearch(resume, { cwd });
  expect({ code: resumed.code, ...lastJson(resumed) }).toMatchObject({ code: 0, status: "succeeded", attempts: 2 });
  const { usage, events, balance } = await told(cwd, "show");
  expect(rowsOf(usage).slice(1, 3)).toEqual([
    "lane1-cycle1/attempt1/draft#1 lost",
    "lane1-cycle1/attempt1/draft#2 answered",
  ]);
  const failed = events.find(({ event }: { event: { type: string } }) => event.type === "call.failed").event;
  expect(failed).toMatchObject({ code: "llm.expired", costMicroUsd: usage[1].costMicroUsd });
  expect(failed.costMicroUsd).toBeGreaterThan(10_000);
  const sum = usage.reduce((total: number, { costMicroUsd }: UsageRow) => total + costMicroUsd, 0);
  expect(balance).toMatchObject({ reservedMicroUsd: 0, spentMicroUsd: sum });
  expect(model.prompts.filter((prompt) => prompt === model.prompts[1])).toHaveLength(2);
  const table = await ksearch(["cost"], { cwd });
  expect(table.stdout).toMatch(/fake +draft +3 .*1 lost \(\d+ % of the cost\)/);
});

test.each([
  ["and cancels the reply on its way at the provider", undefined, ["POST /v1/responses/resp_2/cancel"], ""],
  ["and says what it cannot cancel without a key", "", [], "set LLM_API_KEY or OPENAI_API_KEY"],
])("ksearch cancel ends a killed run %s", async (_, key, cancels, says) => {
  const { cwd, model } = await killedInDraft();
  const env = key === undefined ? {} : { OPENAI_API_KEY: key };
  const [run] = (await told(cwd, "list")).runs;
  const canceled = await ksearch(["cancel", run.id, "--json"], { cwd, env });
  expect({ code: canceled.code, ...lastJson(canceled) }).toMatchObject({ code: 0, status: "canceled" });
  expect(canceled.stderr).toContain(says);
  expect(model.requests.filter((request) => request.endsWith("/cancel"))).toEqual(cancels);
  const { usage, balance } = await told(cwd, "show");
  expect(rowsOf(usage)).toEqual(["init1#1 answered", "lane1-cycle1/attempt1/draft#1 lost"]);
  expect(balance.reservedMicroUsd).toBe(0);
});

test("Ctrl-C waits for the reply that is on its way, records it, and pauses", async () => {
  const cwd = newFolder();
  const model = await fakeResponses();
  const referee = standInReferee();
  model.hold(everything);
  const { child, ended } = start(search(model, referee.python), { cwd });
  await until("the world model is submitted and polled for", () => gets(model, 1).length > 0);
  child.kill("SIGINT");
  await pause(500);
  model.hold(nothing);
  const paused = await ended;
  expect({ code: paused.code, ...lastJson(paused) }).toMatchObject({ code: 130, status: "paused" });
  const { usage } = await told(cwd, "show");
  expect(rowsOf(usage)).toEqual(["init1#1 answered"]);
  expect(model.requests.filter((request) => request.endsWith("/cancel"))).toEqual([]);
  expect((await told(cwd, "prompts")).prompts, "no prompt of a provider waits for a person").toEqual([]);
});
