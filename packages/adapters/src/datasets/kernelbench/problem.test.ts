import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Files, folderOf, lines, refusal } from "../../../test/datasets.ts";
import { listKernelBench, readKernelBench } from "./problem.ts";

const source = (mark = ""): string =>
  `${mark}class Model:\n    pass\ndef get_inputs():\n    return []\ndef get_init_inputs():\n    return []\n`;

const checkout = {
  "KernelBench/level1/1_Square_matrix_multiplication_.py": source(),
  "KernelBench/level1/12_Matmul.py": source("# a product\n# ksearch: made-for cpu\n"),
  "KernelBench/level1/__init__.py": "",
  "KernelBench/level2/3_Fused.py": source(),
  "KernelBench/level4/7_Transformer.py": source(),
};
const row = (problem_id: number, changes: object = {}) => ({
  code: source(),
  level: 1,
  name: `${problem_id}_Some_name`,
  problem_id,
  ...changes,
});

const read = (files: Files, level = 1, id = 1) => readKernelBench(folderOf(files), level, id, "fp32");

describe("a problem of a checkout", () => {
  test("is found by level and number, with or without the outer folder", () => {
    const wanted = {
      problem: {
        format: "kernelbench",
        name: "kernelbench_l1_p1",
        level: 1,
        problemId: 1,
        title: "Square_matrix_multiplication_",
        source: source(),
        precision: "fp32",
        madeFor: null,
      },
      notes: [],
    };
    expect(read(checkout)).toEqual(wanted);
    const inner = Object.entries(checkout).map(([path, content]) => [path.replace("KernelBench/", ""), content]);
    expect(read(Object.fromEntries(inner))).toEqual(wanted);
  });

  test("says what it is made for in its first five lines, and nowhere else", () => {
    expect(read(checkout, 1, 12).problem.madeFor).toBe("cpu");
    const marked = (mark: string) => read({ "level1/1_a.py": source(mark) }).problem.madeFor;
    expect(marked("#\n#\n#\n#\n# ksearch: made-for gpu\n")).toBe("gpu");
    expect(marked("#\n#\n#\n#\n#\n# ksearch: made-for gpu\n")).toBeNull();
    expect(marked("# ksearch: made-for tpu\n")).toBeNull();
  });

  test("of level 4 has a note on what it needs", () => {
    expect(read(checkout, 4, 7).notes).toEqual([expect.stringContaining("transformers")]);
  });

  test("has the precision that is asked for", () => {
    expect(readKernelBench(folderOf(checkout), 1, 1, "bf16").problem.precision).toBe("bf16");
  });

  test("with byte order mark and CR LF is the same", () => {
    expect(read({ "level1/1_a.py": `\ufeff${source().replaceAll("\n", "\r\n")}` }).problem.source).toBe(source());
  });
});

describe("a problem of the hub's data set", () => {
  const wanted = { name: "kernelbench_l1_p2", title: "Some_name", source: source() };

  test.each<[string, Files]>([
    ["JSON lines", { "level_1.jsonl": lines(row(1), row(2)) }],
    ["JSON lines in data/, under the hub's name", { "data/level_1-00000-of-00001.jsonl": lines(row(1), row(2)) }],
    ["JSON lines that are called .json", { "level_1.json": lines(row(1), row(2)) }],
    ["a JSON list", { "level_1.json": JSON.stringify([row(1), row(2)], null, 2) }],
    ["beside its Parquet", { "level_1.jsonl": lines(row(2)), "data/level_1-00000-of-00001.parquet": "PAR1" }],
    [
      "with CR LF",
      { "level_1.jsonl": lines(row(2, { code: source().replaceAll("\n", "\r\n") })).replace("\n", "\r\n") },
    ],
  ])("as %s", (_, files) => {
    expect(read(files, 1, 2).problem).toMatchObject(wanted);
  });

  test("as Parquet is refused with the command that turns it into lines", () => {
    expect(refusal(() => read({ "data/level_1-00000-of-00001.parquet": "PAR1" }))).toEqual({
      code: "dataset.parquet",
      message: expect.stringMatching(
        /python3 -c "import pandas; pandas\.read_parquet\('.*parquet'\)\.to_json\(.*level_1\.jsonl/,
      ),
    });
  });

  test("is found beside rows that are none", () => {
    const files = { "level_1.jsonl": `${lines(row(2), row(3, { code: 7 }))}{"half\n${lines({ level: 1 })}` };
    expect(read(files, 1, 2).problem).toMatchObject(wanted);
    expect(refusal(() => read(files, 1, 3)).message).toMatch(
      /no problem 3; the nearest are 2\. One that cannot be read: .*level_1\.jsonl, line 2: code: /,
    );
  });
});

describe("one Python file", () => {
  const single = (path: string, level = 1, id = 1) => {
    const { problem, notes } = readKernelBench(join(folderOf({ [path]: source() }), path), level, id, "fp32");
    return { name: problem.name, title: problem.title, notes };
  };

  test("has its level and number from its path, or 1 and 1", () => {
    expect(single("level2/3_Fused.py", 2, 3)).toEqual({ name: "kernelbench_l2_p3", title: "Fused", notes: [] });
    expect(single("softmax.py")).toEqual({ name: "kernelbench_l1_p1", title: "softmax", notes: [] });
    expect(single("40_Norm.py", 1, 40)).toMatchObject({ name: "kernelbench_l1_p40" });
  });

  test("is itself whatever else is asked for, with a note", () => {
    expect(single("level2/3_Fused.py", 1, 1)).toMatchObject({
      name: "kernelbench_l2_p3",
      notes: [expect.stringMatching(/3_Fused\.py is level 2, problem 3$/)],
    });
  });

  test("is refused where it is none", () => {
    expect(refusal(() => readKernelBench("/nowhere/at/all.py", 1, 1, "fp32")).code).toBe("file.missing");
    expect(refusal(() => single("level9/1_a.py"))).toMatchObject({ message: expect.stringContaining("level: ") });
  });
});

describe("refused, with the mend", () => {
  test.each<[string, Files, [number, number], string, RegExp]>([
    [
      "an unknown number, with the nearest",
      checkout,
      [1, 11],
      "problem.unknown",
      /level 1 has no problem 11; the nearest are 12, 1$/,
    ],
    ["an unknown level", checkout, [3, 1], "problem.unknown", /there is no problem of level 3, but of 1, 2, 4$/],
    [
      "two files of one number",
      { ...checkout, "KernelBench/level1/1_Other.py": source() },
      [1, 1],
      "dataset.duplicate",
      /level 1 has two problems 1: .*1_Other\.py and .*1_Square_matrix_multiplication_\.py; remove one$/,
    ],
    [
      "two rows of one number",
      { "level_1.jsonl": lines(row(1), row(1)) },
      [1, 1],
      "dataset.duplicate",
      /level_1\.jsonl, line 1 and .*level_1\.jsonl, line 2/,
    ],
    [
      "a file without a Model",
      { "level1/1_a.py": "x = 1\n" },
      [1, 1],
      "problem.invalid",
      /1_a\.py: source: .*class Model|no top-level class Model/,
    ],
    [
      "a file that is not UTF-8",
      { "level1/1_a.py": Uint8Array.of(0xff) },
      [1, 1],
      "file.encoding",
      /1_a\.py is not UTF-8/,
    ],
    [
      "a huge file",
      { "level1/1_a.py": "#".repeat(8 * 1024 * 1024 + 1) },
      [1, 1],
      "file.large",
      /1_a\.py has 8388609 bytes/,
    ],
    [
      "another folder",
      { "readme.md": "" },
      [1, 1],
      "dataset.layout",
      /neither KernelBench\/level1.* nor level_1\.jsonl/,
    ],
  ])("%s", (_, files, [level, id], code, message) => {
    expect(refusal(() => read(files, level, id))).toEqual({ code, message: expect.stringMatching(message) });
  });
});

test("the list is in order of level and number, and hides nothing behind what is broken", () => {
  const root = folderOf({
    ...checkout,
    "KernelBench/level1/2_Broken.py": "x = 1\n",
    "KernelBench/level2/3_Again.py": source(),
    "level_3.jsonl": lines(row(1, { level: 3 }), { level: 3 }),
  });
  symlinkSync("/etc/passwd", join(root, "KernelBench/level1/5_Linked.py"));
  expect(listKernelBench(root)).toMatchObject([
    { name: "kernelbench_l1_p1", broken: null, workloads: 1, description: "Square matrix multiplication" },
    { name: "kernelbench_l1_p2", broken: expect.stringContaining("no top-level class Model") },
    { name: "kernelbench_l1_p5", broken: expect.stringContaining("symbolic link out of") },
    { name: "kernelbench_l1_p12", broken: null, madeFor: "cpu" },
    { name: "kernelbench_l2_p3", broken: expect.stringContaining("two problems 3") },
    { name: "kernelbench_l3_p1", broken: null },
    { name: "kernelbench_l4_p7", broken: null },
    { name: "level_3.jsonl, line 2", broken: expect.stringContaining("line 2: code: ") },
  ]);
});
