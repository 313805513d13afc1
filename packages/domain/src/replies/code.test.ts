import fc from "fast-check";
import { expect, test } from "vitest";
import { sampleGpuMode, sampleKernelBench } from "../../test/problems.ts";
import { sampleProblem } from "../../test/samples.ts";
import type { Language } from "../kernel.ts";
import type { Format, Problem } from "../problem.ts";
import { longestReply, readKernel } from "./code.ts";

const problems: Record<Format, Problem> = {
  flashinfer: sampleProblem(),
  gpumode: sampleGpuMode(),
  kernelbench: sampleKernelBench(),
};
const read = (reply: string, language: Language = "cpp", format: Format = "flashinfer") =>
  readKernel(reply, { problem: problems[format], language, targetHardware: "cpu" });
const codeOf = (reply: string, language: Language = "cpp"): string => {
  const found = read(reply, language);
  return "problem" in found ? `problem: ${found.problem}` : (found.kernel.files[0]?.content ?? "");
};
const problemOf = (reply: string, language: Language = "cpp"): string => {
  const found = read(reply, language);
  return "problem" in found ? found.problem : "none";
};
const cpp = (body: string) =>
  `#include <cstdint>\nextern "C" void run(const float* x, float* y, int64_t n) {\n  ${body}\n}`;
const py = (body: string) => `import numpy as np\n\ndef run(x):\n    return ${body}`;
const fence = (code: string, tag = "cpp") => `\`\`\`${tag}\n${code}\n\`\`\``;
const file = (code: string, name = "kernel.cpp") => `<file name="${name}">\n${code}\n</file>`;

test("a kernel says how it is called", () => {
  expect(read(file(cpp("a();")))).toEqual({
    kernel: {
      definition: "scale_rows",
      language: "cpp",
      entryPoint: "kernel.cpp::run",
      binding: "c-abi",
      destinationPassing: true,
      targetHardware: ["cpu"],
      dependencies: [],
      files: [{ path: "kernel.cpp", content: cpp("a();") }],
    },
  });
  expect(read(file(py("x"), "main.py"), "python")).toMatchObject({
    kernel: { entryPoint: "main.py::run", binding: "python", destinationPassing: false },
  });
});

test.each([
  ["a named file", file(cpp("a();"))],
  ["a named file in single quotes", `<file name = 'kernel.cpp' >\n${cpp("a();")}\n</file>`],
  ["a named file with prose around it", `Here it is:\n\n${file(cpp("a();"))}\n\nIt is fast.`],
  ["a named file in CDATA", file(`<![CDATA[\n${cpp("a();")}\n]]>`)],
  ["a named file that holds a fence", file(fence(cpp("a();")))],
  ["a fence around a named file", fence(file(cpp("a();")), "xml")],
  ["a fence", fence(cpp("a();"))],
  ["a fence without a language", fence(cpp("a();"), "")],
  ["a fence of tildes", `~~~cpp\n${cpp("a();")}\n~~~`],
  ["bare code", `\n${cpp("a();")}\n`],
  [
    "a tag that the prose mentions",
    `I put it into \`<file name="kernel.cpp">\`:\n${file(cpp("a();"))}\nas \`<file name="kernel.cpp">\`.`,
  ],
])("%s is read", (_, reply) => expect(codeOf(reply).trim()).toBe(cpp("a();")));

test("of several candidates the last complete one wins, in files and in fences", () => {
  expect(codeOf(`${file(cpp("draft();"))}\nBetter:\n${file(cpp("final();"))}`)).toContain("final");
  expect(codeOf(`${fence(cpp("draft();"))}\nBetter:\n${fence(cpp("final();"))}`)).toContain("final");
});

test("a snippet without the entry, before or after, does no harm", () => {
  const snippet = fence("int main() { if (run(x)) { return 1; } }");
  expect(codeOf(`${snippet}\n${fence(cpp("final();"))}\n${snippet}`)).toContain("final");
});

test("named files win over fences", () => {
  expect(codeOf(`${file(cpp("named();"))}\n${fence(cpp("fenced();"))}`)).toContain("named");
});

test("other files come along", () => {
  const found = read(`${file("#pragma once", "include/a.h")}\n${file(cpp("a();"))}`);
  expect("kernel" in found && found.kernel.files.map(({ path }) => path)).toEqual(["include/a.h", "kernel.cpp"]);
});

test.each([
  ["an empty reply", " \n", "empty"],
  ["prose", "I cannot do this.", "holds no code"],
  ["a fence that is cut off", `\`\`\`cpp\n${cpp("a();")}`, "cut off"],
  ["a second fence that is cut off", `${fence(cpp("a();"))}\nBetter:\n\`\`\`cpp\nextern "C" void run(`, "cut off"],
  ["a file that is cut off", `<file name="kernel.cpp">\n${cpp("a();")}`, "'kernel.cpp' is not closed"],
  [
    "a better file that is cut off",
    `${file(cpp("a();"))}\nBetter:\n<file name="kernel.cpp">\n#include`,
    "'kernel.cpp' is not closed",
  ],
  ["a helper file that is cut off", `${file(cpp("a();"))}\n<file name="a.h">\n#pragma`, "'a.h' is not closed"],
  ["only another file", file(cpp("a();"), "fast.cpp"), "no file 'kernel.cpp' among fast.cpp"],
  ["a wrong entry", fence('extern "C" void kernel(int n) {}'), "no definition of 'run'"],
  ["a prototype alone", fence('extern "C" void run(int n);'), "no definition of 'run'"],
  ["a call alone", fence("void f() { if (run(1)) { g(); } }"), "no definition of 'run'"],
  [
    "a definition in a comment",
    fence('// void run(int n) {\n/* void run() { */ const char* s = "run() {";'),
    "no definition of 'run'",
  ],
  ["another name that ends alike", fence("void prerun(int n) {}"), "no definition of 'run'"],
  ["a path that climbs", `${file(cpp("a();"))}${file("x", "../x.h")}`, "without '..'"],
  ["300 KB", file(`${cpp("a();")}//${"x".repeat(300_000)}`), `more than ${longestReply}`],
])("%s is a problem with its reason", (_, reply, reason) => expect(problemOf(reply)).toContain(reason));

test.each([
  [
    "arguments over lines, the brace on the next",
    'extern "C" void run(\n    const float* x,\n    float* y,\n    int64_t n)\n{\n}',
  ],
  [
    "comments among the arguments",
    'extern "C" void run(const float* x, // {batch, width}; row-major\n  float* y /* out (filled) */) {\n}',
  ],
  ["a comment before the body", 'extern "C" void run(float* y)  // the entry\n{\n}'],
  ["default arguments", "void run(float* y, int n = std::max(1, 2), std::array<int, 2> a = {1, 2}) {\n}"],
  ["noexcept", 'extern "C" void run(float* y) noexcept {\n}'],
  ["a trailing return type", 'extern "C" auto run(float* y) noexcept(true) -> void {\n}'],
  ["a linkage block", 'extern "C" {\nvoid run(float* y) {}\n}'],
  ["fences inside comments", "// ```cpp\n// x\n// ```\nvoid run(float* y) {\n}"],
  ["a parenthesis in a string", 'const char* s = "(";\nvoid run(float* y) {\n}'],
])("C++ with %s has its entry", (_, code) => {
  expect(codeOf(fence(code)).trim()).toBe(code);
  expect(codeOf(file(code))).toBe(code);
});

test.each([
  ["annotations", "def run(x: np.ndarray, *, n: int = 1) -> np.ndarray:\n    return x"],
  ["arguments over lines", "def run(\n    x,\n):\n    return x"],
  ["a decorator", "@njit\ndef run(x):\n    return x"],
])("Python with %s has its entry", (_, code) => expect(codeOf(fence(code, "python"), "python").trim()).toBe(code));

test.each([
  ["a method", "class A:\n    def run(self):\n        return 1"],
  ["a call", "def forward(x):\n    return run(x)"],
])("Python with only %s has none", (_, code) => expect(problemOf(fence(code, "python"), "python")).toContain("'run'"));

test("a longer fence may hold shorter ones", () => {
  const code = `/*\n\`\`\`\nlayout\n\`\`\`\n*/\n${cpp("a();")}`;
  expect(codeOf(`\`\`\`\`cpp\n${code}\n\`\`\`\``)).toBe(`${code}\n`);
  expect(codeOf(`~~~cpp\n${code}\n~~~`)).toBe(`${code}\n`);
});

test("a fence in a list is read without the list's indentation", () => {
  const indented = fence(py("x"), "python").replaceAll(/^(?=.)/gm, "   ");
  expect(codeOf(`1. Like this:\n\n${indented}\n`, "python").trim()).toBe(py("x"));
});

test("an inline code span in back-ticks opens no fence", () => {
  expect(codeOf(`\`\`\`run\`\`\` is here:\n${fence(cpp("a();"))}`)).toContain("a();");
});

test("CRLF line ends are read", () => {
  const crlf = (text: string) => text.replaceAll("\n", "\r\n");
  expect(
    codeOf(crlf(`Here:\n${fence(cpp("a();"))}\n`))
      .replaceAll("\r", "")
      .trim(),
  ).toBe(cpp("a();"));
  expect(codeOf(crlf(file(cpp("a();")))).replaceAll("\r", "")).toBe(cpp("a();"));
  expect(codeOf(crlf(fence(py("x"), "python")), "python")).toContain("def run");
});

test("hex floats and other odd numbers stay as they were written", () => {
  for (const number of ["0x1.715476p+0f", "0x1.62e430p-1", "1e-300", "-0.0f", "1'000'000"])
    expect(codeOf(fence(cpp(`y[0] = ${number};`)))).toContain(`y[0] = ${number};`);
});

test("what is inside the markers comes back untouched", () => {
  const line = fc.string({ maxLength: 40 }).filter((text) => !/[`~<\r\n"/]/.test(text));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      const code = cpp(`\n${lines.map((each) => `// ${each}`).join("\n")}`);
      return codeOf(file(code)) === code && codeOf(fence(code)) === `${code}\n`;
    }),
  );
});

test.each([
  ["open files", '<file name="a">'],
  ["open fences", "```a\n"],
  ["back-ticks", "`"],
  ["calls in calls", "run("],
  ["empty calls", "run()"],
  ["open comments", "/* "],
  ["escaped quotes", '\\"'],
  ["blanks", "run \t"],
])("200 KB of %s take no quadratic time", (_, part) => {
  const begun = performance.now();
  const long = part.repeat(Math.floor(190_000 / part.length));
  for (const reply of [long, `${long}x\`\n`, fence(long)]) read(reply);
  expect(performance.now() - begun).toBeLessThan(500);
});

test("no reply makes it throw", () => {
  const part = fc.constantFrom(
    "```",
    "~~~",
    "\n",
    '<file name="kernel.cpp">',
    "</file>",
    "run(",
    ")",
    "{",
    "}",
    "/*",
    "//",
    '"',
    "\r",
    "def run(x):",
    " ",
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(part, fc.string({ maxLength: 5 })), { maxLength: 30 }),
      fc.constantFrom<Language>("cpp", "python"),
      (parts, language) => {
        read(parts.join(""), language);
      },
    ),
  );
});
