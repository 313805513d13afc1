/** Computes docs/costs.md from a rehearsal's log, results/rehearsal.json. `--check` only compares. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { container, modalPrices, priceOf } from "../packages/adapters/src/modal/devices.ts";
import {
  callsOf,
  costsOf,
  inCloud,
  lookSeconds,
  measured,
  platformLogBytes,
  pollsFor,
  rehearsedPolls,
  type Scenario,
  services,
  statesOfPoll,
  sum,
  type Use,
  workMs,
} from "./costs/model.ts";
import { asOf, cost, type Price, prices } from "./costs/prices.ts";
import { RehearsalLog } from "./rehearse/log.ts";

const inRepository = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const log = RehearsalLog.parse(JSON.parse(readFileSync(inRepository("results/rehearsal.json"), "utf8")));

const count = (value: number): string => Math.round(value).toLocaleString("en-US");
const one = (value: number): string => value.toFixed(1);
const usd = (value: number): string => `$${value.toFixed(6)}`;
const cents = (value: number): string => `$${value.toFixed(2)}`;
const total = (use: Use): number => sum(Object.values(costsOf(use)));
const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map((_, index) => (index === 0 ? "---" : "--:"))), ...rows.map(row)].join("\n");

const scenarios: readonly [title: string, scenario: Scenario][] = [
  ["60 s, reply polled", { evaluationSeconds: 60, replySeconds: 90, background: true }],
  ["300 s, reply polled", { evaluationSeconds: 300, replySeconds: 90, background: true }],
  ["300 s, reply waited for", { evaluationSeconds: 300, replySeconds: 90, background: false }],
];
const uses = scenarios.map(([title, scenario]) => ({ title, use: inCloud(log, scenario) }));
const ceiling = 0.005;
const perAttempt = uses.map(({ use }) => total(use) / log.attempts);
const dearest = Math.max(...perAttempt);

const rehearsed = measured(log);
const { evaluations, replies } = callsOf(log);
const polls = rehearsedPolls(log);

const asItRan = table(
  ["service", "what is billed", "in the run", "an attempt", "cost of the run", "of an attempt"],
  (
    [
      ["Step Functions", "transitions", rehearsed.transitions],
      ["Lambda", "requests", rehearsed.invocations],
      ["Lambda", "GB-seconds, imports included", rehearsed.gbSeconds],
      ["DynamoDB", "write units", rehearsed.writeUnits],
      ["DynamoDB", "read units", rehearsed.readUnits],
      ["S3", "PUT", rehearsed.puts],
      ["S3", "GET", rehearsed.gets],
      ["CloudWatch Logs", "KB", rehearsed.logBytes / 1e3],
    ] as const
  ).map(([service, what, amount], index, rows) => {
    const isFirst = rows.findIndex(([name]) => name === service) === index;
    const dollars = costsOf(rehearsed)[service];
    const money = isFirst ? [usd(dollars), usd(dollars / log.attempts)] : ["", ""];
    return [isFirst ? service : "", what, count(amount), one(amount / log.attempts), ...money];
  }),
);

const pollRow = (what: string, seconds: number, lookFor: number): string[] => {
  const { waits, lookedSeconds } = pollsFor(seconds, lookFor);
  const states = statesOfPoll * waits.length;
  return [what, waits.join(" + "), `${waits.length}`, `${states}`, usd(cost("transition", states)), one(lookedSeconds)];
};

const { resources } = log;
const alarms = resources["aws:cloudwatch/metricAlarm:MetricAlarm"] ?? 0;
const customMetrics = 3;
const runBytes = sum(Object.values(log.s3).map(({ sentBytes }) => sentBytes));
const factBytes = log.dynamodb.TransactWriteItems?.sentBytes ?? 0;
const gb = (bytes: number): number => bytes / 1e9;

const gpuRow = (device: "L4" | "H100" | "B200"): string[] => [
  device,
  ...[60, 300].map((seconds) => cents(priceOf(seconds * 1_000, device) / 1e6)),
  `${Math.round(priceOf(300_000, device) / 1e6 / (perAttempt[1] ?? 1))} times`,
];

const page = `# What a search costs in the cloud

Written by \`npm run costs\` from \`results/rehearsal.json\`, the log of \`npm run rehearse -- --log results/rehearsal.json\`; \`npm run check\`
fails where it is stale. **Nothing here was billed.** The counts are those of a rehearsal: the deployed state machine document and the
built functions against DynamoDB Local, an S3 server and an emulation of Step Functions, Lambda and Modal, with RECORDED replies
of a model. Durations are those of the machine that it ran on, which did other work besides; Lambda's arm64 with ${log.invocations.draft?.memoryMiB} MB may be slower or
faster. Free tiers and discounts are left out, taxes too.

**A control plane of ${usd(perAttempt[1] ?? 0)} an attempt at an evaluation of 300 s, where the model's reply of 90 s is polled, and ${usd(perAttempt[2] ?? 0)}
where a function waits for it; the aim is less than $${ceiling}: ${dearest < ceiling ? "met" : "NOT met"} in this computation.** The GPU costs ${cents(priceOf(300_000, "H100") / 1e6)} beside it (an H100), and the model's
tokens come on top.

## What the rehearsal did

${log.attempts} attempts on ${log.lanes} lanes: ${evaluations} evaluations (confirmations included) and ${replies} replies of the model, in ${log.executions} execution and ${log.rounds * log.lanes} child executions,
${(log.wallMs / 1_000).toFixed(0)} s. A Wait of 5 to 60 s took 0.15 s there, so its ${polls} polls are not those of a cloud; the next section puts that right.

${asItRan}

- Every state entered counts as a transition: Task, Choice, Wait, Map, Succeed. Faults and retries are none in this run.
- Units of DynamoDB are estimated from the items in requests and answers: 1 KB written or 4 KB read consistently is a unit, a transaction
  doubles it, a refused write counts as one that was done. Of the write units ${count(log.dynamodb.TransactWriteItems?.writeUnits ?? 0)} are transactions: an event of the log is a
  put and a look at the event before.
- Logs are what the functions print, and ${count(platformLogBytes)} bytes an invocation for Lambda's own lines, which is an estimate.
- The referee judged ${(log.refereeWallMs / 1_000).toFixed(0)} s in all. That is **this CPU's time** under a small effort, and no measure of a GPU's: the figures below name theirs.

## From the rehearsal to a cloud

Slow work is submitted, and then polled after ${pollsFor(300, 0).waits.slice(0, 5).join(", ")}, … s. A poll enters three states (Wait, Collect, Ready) and is one invocation. A poll of
Modal looks for up to ${lookSeconds} s, while its function is billed; a poll of a model only asks.

${table(
  ["an answer after", "waits, s", "polls", "transitions", "their cost", "seconds looked"],
  [
    pollRow("evaluation, 60 s", 60, lookSeconds),
    pollRow("evaluation, 300 s", 300, lookSeconds),
    pollRow("a model's reply in the background, 90 s", 90, 0),
  ],
)}

Then, for the run of the rehearsal: transitions = ${count(rehearsed.transitions)} − ${statesOfPoll} × ${polls} + ${statesOfPoll} × (${evaluations} × polls of an evaluation + ${replies} × polls of a reply). Requests to the
stores and log bytes grow with the number of invocations, as if a poll, which writes nothing, were an average step: too much rather than too little. Of the functions that ask the
referee, the rehearsal's durations are replaced by the seconds looked and ${count(workMs(log))} ms for everything else (the mean of a warm \`draft\`, its call to the stand-in of
the model included). A model without a background mode is waited for by its function: ${usd(cost("gbSecond", 90))} for 90 s.

${table(
  ["an attempt, evaluation of", ...uses.map(({ title }) => title)],
  [
    ["transitions", ...uses.map(({ use }) => one(use.transitions / log.attempts))],
    ["invocations", ...uses.map(({ use }) => one(use.invocations / log.attempts))],
    ["Lambda GB-seconds", ...uses.map(({ use }) => one(use.gbSeconds / log.attempts))],
    ...services.map((service) => [service, ...uses.map(({ use }) => usd((costsOf(use)[service] ?? 0) / log.attempts))]),
    ["**control plane, an attempt**", ...perAttempt.map((value) => `**${usd(value)}**`)],
    [`control plane, the run of ${log.attempts}`, ...uses.map(({ use }) => usd(total(use)))],
  ],
)}

Everything that belongs to the run itself (its beginning, its confirmations, its report) is shared out among the attempts. Not counted: lanes that wait for
work of others (a Wait, a Claim and a Choice each time; none of it in this run unless \`WaitWork\` stands in the log), tries after faults, data that leaves AWS for Modal
and the model ($0.09 a GB: a megabyte an attempt would be $0.00009), and what the command line reads.

## The GPU

Modal bills the container's life by the second: GPU, ${container.cpuCores} cores and ${container.memoryGiB} GiB. Prices of ${modalPrices.asOf} (\`packages/adapters/src/modal/devices.ts\`), 10 s of start included.

${table(["GPU", "evaluation of 60 s", "of 300 s", "against the control plane, 300 s"], [gpuRow("L4"), gpuRow("H100"), gpuRow("B200")])}

The model's tokens are booked as each call is settled (\`ksearch show\`); a rehearsal's are recorded and say nothing of a price.

## A stage that nobody uses

${table(
  ["what", "how many", "a month"],
  [
    ["alarms", `${alarms}`, cents(cost("alarm", alarms))],
    [
      "custom metrics (`stepDone`, `stepWaits`, `stepFailed`)",
      `${customMetrics}, in a month in which a step ran`,
      `0, or ${cents(cost("metric", customMetrics))}`,
    ],
    ["functions, state machine, queue, topic, event rule, parameter", "no use", "0"],
    [
      `facts of a run like this one, with recovery to any second`,
      `≤ ${count(factBytes / 1e3)} KB`,
      usd(cost("tableGb", gb(factBytes)) + cost("recoveryGb", gb(factBytes))),
    ],
    ["bytes of a run like this one", `≤ ${count(runBytes / 1e3)} KB`, usd(cost("bucketGb", gb(runBytes)))],
    [
      "logs of a run like this one, kept 30 days",
      `${count(rehearsed.logBytes / 1e3)} KB`,
      usd(cost("logStoredGb", gb(rehearsed.logBytes))),
    ],
    ["Modal app without a call", "no container is kept warm", "0"],
    ["AWS Batch", "off by default", "0; on: docs/operations.md"],
  ],
)}

So a stage costs its alarms: ${cents(cost("alarm", alarms))} a month, most of it two alarms for each of ${resources["aws:lambda/function:Function"]} functions. AWS gives ten alarms and ten metrics of an account free,
which is left out here.

## Prices

us-east-1, list, as of ${asOf}. AWS shows most figures by script only: *read* was the figure on the page named, *quoted* on pages of others that quote
it, *recalled* on none. Check them before a budget hangs on them.

${table(
  ["what", "price", "a", "source", "known"],
  Object.values<Price>(prices).map(({ what, usd: dollars, unit, source, known }) => [
    what,
    `$${dollars}`,
    unit,
    `<${source}>`,
    known,
  ]),
)}
`;

const path = inRepository("docs/costs.md");
if (!process.argv.includes("--check")) writeFileSync(path, page);
else if (!existsSync(path) || readFileSync(path, "utf8") !== page) {
  console.error(`${path} is stale: run npm run costs`);
  process.exitCode = 1;
}
