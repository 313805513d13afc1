import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inChild } from "../../test/child.ts";
import { holdRun } from "./index.ts";

const newPath = (): string => join(mkdtempSync(join(tmpdir(), "ksearch-lock-")), "locks", "run_a.sqlite");

const holder = (path: string) =>
  inChild(`
    import { holdRun } from "${import.meta.dirname}/index.ts";
    const held = holdRun(${JSON.stringify(path)});
    console.log(held === null ? "refused" : "holding");
    if (held !== null) setInterval(() => held, 60_000);`);

test("a run has one holder; after release the next may hold it", () => {
  const path = newPath();
  const held = holdRun(path);
  expect(held).not.toBeNull();
  expect(holdRun(path)).toBeNull();
  held?.release();
  const next = holdRun(path);
  expect(next).not.toBeNull();
  next?.release();
});

test("two runs are held apart", () => {
  const path = newPath();
  const held = [holdRun(path), holdRun(path.replace("run_a", "run_b"))];
  expect(held).not.toContain(null);
  for (const one of held) one?.release();
});

test("what another process holds is refused, until that process is killed", async () => {
  const path = newPath();
  const first = holder(path);
  await first.says(/holding/);
  expect(holdRun(path)).toBeNull();
  const second = holder(path);
  expect((await second.ended).stdout).toBe("refused\n");
  first.kill();
  expect((await first.ended).signal).toBe("SIGKILL");
  const held = holdRun(path);
  expect(held).not.toBeNull();
  held?.release();
}, 30_000);

test("a lock file that is something else is told, with its path", () => {
  const path = newPath();
  holdRun(path)?.release();
  writeFileSync(path, "not a lock ".repeat(500));
  expect(() => holdRun(path)).toThrow(
    expect.objectContaining({ who: "operator", code: "store.corrupt", message: expect.stringContaining(path) }),
  );
});
