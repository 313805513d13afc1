import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EvaluationRequest, hardenedSettings } from "@ksearch/domain";
import { refereeContract } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { kernel, python, repository, request, rmsnorm, template } from "../../test/referee.ts";
import { type SubprocessSettings, subprocessReferee } from "./index.ts";

const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", TMPDIR: tmpdir() };

describe("the Python referee", () => {
  test("is set up", () => {
    expect(existsSync(python), `the referee's Python is not at ${python}: run scripts/test.sh, which makes it`).toBe(
      true,
    );
  });
  refereeContract(
    async () =>
      subprocessReferee({
        command: [python, "-I", "-m", "ksearch_referee"],
        env,
        graceMs: 9_000,
        atOnce: 4,
      }),
    request("contract/good"),
    request("contract/broken", rmsnorm.replace("sum += ", "sum += undeclared + ")),
  );

  test("a request that its contract does not know is for the operator, in its own words", async () => {
    const referee = subprocessReferee({
      command: [python, "-I", "-m", "ksearch_referee"],
      env,
      graceMs: 9_000,
      atOnce: 4,
    });
    const odd = { ...request("odd"), schema: "ksearch.request/9" } as unknown as EvaluationRequest;
    await expect(referee.submit(odd)).rejects.toMatchObject({
      who: "operator",
      code: "referee.request",
      message: expect.stringContaining("schema"),
    });
  }, 30_000);
});

/** A referee that is a few lines of JavaScript. `answer` is at hand: a good verdict on the request on stdin. */
function fake(code: string, changes: Partial<SubprocessSettings> = {}) {
  const script = `
    const request = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    const verdict = { ...${JSON.stringify(template)}, requestId: request.requestId, device: request.device };
    const answer = JSON.stringify(verdict);
    ${code}`;
  return subprocessReferee({ command: [process.execPath, "-e", script], env, graceMs: 10_000, atOnce: 4, ...changes });
}

const shell = (script: string, changes: Partial<SubprocessSettings> = {}) =>
  subprocessReferee({ command: ["sh", "-c", script], env, graceMs: 10_000, atOnce: 4, ...changes });

const quick = (requestId: string): EvaluationRequest => ({
  ...request(requestId),
  settings: { ...hardenedSettings, limits: { ...hardenedSettings.limits, totalMs: 400 } },
});

describe("a verdict", () => {
  test("is taken from stdout, whatever the exit code and the chatter on stderr", async () => {
    const { submit } = fake('console.error("warming up"); process.stdout.write(answer + "\\n"); process.exitCode = 3;');
    expect(await submit(request("r1"))).toMatchObject({
      verdict: { status: "passed", requestId: "r1", score: { value: 2 } },
    });
  });

  test("of many requests at once each goes to its own", async () => {
    const referee = fake("setTimeout(() => process.stdout.write(answer), 20);");
    const ids = ["r1", "r2", "r3", "r4"];
    const submitted = await Promise.all(ids.map((id) => referee.submit(request(id))));
    expect(submitted.map((one) => ("verdict" in one ? one.verdict.requestId : null))).toEqual(ids);
  });

  test("the referee sees the environment it was given, and no key of ours", async () => {
    const before = process.env.OPENAI_API_KEY;
    process.env.OPENAI_API_KEY = "sk-secret";
    try {
      const { submit } = fake(
        "verdict.logs.run = JSON.stringify(process.env); process.stdout.write(JSON.stringify(verdict));",
        {
          env: { PATH: "/usr/bin", MARK: "here" },
        },
      );
      const submitted = await submit(request("r1"));
      const seen = "verdict" in submitted ? submitted.verdict.logs.run : "";
      expect(seen).toContain("here");
      expect(seen).not.toContain("sk-secret");
    } finally {
      if (before === undefined) delete process.env.OPENAI_API_KEY;
      else process.env.OPENAI_API_KEY = before;
    }
  });
});

describe("a referee in trouble: trying again may help, and the message says what was seen", () => {
  test.each([
    ["crashes", () => fake("process.abort();"), /SIGABRT.*no JSON/],
    ["is killed", () => shell("kill -9 $$"), /SIGKILL.*no JSON/],
    [
      "exits 1 with a traceback",
      () => shell("cat >/dev/null; echo 'Traceback' >&2; echo 'ValueError: no compiler' >&2; exit 1"),
      /exit code 1.*it said: ValueError: no compiler/,
    ],
    ["exits before it has read the request", () => shell("exit 7"), /exit code 7/],
    ["exits 0 with nothing", () => shell("cat >/dev/null"), /exit code 0.*no JSON/],
    ["answers rubbish", () => shell("cat >/dev/null; echo 'hello there'"), /no JSON/],
    ["answers bytes that are no text", () => shell("cat >/dev/null; head -c 1000 /dev/urandom"), /no JSON/],
    ["answers half a JSON", () => fake("process.stdout.write(answer.slice(0, answer.length / 2));"), /no JSON/],
    ["answers twice", () => fake("process.stdout.write(answer + answer);"), /no JSON/],
    ["answers a JSON that is no verdict", () => shell('cat >/dev/null; echo \'{"status":"fine"}\''), /status/],
    [
      "gives a failure a score",
      () => fake('verdict.status = "incorrect_numerical"; process.stdout.write(JSON.stringify(verdict));'),
      /answered/,
    ],
    [
      "answers another request",
      () => fake('verdict.requestId = "r0"; process.stdout.write(JSON.stringify(verdict));'),
      /'r0', not 'r1'/,
    ],
  ])(
    "%s",
    async (_, make, words) => {
      await expect(make().submit(request("r1"))).rejects.toMatchObject({
        who: "retry",
        code: "referee.rubbish",
        message: expect.stringMatching(words),
      });
    },
    20_000,
  );

  test("output without an end is cut off, not kept", async () => {
    await expect(shell("cat >/dev/null; exec cat /dev/zero").submit(request("r1"))).rejects.toMatchObject({
      who: "retry",
      code: "referee.rubbish",
    });
  }, 20_000);

  test("its last words are told in short", async () => {
    const chatty = shell(
      "cat >/dev/null; head -c 3000000 /dev/zero | tr '\\0' 'e' >&2; echo >&2; echo 'the end' >&2; exit 1",
    );
    await expect(chatty.submit(request("r1"))).rejects.toMatchObject({
      message: expect.stringMatching(/it said: the end$/),
    });
  }, 20_000);
});

/** Whether a process is there and not merely unburied. */
function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<void> {
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

const pidFile = () => join(mkdtempSync(join(tmpdir(), "ksearch-referee-")), "pid");

describe("beyond the deadline", () => {
  const late = { who: "retry", code: "referee.timeout", message: expect.stringContaining("500 ms") };

  test("a referee that hangs is killed, with the children of its group", async () => {
    const pids = pidFile();
    const hanging = shell(`sleep 1000 & echo $! > ${pids}; echo $$ >> ${pids}; wait`, { graceMs: 100 });
    await expect(hanging.submit(quick("r1"))).rejects.toMatchObject(late);
    const [child, parent] = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    await gone(child ?? 0);
    await gone(parent ?? 0);
  }, 20_000);

  test("one that ignores polite signals, too", async () => {
    await expect(
      shell("trap '' TERM INT HUP; while :; do sleep 1; done", { graceMs: 100 }).submit(quick("r1")),
    ).rejects.toMatchObject(late);
  }, 20_000);

  test("one that never reads the request, too", async () => {
    const large = { ...quick("r1"), kernel: kernel("x".repeat(390_000)) };
    await expect(shell("sleep 1000", { graceMs: 100 }).submit(large)).rejects.toMatchObject(late);
  }, 20_000);

  test("a grandchild that left the group and keeps the pipe open does not keep us", async () => {
    const pids = pidFile();
    const leaving = shell(`setsid sh -c 'echo $$ > ${pids}; exec sleep 15' & sleep 1000`, { graceMs: 100 });
    await expect(leaving.submit(quick("r1"))).rejects.toMatchObject(late);
    const pid = Number(readFileSync(pids, "utf8"));
    expect(alive(pid)).toBe(true);
    process.kill(pid, "SIGKILL");
  }, 10_000);
});

describe("a referee that cannot work is for the operator", () => {
  test.each([
    ["is not there", ["/no/such/python"] as const],
    ["is no program", [join(repository, "package.json")] as const],
  ])("it %s", async (_, command) => {
    await expect(
      subprocessReferee({ command, env, graceMs: 1_000, atOnce: 4 }).submit(request("r1")),
    ).rejects.toMatchObject({
      who: "operator",
      code: "referee.start",
      message: expect.stringMatching(new RegExp(`${command[0]}.*quickstart`)),
    });
  });

  test("it refuses the request", async () => {
    const refusing = fake(
      'console.log(JSON.stringify({ error: { code: "request", message: "kernel.files is empty" } })); process.exitCode = 2;',
    );
    await expect(refusing.submit(request("r1"))).rejects.toMatchObject({
      who: "operator",
      code: "referee.request",
      message: expect.stringContaining("kernel.files is empty"),
    });
  });

  test("a ticket of another referee", async () => {
    await expect(shell("true").collect("some-ticket")).rejects.toMatchObject({
      who: "operator",
      code: "referee.ticket",
    });
  });
});
