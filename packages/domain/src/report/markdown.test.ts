import { expect, test } from "vitest";
import { bareReport, hostile, sampleReport } from "../../test/reports.ts";
import { started } from "../../test/steps.ts";
import { reportMarkdown } from "./markdown.ts";

test("words of models and logs are neither HTML nor links, and break no table, list or block of code", () => {
  const report = reportMarkdown(sampleReport(hostile));
  const outside = report.replace(/```.*?\n```/gs, "");
  expect(outside).not.toMatch(/(?<!\\)[<>]\w/);
  expect(outside).not.toMatch(/(?<!\\)\[[^\]]*\]\(/);
  const rows = report.split("\n").filter((line) => line.startsWith("|"));
  expect(rows.every((row) => row.endsWith("|"))).toBe(true);
  const plain = reportMarkdown(sampleReport("words"));
  expect(report.split("\n")).toHaveLength(plain.split("\n").length);
});

test("the result stands with its interval, the winner's times, failures, cost and the commands that do it again", () => {
  const report = reportMarkdown(sampleReport());
  for (const words of [
    "**3.00 times the reference's speed**, the geometric mean over 2 workloads, confirmed on fresh secret seeds",
    "| words | words words | 10.0 | 30.0 | 3.00 | 40 |",
    "K03: words",
    "| compile_error | 1 | it was compile_error |",
    "| words | draft | 2 | 1000 | 50 | $0.0000 |",
    "npx ksearch run scale_rows --policy lanes --lanes 2 --attempts-per-node 2-4 --budget-attempts 20",
  ])
    expect(report).toContain(words);
});

test("a run without a kernel says so", () => {
  expect(reportMarkdown(bareReport(started(["a"])))).toContain("No kernel passed.");
});
