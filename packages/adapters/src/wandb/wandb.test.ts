import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TrackedRun } from "@ksearch/domain";
import { trackerContract } from "@ksearch/ports/contracts";
import { afterAll, describe, expect, test, vi } from "vitest";
import { inChild } from "../../test/child.ts";
import { isWandbThere, wandbParts, wandbPython } from "../../test/wandb-file.ts";
import { type FakeServer, fakeServer } from "./fake-server.ts";
import { type WandbSettings, wandbTracker } from "./index.ts";

vi.setConfig({ testTimeout: 60_000 });

const root = mkdtempSync(join(tmpdir(), "ksearch-wandb-"));
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
const newFolder = (): string => mkdtempSync(join(root, "run-"));

const settings = (changes: Partial<WandbSettings> = {}): WandbSettings => ({
  python: wandbPython,
  env: { PATH: process.env.PATH ?? "", HOME: root, TMPDIR: root },
  folder: newFolder(),
  project: "flashinfer-bench",
  name: "a run",
  mode: "offline",
  limitsMs: { run: 30_000, record: 30_000, finish: 30_000 },
  ...changes,
});
const run: TrackedRun = { runId: "run_1", config: { max_opt_rounds: 3 }, tags: [] };
const attempt = (step: number) => ({ seq: 10 * step, step, values: { score: step }, tables: {} });
const end = { values: { status: "succeeded" }, tables: {} };

describe.skipIf(!isWandbThere())("with the package wandb", () => {
  describe.concurrent("as every tracker", () => {
    trackerContract(async () => {
      const place = settings();
      return {
        open: () => wandbTracker(place),
        steps: async () => wandbParts(place.folder).flatMap(({ rows }) => rows.map((row) => row._step)),
      };
    });
  });

  describe.concurrent("online", () => {
    const apiKey = "k".repeat(40);
    const reaching = ({ url }: FakeServer) => ({
      HOME: newFolder(),
      TMPDIR: root,
      WANDB_BASE_URL: url,
      WANDB_API_KEY: apiKey,
    });
    const online = (server: FakeServer, folder = newFolder(), env: Record<string, string> = {}) =>
      wandbTracker(
        settings({
          mode: "online",
          folder,
          env: { ...reaching(server), ...env },
        }),
      );

    /** W&B's own command line, in a folder of its own: it leaves logs behind. */
    const wandb = (args: string[], server: FakeServer) =>
      promisify(execFile)(wandbPython, ["-m", "wandb", ...args], {
        cwd: newFolder(),
        env: { PATH: process.env.PATH, ...reaching(server) },
      });

    test("rows reach W&B in order; a second execution continues them, even where `wandb.json` was lost", async () => {
      const server = await fakeServer();
      const folder = newFolder();
      const first = online(server, folder);
      expect(await first.run(run)).toEqual({ seq: 0, where: `${server.url}/me/flashinfer-bench/runs/run_1` });
      await first.attempt(attempt(1));
      await first.attempt(attempt(2));
      await first.finish(end);
      const second = online(server, folder);
      expect(await second.run(run)).toMatchObject({ seq: 20 });
      await second.attempt(attempt(2));
      await second.attempt(attempt(3));
      await second.finish(end);
      rmSync(join(folder, "wandb.json"));
      const third = online(server, folder);
      expect(await third.run(run)).toMatchObject({ seq: 0 });
      for (const step of [1, 2, 3, 4]) await third.attempt(attempt(step));
      await third.finish(end);
      expect(server.history.map((row) => [row._step, row.score])).toEqual([1, 2, 3, 4].map((step) => [step, step]));
      expect(server.exitCodes).toEqual([0, 0, 0]);
      expect([...server.authorizations]).toEqual([`Basic ${Buffer.from(`api:${apiKey}`).toString("base64")}`]);
      server.close();
    });

    test("what the network loses is kept here, and `wandb sync` sends it", async () => {
      const server = await fakeServer();
      const tracker = online(server, newFolder(), { WANDB_FINISH_TIMEOUT: "2" });
      await tracker.run(run);
      server.close();
      await tracker.attempt(attempt(1));
      const error: unknown = await tracker.finish(end).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ who: "operator", code: "tracker.left" });
      const folder = /'wandb sync (\S+)' sends the rest$/.exec((error as Error).message)?.[1] ?? "";

      const again = await fakeServer();
      await wandb(["sync", "--include-online", folder], again);
      expect(again.history.map((row) => row._step)).toEqual([1]);
      again.close();
    });

    test("offline parts of one run are sent one after the other by `wandb sync`", async () => {
      const place = settings();
      for (const step of [1, 2]) {
        const tracker = wandbTracker(place);
        await tracker.run(run);
        await tracker.attempt(attempt(step));
        await tracker.finish(end);
      }
      const server = await fakeServer();
      await wandb(["sync", join(place.folder, "wandb")], server);
      expect(server.history.map((row) => row._step)).toEqual([1, 2]);
      server.close();
    });
  });

  test.concurrent.each<[string, Record<string, string>, RegExp]>([
    ["no key", {}, /No API key configured/],
    ["a key that is none", { WANDB_API_KEY: "short" }, /API key must have 40/],
    [
      "no network",
      { WANDB_API_KEY: "k".repeat(40), WANDB_BASE_URL: "http://127.0.0.1:9", WANDB_INIT_TIMEOUT: "2" },
      /connection refused/,
    ],
  ])("%s: said as W&B says it", async (_, env, says) => {
    const tracker = wandbTracker(settings({ mode: "online", env: { HOME: newFolder(), TMPDIR: root, ...env } }));
    await expect(tracker.run(run)).rejects.toThrow(says);
  });

  test.concurrent("when whoever tells it dies, it keeps what it was told and closes the run", async () => {
    const place = settings();
    const code = `
      import { wandbTracker } from ${JSON.stringify(new URL("index.ts", import.meta.url).href)};
      const tracker = wandbTracker(${JSON.stringify(place)});
      await tracker.run(${JSON.stringify(run)});
      await tracker.attempt(${JSON.stringify(attempt(1))});
      process.kill(process.pid, "SIGKILL");`;
    expect((await inChild(code).ended).signal).toBe("SIGKILL");
    const next = wandbTracker(place);
    expect(await next.run(run)).toMatchObject({ seq: 10 });
    await next.attempt(attempt(1));
    await next.attempt(attempt(2));
    await next.finish(end);
    const parts = wandbParts(place.folder);
    expect(parts.map(({ rows }) => rows.map((row) => row._step))).toEqual([[1], [2]]);
    expect(parts.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  });

  test.concurrent("a run that another process still sends is waited for", async () => {
    const place = settings();
    const [first, second] = [wandbTracker(place), wandbTracker(place)];
    await first.run(run);
    const opened = second.run(run);
    // Longer than it takes to open a run.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await first.attempt(attempt(1));
    await first.finish(end);
    expect(await opened).toMatchObject({ seq: 10 });
    await second.finish(end);
  });

  test.concurrent("a folder in which nothing can be written", async () => {
    const folder = join(newFolder(), "file");
    writeFileSync(folder, "");
    await expect(wandbTracker(settings({ folder })).run(run)).rejects.toThrow(/Not a directory|File exists/);
  });
});

describe.concurrent("a process that does not do what it should", () => {
  const misbehaving = (script: string, changes: Partial<WandbSettings> = {}) => {
    const python = join(newFolder(), "python");
    writeFileSync(python, `#!/bin/sh\n${script}\n`);
    chmodSync(python, 0o755);
    return wandbTracker(settings({ python, ...changes }));
  };
  const limits = (ms: number) => ({ limitsMs: { run: ms, record: ms, finish: ms } });

  test.each<[string, string, string, RegExp]>([
    ["has no wandb", 'exec python3 -I -S "$@"', "tracker.ended", /has no package wandb/],
    ["says what is wrong", `read line; echo '{"error":"it is full"}'`, "tracker.failed", /^it is full$/],
    ["crashes without a word", "exit 7", "tracker.ended", /exit code 7/],
    [
      "dies of its last words",
      "read line; echo 'first' >&2; echo 'why it died' >&2; exit 1",
      "tracker.ended",
      /^why it died$/,
    ],
    ["answers rubbish", "read line; echo hello; sleep 30", "tracker.rubbish", /'hello'/],
    ["answers something else", "read line; echo '{}'; sleep 30", "tracker.rubbish", /'{}'/],
    ["speaks before it is asked", "echo '{}'; echo '{}'; sleep 30", "tracker.rubbish", /./],
    ["answers without an end", "yes | tr -d '\\n'", "tracker.rubbish", /too much/],
  ])("%s", async (_, script, code, says) => {
    const error = await misbehaving(script)
      .run(run)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ who: "operator", code });
    expect((error as Error).message).toMatch(says);
  });

  test("hangs: it is ended, with its children", async () => {
    const alive = join(newFolder(), "alive");
    const hanging = misbehaving(`(sleep 3; touch ${alive}) & sleep 30`, limits(200));
    await expect(hanging.run(run)).rejects.toMatchObject({ code: "tracker.timeout" });
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(existsSync(alive)).toBe(false);
  });

  test("hangs after its last answer: it is ended, and the end is no failure", async () => {
    const opened = `read line; echo '{"seq":0,"where":"x"}'; read line; echo '{"left":null}'; sleep 30`;
    const tracker = misbehaving(opened, limits(1_000));
    await tracker.run(run);
    await tracker.finish(end);
    await expect(tracker.attempt(attempt(1))).rejects.toMatchObject({ code: "tracker.ended" });
  });

  test("is not there", async () => {
    const tracker = wandbTracker(settings({ python: join(root, "nowhere/python") }));
    await expect(tracker.run(run)).rejects.toMatchObject({ code: "tracker.start" });
    await expect(tracker.attempt(attempt(1))).rejects.toMatchObject({ code: "tracker.start" });
  });

  test("is told nothing but its own environment, and no secret in its arguments", async () => {
    const seen = join(newFolder(), "seen");
    const env = { PATH: process.env.PATH ?? "", WANDB_API_KEY: "a-secret" };
    const tracker = misbehaving(`env > ${seen}; echo "arguments: $*" >> ${seen}`, { env });
    await expect(tracker.run(run)).rejects.toThrow();
    const lines = readFileSync(seen, "utf8").trim().split("\n");
    const names = lines.map((line) => line.split("=")[0]).sort();
    expect(names.filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name ?? ""))).toEqual([
      "PATH",
      "WANDB_API_KEY",
      "WANDB_CACHE_DIR",
      "WANDB_DATA_DIR",
      expect.stringMatching(/^arguments: \S+ksearch_wandb\.py$/),
    ]);
  });
});
