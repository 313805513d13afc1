import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import {
  AppError,
  Device,
  type EvaluationRequest,
  type ExaminationRequest,
  hardenedSettings,
  type Verdict,
} from "@ksearch/domain";
import { refereeContract } from "@ksearch/ports/contracts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ModalServer, modalServer } from "../../test/modal-server.ts";
import { python, request, rmsnorm, template } from "../../test/referee.ts";
import {
  container,
  functionName,
  gpuFunctions,
  type ModalSettings,
  modalGpus,
  modalPrices,
  modalReferee,
} from "./index.ts";

const token = { tokenId: "ak-test", tokenSecret: "as-secret" };
const app = "ksearch-referee";
const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", TMPDIR: tmpdir() };
const everyDevice = { ...gpuFunctions, cpu: functionName("cpu") };
const functions = Object.values(everyDevice);

/** A referee that is a few lines of JavaScript; `verdict` is a good one on the `request`. */
const standIn = (code: string): readonly [string, ...string[]] => [
  process.execPath,
  "-e",
  `const request = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
   const verdict = { ...${JSON.stringify(template)}, requestId: request.requestId, device: request.device };
   const answer = (value) => process.stdout.write(typeof value === "string" ? value : JSON.stringify(value));
   ${code}`,
];

const obliging = `
  const told = request.kernel.files[0].content;
  if (told === "hang") setInterval(() => {}, 1_000);
  else if (told === "crash") process.kill(process.pid, "SIGSEGV");
  else if (told === "raise") { console.error("a defect of the referee"); process.exitCode = 1; }
  else if (told === "rubbish") answer("42");
  else if (told === "no json") answer("{");
  else if (told === "huge") answer("x".repeat(17 * 1024 * 1024));
  else if (told === "long") answer({ ...verdict, logs: { ...verdict.logs, run: "x".repeat(3_000_000) } });
  else if (told === "another") answer({ ...verdict, requestId: "another" });
  else if (told === "another gpu") answer({ ...verdict, env: { ...verdict.env, gpu: "NVIDIA H200" } });
  else if (told === "refused") answer({ error: { code: "request.invalid", message: "odd", path: "$.kernel" } });
  else if (told === "driver") answer({ error: { code: "driver.timeout", message: "no answer", path: "$" } });
  else if (told === "measure") answer({ ...verdict, logs: { ...verdict.logs, run: String(JSON.stringify(request).length) } });
  else answer(verdict);`;

/** A request whose kernel's one file tells the stand-in what to do. */
function telling(content: string, changes: Partial<EvaluationRequest> = {}): EvaluationRequest {
  const plain = request(`test/${content.slice(0, 20)}`);
  return { ...plain, kernel: { ...plain.kernel, files: [{ path: "kernel.cpp", content }] }, ...changes };
}

let server: ModalServer;
const before = process.env.MODAL_SERVER_URL;

async function serve(command: readonly [string, ...string[]]): Promise<void> {
  server = await modalServer({ app, functions, token, body: { command, env } });
  process.env.MODAL_SERVER_URL = server.url;
}

const referee = (changes: Partial<ModalSettings> = {}) =>
  modalReferee({ app, token, devices: everyDevice, ...changes });

async function ticketOf(asked: EvaluationRequest, at = referee()): Promise<string> {
  const submitted = await at.submit(asked);
  if ("verdict" in submitted) throw new Error("Modal answers with tickets");
  return submitted.ticket;
}

/** Submits and collects until there is an outcome. */
async function outcomeOf(
  asked: EvaluationRequest,
  at = referee(),
): Promise<{ verdict: Verdict } | { ended: AppError }> {
  const ticket = await ticketOf(asked, at);
  for (;;) {
    const outcome = await at.collect(ticket);
    if (outcome !== "running") return outcome;
  }
}

afterAll(() => {
  if (before === undefined) delete process.env.MODAL_SERVER_URL;
  else process.env.MODAL_SERVER_URL = before;
});

describe("the Python referee at Modal", () => {
  beforeAll(() => serve([python, "-I", "-m", "ksearch_referee.door"]));
  afterAll(() => server.close());

  test("is set up", () => {
    expect(existsSync(python), `the referee's Python is not at ${python}: run scripts/test.sh, which makes it`).toBe(
      true,
    );
  });

  refereeContract(
    async () => referee(),
    request("contract/good"),
    request("contract/broken", rmsnorm.replace("sum += ", "sum += undeclared + ")),
  );

  test("looks at a problem, too", async () => {
    const { problem, settings, device } = request("any");
    const asked: ExaminationRequest = {
      schema: "ksearch.examine/1",
      requestId: "examine/1",
      problem,
      settings,
      device,
    };
    expect(await referee().examine(asked)).toMatchObject({ requestId: "examine/1", status: "admitted" });
  }, 60_000);

  test("says in its own words what it refuses", async () => {
    const odd = { ...request("odd"), schema: "ksearch.request/9" } as unknown as EvaluationRequest;
    expect(await outcomeOf(odd)).toMatchObject({
      ended: { who: "operator", code: "referee.request", message: expect.stringContaining("ksearch.request/9") },
    });
  }, 30_000);
});

describe("a stand-in at Modal", () => {
  beforeAll(() => serve(standIn(obliging)));
  afterEach(() =>
    server.tell({
      loseContainers: 0,
      forget: 0,
      unavailable: 0,
      loseAnswers: 0,
      throttle: 0,
      queueMs: 0,
      timeoutMs: 60_000,
    }),
  );
  afterAll(() => server.close());

  test("a device has its own function, and the CPU has none", async () => {
    await ticketOf(telling("fine", { device: "A100-80GB" }));
    expect(server.calls().at(-1)?.name).toBe("judge_a100_80gb");
    const gpusOnly = modalReferee({ app, token });
    await expect(gpusOnly.submit(telling("fine"))).rejects.toMatchObject({
      who: "caller",
      code: "referee.device",
      message: expect.stringContaining("H100"),
    });
  });

  test("a ticket says nothing secret, and another process collects it", async () => {
    const ticket = await ticketOf(telling("fine"));
    expect(ticket).not.toContain(token.tokenSecret);
    const other = `
      import { modalReferee } from ${JSON.stringify(new URL("index.ts", import.meta.url).href)};
      const { collect } = modalReferee({ app: "${app}", token: ${JSON.stringify(token)} });
      for (;;) {
        const outcome = await collect(process.argv[1]);
        if (outcome !== "running") { console.log(JSON.stringify(outcome)); break; }
      }`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--input-type=module", "--disable-warning=ExperimentalWarning", "-e", other, ticket],
      { env: { ...env, MODAL_SERVER_URL: server.url } },
    );
    expect(JSON.parse(stdout)).toMatchObject({ verdict: { status: "passed", requestId: "test/fine" } });
  }, 30_000);

  test("what takes time is running", async () => {
    server.tell({ queueMs: 6_000 });
    const ticket = await ticketOf(telling("fine"));
    expect(await referee().collect(ticket)).toBe("running");
    expect(await referee().collect(ticket)).toMatchObject({ verdict: { status: "passed" } });
  }, 30_000);

  test.each([1_000, 20_000, 5_000_000])(
    "a kernel of %i characters arrives whole",
    async (length) => {
      const asked = telling("measure");
      asked.kernel.files.push({ path: "data.h", content: `// ${"ä".repeat(length)}` });
      expect(await outcomeOf(asked)).toMatchObject({
        verdict: { logs: { run: String(JSON.stringify(asked).length) } },
      });
      expect(server.calls().at(-1)?.request).toBe(JSON.stringify(asked));
    },
    30_000,
  );

  test("a long answer comes whole", async () => {
    const outcome = await outcomeOf(telling("long"));
    expect("verdict" in outcome && outcome.verdict.logs.run.length).toBe(3_000_000);
  }, 30_000);

  test.each([
    ["rubbish", "retry", "referee.rubbish"],
    ["no json", "retry", "referee.rubbish"],
    ["huge", "retry", "referee.rubbish"],
    ["another", "retry", "referee.rubbish"],
    ["driver", "retry", "referee.rubbish"],
    ["another gpu", "retry", "referee.device"],
    ["crash", "retry", "referee.lost"],
    ["raise", "operator", "referee.broken"],
    ["refused", "operator", "referee.request"],
  ])(
    "'%s' ends the call: %s %s",
    async (told, who, code) => {
      expect(await outcomeOf(telling(told))).toMatchObject({ ended: { who, code } });
    },
    30_000,
  );

  test("a verdict of an H200 is none for an H100", async () => {
    expect(await outcomeOf(telling("another gpu", { device: "H100" }))).toMatchObject({
      ended: { code: "referee.device", message: expect.stringContaining("H200") },
    });
    expect(await outcomeOf(telling("another gpu", { device: "H200" }))).toMatchObject({ verdict: { device: "H200" } });
  });

  test("a function that takes longer than Modal lets it is the host's trouble, not the kernel's", async () => {
    server.tell({ timeoutMs: 300 });
    expect(await outcomeOf(telling("hang"))).toMatchObject({ ended: { who: "retry", code: "referee.timeout" } });
  });

  test("a lost container ends its call; the next one is answered", async () => {
    server.tell({ loseContainers: 1 });
    expect(await outcomeOf(telling("fine"))).toMatchObject({ ended: { who: "retry", code: "referee.lost" } });
    expect(await outcomeOf(telling("fine"))).toMatchObject({ verdict: { status: "passed" } });
  });

  test("a call that Modal forgot is lost", async () => {
    server.tell({ forget: 1 });
    expect(await outcomeOf(telling("fine"))).toMatchObject({ ended: { who: "retry", code: "referee.lost" } });
  });

  test("what has no answer by its deadline is lost, and is ended at Modal", async () => {
    const ticket = JSON.parse(await ticketOf(telling("hang")));
    expect(await referee().collect(JSON.stringify({ ...ticket, deadlineMs: Date.now() - 1 }))).toMatchObject({
      ended: { who: "retry", code: "referee.lost", message: expect.stringContaining("deadline") },
    });
    expect(server.calls().find(({ id }) => id === ticket.callId)?.ending).not.toBeNull();
  }, 30_000);

  test("cancelling kills the container, twice is once, and whoever collects is told", async () => {
    const ticket = await ticketOf(telling("hang"));
    const pid = await expect
      .poll(() => server.calls().at(-1)?.pid)
      .not.toBeNull()
      .then(() => server.calls().at(-1)?.pid ?? 0);
    const { cancel, collect } = referee();
    await cancel(ticket);
    await cancel(ticket);
    await expect.poll(() => isAlive(pid)).toBe(false);
    expect(await collect(ticket)).toMatchObject({ ended: { who: "retry", code: "referee.lost" } });
    await cancel(JSON.stringify({ ...JSON.parse(ticket), callId: "fc-unknown" }));
  });

  test("an answer that was lost on its way costs no second call", async () => {
    const made = server.calls().length;
    server.tell({ loseAnswers: 1 });
    expect(await outcomeOf(telling("fine"))).toMatchObject({ verdict: { status: "passed" } });
    expect(server.calls().length).toBe(made + 1);
  });

  test("a server that asks for patience gets it", async () => {
    server.tell({ throttle: 1 });
    expect(await outcomeOf(telling("fine"))).toMatchObject({ verdict: { status: "passed" } });
  });

  test("a server that asks for patience for ever does not get it", async () => {
    server.tell({ throttle: 1_000 });
    await expect(referee().submit(telling("fine"))).rejects.toMatchObject({
      who: "retry",
      code: "referee.unreachable",
      message: expect.stringContaining("too many requests"),
    });
  }, 30_000);

  test("connections that break are made anew", async () => {
    const at = referee();
    const ticket = await ticketOf(telling("fine"), at);
    server.cut();
    expect(await at.collect(ticket)).toMatchObject({ verdict: { status: "passed" } });
  }, 30_000);

  test("a control plane that is away for a while: the ticket stands", async () => {
    const at = referee();
    const ticket = await ticketOf(telling("fine"), at);
    server.tell({ unavailable: 1_000 });
    await expect(at.collect(ticket)).rejects.toMatchObject({ who: "retry", code: "referee.unreachable" });
    server.tell({ unavailable: 0 });
    expect(await at.collect(ticket)).toMatchObject({ verdict: { status: "passed" } });
  }, 30_000);

  test("a wrong token is for the operator, and its secret is not told", async () => {
    const wrong = referee({ token: { tokenId: "ak-test", tokenSecret: "as-wrong" } });
    const error: unknown = await wrong.submit(telling("fine")).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      who: "operator",
      code: "referee.auth",
      message: expect.stringMatching(/MODAL_TOKEN_ID.*MODAL_TOKEN_SECRET/),
    });
    expect(error instanceof AppError && error.message).not.toContain("as-wrong");
  });

  test.each([{ app: "another-app" }, { devices: { cpu: "judge_abacus" } }])(
    "what is not deployed is for the operator: %j",
    async (changes) => {
      await expect(referee(changes).submit(telling("fine"))).rejects.toMatchObject({
        who: "operator",
        code: "referee.missing",
        message: expect.stringContaining("scripts/deploy.sh"),
      });
    },
  );

  test("a limit that the deployed function would cut short is refused before it costs anything", async () => {
    const limits = { ...hardenedSettings.limits, totalMs: container.timeoutMs };
    const long = telling("fine", { settings: { ...hardenedSettings, limits } });
    await expect(referee().submit(long)).rejects.toMatchObject({ who: "caller", code: "referee.limits" });
  });

  test("a ticket of another referee is refused", async () => {
    await expect(referee().collect("some-ticket")).rejects.toMatchObject({ who: "operator", code: "referee.ticket" });
  });
});

test("nothing listens: to be tried again", async () => {
  process.env.MODAL_SERVER_URL = "http://127.0.0.1:1";
  await expect(referee().submit(telling("fine"))).rejects.toMatchObject({ who: "retry", code: "referee.unreachable" });
}, 30_000);

test("an hour on an H100 with its cores and memory costs what the price list says", () => {
  const { price } = referee();
  const aSecond = modalPrices.gpu.H100 + 8 * modalPrices.cpuCore + 32 * modalPrices.memoryGiB;
  expect(price(3_590_000, "H100")).toBe(Math.ceil(3_600 * aSecond));
  expect(price(60_000, "B200")).toBeGreaterThan(price(60_000, "T4"));
});

test("every GPU of the contract has a function, under the name, size and limit that the deployed app has", async () => {
  expect(Object.keys(gpuFunctions)).toEqual(Device.options.filter((device) => device !== "cpu"));
  const script = `import json
from ksearch_referee.modal_devices import CPU_CORES, MEMORY_GIB, MODAL_GPUS, TIMEOUT_S, function_name
print(json.dumps([{name: [gpu, function_name(name)] for name, gpu in MODAL_GPUS.items()}, CPU_CORES, MEMORY_GIB, TIMEOUT_S]))`;
  const { stdout } = await promisify(execFile)(python, ["-I", "-c", script]);
  const devices = Object.entries(modalGpus).map(([name, gpu]) => [name, [gpu, functionName(Device.parse(name))]]);
  const { cpuCores, memoryGiB, timeoutMs } = container;
  expect(JSON.parse(stdout)).toEqual([Object.fromEntries(devices), cpuCores, memoryGiB, timeoutMs / 1_000]);
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
};
