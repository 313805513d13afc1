import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExaminationRequest } from "@ksearch/domain";
import { refereeContract } from "@ksearch/ports/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { python, request, rmsnorm, template } from "../../test/referee.ts";
import { fileBlobs } from "../files/index.ts";
import { folderReferee } from "./index.ts";

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "ksearch-shared-"));
  mkdirSync(join(folder, "requests"));
  mkdirSync(join(folder, "answers"));
  return folder;
};

const at = (folder: string, changes: { examineWaitMs?: number } = {}) =>
  folderReferee({ blobs: fileBlobs(folder), place: folder, pollMs: 20, ...changes });

const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", TMPDIR: tmpdir() };

const batch = (folder: string, ...flags: string[]): ChildProcess =>
  spawn(python, ["-I", "-m", "ksearch_referee", "batch", join(folder, "requests"), join(folder, "answers"), ...flags], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });

const ended = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve(child.exitCode)
    : new Promise((resolve) => child.once("exit", resolve));

async function ticketOf(folder: string, requestId = "run_a/c1", content = rmsnorm): Promise<string> {
  const submitted = await at(folder).submit(request(requestId, content));
  if ("verdict" in submitted) throw new Error("a folder answers with tickets");
  return submitted.ticket;
}

const nameOf = (ticket: string): string => JSON.parse(ticket).name;

const examination = (): ExaminationRequest => {
  const { problem, settings, device } = request("any");
  return { schema: "ksearch.examine/1", requestId: "examine/1", problem, settings, device };
};

const answer = (folder: string, name: string, content: unknown): void =>
  writeFileSync(join(folder, "answers", `${name}.json`), JSON.stringify(content));

describe("the Python referee behind a folder", () => {
  const folder = newFolder();
  let watcher: ChildProcess;
  beforeAll(() => {
    watcher = batch(folder, "--watch");
  });
  afterAll(async () => {
    watcher.kill("SIGTERM");
    await ended(watcher);
    rmSync(folder, { recursive: true });
  });

  test("is set up", () => {
    expect(existsSync(python), `the referee's Python is not at ${python}: run scripts/test.sh, which makes it`).toBe(
      true,
    );
  });

  refereeContract(
    async () => at(folder),
    request("contract/good"),
    request("contract/broken", rmsnorm.replace("sum += ", "sum += undeclared + ")),
  );

  test("looks at a problem, too", async () => {
    expect(await at(folder).examine(examination())).toMatchObject({ requestId: "examine/1", status: "admitted" });
  }, 60_000);
});

test("whoever answers is killed at work: the next one goes on, and the ticket stands", async () => {
  const folder = newFolder();
  const ticket = await ticketOf(folder);
  const claims = join(folder, "answers", ".claims");
  const first = batch(folder);
  await expect.poll(() => existsSync(claims) && readdirSync(claims).join(), { timeout: 30_000 }).toContain(".0");
  first.kill("SIGTERM");
  await ended(first);
  expect(await at(folder).collect(ticket)).toBe("running");
  expect(await ended(batch(folder))).toBe(0);
  expect(await at(folder).collect(ticket)).toMatchObject({ verdict: { status: "passed", requestId: "run_a/c1" } });
}, 90_000);

test("a ticket outlives the process that got it, and is collected as often as one asks", async () => {
  const folder = newFolder();
  const ticket = await ticketOf(folder);
  expect(await at(folder).collect(ticket)).toBe("running");
  answer(folder, nameOf(ticket), { ...template, requestId: "run_a/c1", device: "cpu" });
  for (let time = 0; time < 2; time += 1)
    expect(await at(folder).collect(ticket)).toMatchObject({ verdict: { status: "passed" } });
});

test("the same request twice is two tickets, whose names say what they are about", async () => {
  const folder = newFolder();
  const names = [await ticketOf(folder, "run_a/../c 1"), await ticketOf(folder, "run_a/../c 1")].map(nameOf);
  expect(new Set(names).size).toBe(2);
  for (const name of names) expect(name).toMatch(/^run_a-\.\.-c-1-[0-9a-f]{8}$/);
  expect(readdirSync(join(folder, "requests")).toSorted()).toEqual(names.map((name) => `${name}.json`).toSorted());
});

test("a cancelled request is withdrawn; one that is answered, or unknown, is left alone", async () => {
  const folder = newFolder();
  const [open, done] = [await ticketOf(folder), await ticketOf(folder)];
  answer(folder, nameOf(done), {});
  for (const ticket of [open, done, '{"name":"../x","requestId":"r","device":"cpu"}', "no-such-ticket"])
    await at(folder).cancel(ticket);
  expect(readdirSync(join(folder, "requests")).filter((name) => name.endsWith(".cancel"))).toEqual([
    `${nameOf(open)}.cancel`,
  ]);
  expect(await ended(batch(folder))).toBe(0);
  expect(await at(folder).collect(open)).toMatchObject({
    ended: { who: "retry", message: expect.stringContaining("withdrawn") },
  });
}, 60_000);

describe("what is no verdict ends the ticket with the reason", () => {
  test.each<[string, (folder: string, name: string) => void, object]>([
    ["half a file", (f, n) => writeFileSync(join(f, "answers", `${n}.json`), '{"sta'), { code: "referee.rubbish" }],
    ["another request's", (f, n) => answer(f, n, { ...template, requestId: "x", device: "cpu" }), { who: "retry" }],
    [
      "another device's",
      (f, n) => answer(f, n, { ...template, requestId: "run_a/c1", device: "H100" }),
      { code: "referee.device" },
    ],
    [
      "a refusal",
      (f, n) => answer(f, n, { error: { code: "request.invalid", message: "odd", path: "$.kernel" } }),
      { who: "operator", message: expect.stringMatching(/odd .*packages\/evaluator of this version on its host/) },
    ],
    [
      "a referee that ended",
      (f, n) => answer(f, n, { error: { code: "driver.lost", message: "3 referees ended", path: "$" } }),
      { who: "retry", message: expect.stringContaining("3 referees ended") },
    ],
    [
      "a request that somebody removed",
      (f, n) => rmSync(join(f, "requests", `${n}.json`)),
      { who: "retry", code: "referee.lost" },
    ],
  ])("%s", async (_, happens, told) => {
    const folder = newFolder();
    const ticket = await ticketOf(folder);
    happens(folder, nameOf(ticket));
    expect(await at(folder).collect(ticket)).toMatchObject({ ended: told });
  });
});

test("a ticket of another referee is for the operator", async () => {
  await expect(at(newFolder()).collect("some-ticket")).rejects.toMatchObject({
    who: "operator",
    code: "referee.ticket",
  });
});

test("an examination that nobody answers says who has to; answered later, it is found by whoever asks again", async () => {
  const folder = newFolder();
  const asked = examination();
  const hurried = { ...asked, settings: { ...asked.settings, limits: { ...asked.settings.limits, totalMs: 50 } } };
  const examine = () => at(folder, { examineWaitMs: 0 }).examine(hurried);
  await expect(examine()).rejects.toMatchObject({
    code: "referee.unwatched",
    message: expect.stringContaining(`batch ${folder}/requests ${folder}/answers --watch`),
  });
  const [file = ""] = readdirSync(join(folder, "requests"));
  expect(JSON.parse(readFileSync(join(folder, "requests", file), "utf8"))).toEqual(hurried);
  const { env: host } = template;
  const late = { schema: "ksearch.examined/1", requestId: "examine/1", reasons: [], workloads: [], env: host };
  answer(folder, file.replace(/\.json$/, ""), { ...late, status: "infra_error", reasons: ["no torch"] });
  await expect(examine()).rejects.toMatchObject({ code: "referee.unwatched" });
  const again = readdirSync(join(folder, "requests")).find((name) => name !== file) ?? "";
  answer(folder, again.replace(/\.json$/, ""), { ...late, status: "admitted" });
  expect(await examine()).toMatchObject({ status: "admitted" });
});
