import { mkdirSync, mkdtempSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { RunEvent, UsageRow } from "@ksearch/domain";
import { eventsContract, moneyContract, runsContract } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { inChild } from "../../test/child.ts";
import { openDatabase, sqliteEvents, sqliteMoney, sqliteRuns } from "./index.ts";

const newPath = (): string => join(mkdtempSync(join(tmpdir(), "ksearch-sqlite-")), "ksearch.sqlite");
const round = (number: number): RunEvent => ({ type: "round.opened", round: number });

describe("events", () => eventsContract(async () => sqliteEvents(openDatabase(newPath()))));
describe("money", () => moneyContract(async () => sqliteMoney(openDatabase(newPath()))));
describe("runs", () => runsContract(async () => sqliteRuns(openDatabase(newPath()))));

describe("one file, two handles", () => {
  test("what one appends the other reads, and of two appends at one number one loses", async () => {
    const path = newPath();
    const [one, other] = [sqliteEvents(openDatabase(path)), sqliteEvents(openDatabase(path))];
    expect(await one.append("run_a", 0, [round(1)], 1)).toBe("appended");
    expect((await other.read("run_a", 0)).map((logged) => logged.event)).toEqual([round(1)]);
    expect(await other.append("run_a", 0, [round(2)], 1)).toBe("conflict");
    expect(await other.append("run_a", 1, [round(2)], 1)).toBe("appended");
    expect(await one.read("run_a", 1)).toEqual([{ seq: 2, atMs: 1, event: round(2) }]);
  });

  test("the purse is shared: together they cannot reserve more than the cap", async () => {
    const path = newPath();
    const [one, other] = [sqliteMoney(openDatabase(path)), sqliteMoney(openDatabase(path))];
    await one.open("run_a", 100);
    expect(await one.reserve("run_a", "c1", 60)).toBe("reserved");
    expect(await other.reserve("run_a", "c2", 60)).toBe("wait");
    expect(await other.balance("run_a")).toMatchObject({ capMicroUsd: 100, reservedMicroUsd: 60 });
  });

  test("a file that was closed is found again with all that was in it", async () => {
    const path = newPath();
    const first = openDatabase(path);
    await sqliteEvents(first).append("run_a", 0, [round(1), round(2)], 7);
    first.close();
    expect(await sqliteEvents(openDatabase(path)).read("run_a", 0)).toHaveLength(2);
  });
});

test("four processes append to one new file at once: every event goes in once, without a gap", async () => {
  const path = newPath();
  const each = 25;
  const children = Array.from({ length: 4 }, (_, child) =>
    inChild(`
      import { openDatabase, sqliteEvents } from "${import.meta.dirname}/index.ts";
      const events = sqliteEvents(openDatabase(${JSON.stringify(path)}));
      for (let done = 0; done < ${each}; ) {
        const last = (await events.read("run_a", 0)).at(-1)?.seq ?? 0;
        const event = { type: "round.opened", round: ${child} * ${each} + done + 1 };
        if ((await events.append("run_a", last, [event], 1)) === "appended") done += 1;
      }
      console.log("done");`),
  );
  for (const child of children)
    expect(await child.ended).toEqual({ code: 0, signal: null, stdout: "done\n", stderr: "" });
  const log = await sqliteEvents(openDatabase(path)).read("run_a", 0);
  expect(log.map((logged) => logged.seq)).toEqual(Array.from({ length: 4 * each }, (_, index) => index + 1));
  const rounds = log.map(({ event }) => (event.type === "round.opened" ? event.round : 0));
  expect(new Set(rounds).size).toBe(4 * each);
}, 30_000);

test("a killed process loses nothing that was appended", async () => {
  const path = newPath();
  const child = inChild(`
    import { openDatabase, sqliteEvents } from "${import.meta.dirname}/index.ts";
    const events = sqliteEvents(openDatabase(${JSON.stringify(path)}));
    for (let seq = 0; ; seq += 1) {
      await events.append("run_a", seq, [{ type: "round.opened", round: seq + 1 }], 1);
      console.log(seq + 1);
    }`);
  await child.says(/^40$/m);
  child.kill();
  const told = Number((await child.ended).stdout.trimEnd().split("\n").at(-1));
  const log = await sqliteEvents(openDatabase(path)).read("run_a", 0);
  expect(log.length).toBeGreaterThanOrEqual(told);
  expect(log.map((logged) => logged.seq)).toEqual(log.map((_, index) => index + 1));
}, 30_000);

describe("what cannot be read is told, with the file and what to do", () => {
  test("a file that is no database", () => {
    const path = newPath();
    writeFileSync(path, "this is somebody's shopping list, and no database at all\n".repeat(40));
    expect(() => openDatabase(path)).toThrow(
      expect.objectContaining({ who: "operator", code: "store.corrupt", message: expect.stringContaining(path) }),
    );
  });

  test("a database that was cut off", () => {
    const path = newPath();
    const database = openDatabase(path);
    database.exec("PRAGMA journal_mode = DELETE");
    database.close();
    truncateSync(path, 5_000);
    expect(() => openDatabase(path)).toThrow(expect.objectContaining({ who: "operator", code: "store.corrupt" }));
  });

  test("a folder where the file should be", () => {
    const path = newPath();
    mkdirSync(path);
    expect(() => openDatabase(path)).toThrow(
      expect.objectContaining({ who: "operator", message: expect.stringContaining(path) }),
    );
  });

  test.each([
    ["no JSON", "{ half"],
    ["an event that this version does not know", '{"type":"moon.landed"}'],
    ["an event with a field that is wrong", '{"type":"round.opened","round":"three"}'],
  ])("an event row that is %s names its run and number", async (_, event) => {
    const path = newPath();
    const database = openDatabase(path);
    const events = sqliteEvents(database);
    await events.append("run_a", 0, [round(1), round(2)], 1);
    database.prepare("UPDATE events SET event = ? WHERE seq = 2").run(event);
    await expect(events.read("run_a", 0)).rejects.toMatchObject({
      who: "operator",
      code: "store.corrupt",
      message: expect.stringMatching(/event 2 of run_a/),
    });
    expect(await events.read("run_a", 2)).toEqual([]);
  });

  test.each(["{ half", '{"id":"run_a"}'])("a run's line that is %s", async (summary) => {
    const path = newPath();
    const database = openDatabase(path);
    database.prepare("INSERT INTO runs (id, started_at, summary) VALUES ('run_a', '2026', ?)").run(summary);
    const corrupt = { who: "operator", code: "store.corrupt" };
    await expect(sqliteRuns(database).get("run_a")).rejects.toMatchObject(corrupt);
    await expect(sqliteRuns(database).list(5)).rejects.toMatchObject(corrupt);
  });

  test.each(["{ half", '{"key":"c1"}'])("a usage row that is %s", async (row) => {
    const database = openDatabase(newPath());
    const money = sqliteMoney(database);
    await money.settle("run_a", {
      key: "c1",
      to: "llm",
      purpose: "draft",
      asked: "m",
      model: "m",
      usage: null,
      costMicroUsd: 1,
      outcome: "answered",
      atMs: 1,
    });
    database.prepare("UPDATE usage SET row = ? WHERE run_id = 'run_a'").run(row);
    await expect(money.rows("run_a")).rejects.toMatchObject({ who: "operator", code: "store.corrupt" });
  });
});

test("an append that fails half way leaves nothing of it", async () => {
  const path = newPath();
  const database = openDatabase(path);
  const events = sqliteEvents(database);
  await events.append("run_a", 0, [round(1)], 1);
  const circular: { type: "round.opened"; round: number; self?: unknown } = { type: "round.opened", round: 3 };
  circular.self = circular;
  await expect(events.append("run_a", 1, [round(2), circular], 1)).rejects.toThrow(/circular/i);
  expect(await events.read("run_a", 0)).toHaveLength(1);
  expect(await events.append("run_a", 1, [round(2)], 1)).toBe("appended");
});

test("a crash between the charge and its record books the charge once", async () => {
  const path = newPath();
  const money = sqliteMoney(openDatabase(path));
  await money.open("run_a", 100);
  await money.reserve("run_a", "c1", 50);
  const row: UsageRow = {
    key: "c1",
    to: "llm",
    purpose: "draft",
    asked: "m",
    model: "m",
    usage: null,
    costMicroUsd: 20,
    outcome: "answered",
    atMs: 1,
  };
  await money.settle("run_a", row);
  const again = sqliteMoney(openDatabase(path));
  expect(await again.reserve("run_a", "c1", 50)).toBe("reserved");
  await again.settle("run_a", { ...row, costMicroUsd: 99, outcome: "lost" });
  expect(await again.balance("run_a")).toEqual({ capMicroUsd: 100, reservedMicroUsd: 0, spentMicroUsd: 20 });
});

test("another program's writer is waited for, not run over", async () => {
  const path = newPath();
  const events = sqliteEvents(openDatabase(path));
  const child = inChild(`
    import { DatabaseSync } from "node:sqlite";
    const database = new DatabaseSync(${JSON.stringify(path)});
    database.exec("BEGIN IMMEDIATE");
    console.log("holding");
    setTimeout(() => database.exec("COMMIT"), 300);`);
  await child.says(/holding/);
  expect(await events.append("run_a", 0, [round(1)], 1)).toBe("appended");
  await child.ended;
}, 30_000);

test("the database is a plain SQLite file that other tools read", async () => {
  const path = newPath();
  await sqliteEvents(openDatabase(path)).append("run_a", 0, [round(1)], 5);
  const other = new DatabaseSync(path, { readOnly: true });
  expect(other.prepare("SELECT run_id, seq, json_extract(event, '$.type') AS type FROM events").all()).toEqual([
    expect.objectContaining({ run_id: "run_a", seq: 1, type: "round.opened" }),
  ]);
});
