import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Files, folderOf, refusal } from "../../../test/datasets.ts";
import { listGpuMode, readGpuMode } from "./problem.ts";

const reference =
  "def generate_input(**case):\n    pass\ndef ref_kernel(data):\n    pass\ncheck_implementation = print\n";

const task = `
# a task as GPU MODE writes one
files:
  - {"name": "submission.py", "source": "@SUBMISSION@"}
  - {"name": "reference.py", "source": "reference.py"}
  - {"name": "utils.py", "source": "../utils.py"}
  - {"name": "eval.py", "source": "../eval.py"}
lang: "py"
description: |
  Multiply.

  Twice.
config:
  main: "eval.py"
templates:
  Python: "template.py"
tests:
  - {"seqlen": 32, "bs": 1, "nomask": True, "seed": 9371}
  - {"seqlen": 256, "bs": 2, "nomask": False, "dist": "normal", "seed": 1}
benchmarks:
  - {"seqlen": 256, "bs": 2, "nomask": False, "dist": "normal", "seed": 4}
  - {"seqlen": 256, "bs": 2, "nomask": False, "dist": "normal", "seed": 5}
test_timeout: 180
ranking_by: "geom"
`;

/** A set with one problem in it, `scale`. */
const setOf = (yaml: string | undefined = task, more: Files = {}): string =>
  folderOf({
    "utils.py": "shared = 1\n",
    ...(yaml === undefined ? {} : { "scale/task.yml": yaml }),
    "scale/reference.py": reference,
    ...more,
  });
const read = (yaml?: string, more?: Files) => readGpuMode(join(setOf(yaml, more), "scale"), "leaderboard");
const replaced = (from: string, to: string): string => {
  if (!task.includes(from)) throw new Error(`the task has no ${from}`);
  return task.replace(from, to);
};

describe("a problem's folder", () => {
  test("is read whole: files, cases with readable ids, no seed, booleans as booleans", () => {
    const second = { seqlen: 256, bs: 2, nomask: false, dist: "normal" };
    const id = "seqlen=256 bs=2 nomask=false dist=normal";
    expect(read()).toEqual({
      problem: {
        format: "gpumode",
        name: "scale",
        description: "Multiply.\n\nTwice.",
        files: [
          { path: "reference.py", content: reference },
          { path: "utils.py", content: "shared = 1\n" },
        ],
        tests: [
          { id: "seqlen=32 bs=1 nomask", args: { seqlen: 32, bs: 1, nomask: true } },
          { id: `${id} #3`, args: second },
        ],
        benchmarks: [
          { id, args: second },
          { id: `${id} #2`, args: second },
        ],
        rankingBy: "geom",
        madeFor: null,
      },
      notes: ["eval.py is GPU MODE's own runner and is not read: the referee has its own"],
    });
  });

  test("in mode benchmark has no tests, and the same benchmarks by the same ids", () => {
    const folder = join(setOf(), "scale");
    const { tests, ...rest } = readGpuMode(folder, "benchmark").problem;
    expect(tests).toEqual([]);
    expect(readGpuMode(folder, "leaderboard").problem).toMatchObject(rest);
  });

  test("with byte order mark and CR LF is the same problem", () => {
    const crLf = (text: string) => `\ufeff${text.replaceAll("\n", "\r\n")}`;
    expect(read(crLf(task), { "scale/reference.py": crLf(reference) })).toEqual(read());
  });

  test.each(["'True'", "'true'", "True", "true", "TRUE"])("%s is a boolean", (text) => {
    expect(read(replaced('"nomask": True', `"nomask": ${text}`)).problem.tests[0]?.args.nomask).toBe(true);
  });

  test.each([
    ["'False'", false],
    ["False", false],
    ["'no'", "no"],
    ["toString", "toString"],
    ["'1'", "1"],
    ["0.5", 0.5],
  ])("%s is %j", (text, value) => {
    expect(read(replaced('"nomask": True', `"nomask": ${text}`)).problem.tests[0]?.args.nomask).toBe(value);
  });

  test("may have a name and a purpose of its own, and keys that we do not know", () => {
    const { problem, notes } = read(
      `name: other\nmade_for: cpu\nstars: 5\nweather: fine\ngpus: [B200]\nmulti_gpu: false\n${task}`,
    );
    expect(problem).toMatchObject({ name: "other", madeFor: "cpu" });
    expect(notes[0]).toMatch(/scale\/task\.yml: not known, and without effect: stars, weather$/);
  });

  test("for kernels in CUDA is read by its reference in Python, without the runner", () => {
    const main = '  - {"name": "eval.py", "source": "../eval.py"}';
    const yaml = replaced('lang: "py"', "lang: cu")
      .replace('main: "eval.py"', "sources: [eval.cu, submission.cu]\n  compile_flags: [-O3]")
      .replace("submission.py", "submission.cu")
      .replace(main, '  - {"name": "eval.cu", "source": "eval.cu"}\n  - {"name": "task.h", "source": "task.h"}');
    const { problem, notes } = read(yaml, { "scale/task.h": "#pragma once\n" });
    expect(problem.files.map(({ path }) => path)).toEqual(["reference.py", "utils.py", "task.h"]);
    expect(notes).toEqual([
      "eval.cu is GPU MODE's own runner and is not read: the referee has its own",
      "it is meant for kernels in CUDA: search it with --language cuda",
    ]);
  });

  test("needs little: files and benchmarks", () => {
    const { problem } = read("files: [{name: reference.py, source: reference.py}]\nbenchmarks: [{}, {n: 1}]\n");
    expect(problem).toMatchObject({
      description: "",
      tests: [],
      rankingBy: "last",
      benchmarks: [
        { id: "no arguments", args: {} },
        { id: "n=1", args: { n: 1 } },
      ],
    });
  });
});

const cppReference =
  "static input_t generate_input(int size, int seed) {}\nstatic output_t ref_kernel(input_t data) {}\nstatic void check_implementation(TestReporter& reporter, input_t data, output_t out) {}\n";

const cppTask = `
lang: cu
description: Copy.
files:
  - {"name": "eval.cu", "source": "eval.cu"}
  - {"name": "task.h", "source": "task.h"}
  - {"name": "utils.h", "source": "../utils.h"}
  - {"name": "reference.cuh", "source": "reference.cuh"}
  - {"name": "submission.cu", "source": "@SUBMISSION@"}
config:
  sources: ["eval.cu", "submission.cu"]
  include_dirs: []
templates:
  CUDA: "template.cu"
tests:
  - {"size": 96, "seed": 7}
benchmarks:
  - {"size": 5000, "mode": "True", "seed": 8}
`;
const taskHeader = "#pragma once\nusing input_t = float;\nusing output_t = input_t;\n";

/** A problem in C++, its task.yml changed at one place. */
function readCpp(from = "", to = "", more: Files = {}) {
  if (!cppTask.includes(from)) throw new Error(`the task has no ${from}`);
  return read(cppTask.replace(from, to), {
    "utils.h": "#pragma once\n",
    "scale/task.h": taskHeader,
    "scale/reference.cuh": cppReference,
    ...more,
  });
}

describe("a problem in C++", () => {
  test("is read by its headers, without the runner", () => {
    expect(readCpp()).toEqual({
      problem: {
        format: "gpumode",
        name: "scale",
        description: "Copy.",
        files: [
          { path: "task.h", content: taskHeader },
          { path: "utils.h", content: "#pragma once\n" },
          { path: "reference.cuh", content: cppReference },
        ],
        tests: [{ id: "size=96", args: { size: 96 } }],
        benchmarks: [{ id: "size=5000 mode", args: { size: 5_000, mode: true } }],
        rankingBy: "last",
        madeFor: null,
      },
      notes: ["eval.cu is GPU MODE's own runner and is not read: the referee has its own"],
    });
  });

  test("has its macros at the top of task.h; flags that the referee's own say are no matter", () => {
    const config =
      'include_dirs: []\n  defines: {WIDTH: 4, NAME: "\\"x\\"", ON: }\n  compile_flags: [-O3, --std=c++20]';
    expect(readCpp("include_dirs: []", config).problem.files[0]?.content).toBe(
      `#define WIDTH 4\n#define NAME "x"\n#define ON\n${taskHeader}`,
    );
  });

  test.each<[string, string, string, RegExp]>([
    [
      "a second source",
      '"submission.cu"]',
      '"submission.cu", "more.cu"]',
      /config\.sources: 'more\.cu' .* into a header/,
    ],
    ["folders of the machine", "include_dirs: []", "include_dirs: [/opt/tk]", /include_dirs: .* list the headers/],
    ["flags", "include_dirs: []", "compile_flags: [-O3, -lcublas]", /compile_flags: '-lcublas' cannot be given/],
    ["a macro that is none", "include_dirs: []", 'defines: {"A B": 1}', /config\.defines\.A B: /],
    ["a macro of two lines", "include_dirs: []", 'defines: {A: "1\\n2"}', /config\.defines\.A: on one line/],
    [
      "no task.h",
      '  - {"name": "task.h", "source": "task.h"}\n',
      "",
      /no task\.h with 'input_t': kernels are compiled with it/,
    ],
    ["no reference", "reference.cuh", "kernel.cuh", /no file reference\.py, nor reference\.cuh/],
    [
      "a file to compile",
      '"name": "utils.h"',
      '"name": "utils.cu"',
      /'utils\.cu' would be compiled by itself: name it/,
    ],
    ["a list", '"size": 96', '"size": [1]', /tests\[0\]: 'size' is a list/],
  ])("with %s is refused", (_, from, to, message) => {
    const more = { "scale/kernel.cuh": cppReference };
    expect(refusal(() => readCpp(from, to, more)).message).toMatch(message);
  });

  test("without its functions is refused, and with both references", () => {
    const without = { "scale/reference.cuh": cppReference.replace("generate_input", "generate") };
    expect(refusal(() => readCpp("", "", without)).message).toContain(
      "reference.cuh has no top-level 'generate_input'",
    );
    const both = '  - {"name": "reference.py", "source": "reference.py"}\nconfig:';
    expect(refusal(() => readCpp("config:", both)).message).toContain("both a reference.py and a reference.cuh");
  });
});

describe("refused, with the place and the mend", () => {
  test.each<[string, string, string, RegExp]>([
    ["another language", replaced('lang: "py"', "lang: rs"), "problem.invalid", /task\.yml: lang: /],
    [
      "several GPUs",
      `multi_gpu: true\n${task}`,
      "problem.invalid",
      /multi_gpu: problems for several GPUs cannot be judged/,
    ],
    [
      "several GPUs by a case",
      replaced('"bs": 1', '"world_size": 8'),
      "problem.invalid",
      /tests\[0\]: it runs on 8 GPUs at once/,
    ],
    [
      "a case with a list",
      replaced('"bs": 1', '"bs": [1, 2]'),
      "problem.invalid",
      /tests\[0\]: 'bs' is a list or a map/,
    ],
    ["a case with nothing", replaced('"bs": 1', '"bs": '), "problem.invalid", /tests\[0\]: 'bs' is empty/],
    ["a case that is none", replaced('{"seqlen": 32, ', "- {"), "problem.invalid", /tests\.0: a map of flat values/],
    [
      "a case with an argument that is no name",
      replaced('"bs": 1', '"b-s": 1'),
      "problem.invalid",
      /tests\.0\.args\.b-s: /,
    ],
    [
      "no benchmarks",
      task.replace(/benchmarks:[\s\S]*?test_timeout/, "benchmarks: []\ntest_timeout"),
      "problem.invalid",
      /benchmarks: /,
    ],
    ["another ranking", replaced('"geom"', "best"), "problem.invalid", /ranking_by: /],
    ["YAML that is none, on one line", "files: [\n  {", "problem.invalid", /task\.yml is not YAML: .* at line \d/],
    [
      "a key that is there twice",
      `${task}\nlang: py\n`,
      "problem.invalid",
      /is not YAML: Map keys must be unique at line/,
    ],
    ["a million laughs", bomb(), "problem.invalid", /is not YAML: Excessive alias count/],
    ["nothing at all", "", "problem.invalid", /task\.yml: .*received null/],
    [
      "a source two levels up",
      replaced("../utils.py", "../../utils.py"),
      "file.path",
      /the source '\.\.\/\.\.\/utils\.py' lies outside .*: put the file there, or beside task\.yml$/,
    ],
    ["an absolute source", replaced("../utils.py", "/etc/passwd"), "file.path", /'\/etc\/passwd' lies outside/],
    ["a detour out", replaced("../utils.py", "a/../../../x.py"), "file.path", /lies outside/],
    [
      "a file's name that is a path out",
      replaced('"utils.py"', '"../utils.py"'),
      "problem.invalid",
      /files\.1\.path: /,
    ],
    ["a missing file", replaced("../utils.py", "../helpers.py"), "file.missing", /helpers\.py is missing$/],
    [
      "no reference",
      replaced('  - {"name": "reference.py", "source": "reference.py"}\n', ""),
      "problem.invalid",
      /no file reference\.py/,
    ],
    ["a name that is none", `name: "../x"\n${task}`, "problem.invalid", /name: letters, digits/],
  ])("%s", (_, yaml, code, message) => {
    expect(refusal(() => read(yaml))).toEqual({ code, message: expect.stringMatching(message) });
  });

  test("a reference without its functions", () => {
    expect(refusal(() => read(task, { "scale/reference.py": "def ref_kernel(data):\n    pass\n" })).message).toContain(
      "reference.py has no top-level 'generate_input'",
    );
  });

  test("a folder without a task, and none at all", () => {
    expect(refusal(() => readGpuMode(setOf(), "benchmark")).message).toMatch(/task\.yml is missing$/);
    expect(refusal(() => readGpuMode("/nowhere/at/all", "benchmark")).code).toBe("file.missing");
  });

  test("a file that is a link out of the set; one within it is fine", () => {
    const set = setOf(replaced("../utils.py", "../linked.py"));
    symlinkSync(join(set, "utils.py"), join(set, "linked.py"));
    expect(readGpuMode(join(set, "scale"), "benchmark").problem.files[1]?.content).toBe("shared = 1\n");
    const other = setOf(replaced("../utils.py", "../linked.py"));
    symlinkSync("/etc/passwd", join(other, "linked.py"));
    expect(refusal(() => readGpuMode(join(other, "scale"), "benchmark"))).toMatchObject({ code: "file.path" });
  });
});

/** Aliases that would be a billion values. */
function bomb(): string {
  const rows = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(", ")}]`);
  return `a0: &a0 [1, 1, 1]\n${rows.join("\n")}\nfiles: *a9\n`;
}

describe("a list of problems", () => {
  test("of a set: every folder with a task, broken ones with their reason", () => {
    const set = setOf(task, {
      "broken/task.yml": "lang: cu",
      "named/task.yml": `name: apart\nmade_for: cpu\n${task}`,
      "named/reference.py": reference,
      "twin/task.yml": `name: same\n${task}`,
      "twin/reference.py": reference,
      "twin2/task.yml": `name: same\n${task}`,
      "twin2/reference.py": reference,
      "notes/readme.md": "no task",
    });
    mkdirSync(join(set, "empty"));
    symlinkSync("/etc", join(set, "linked"));
    expect(listGpuMode(set)).toMatchObject([
      { name: "apart", path: join(set, "named"), broken: null, madeFor: "cpu", workloads: 2 },
      { name: "broken", broken: expect.stringContaining("expected array, received undefined") },
      { name: "linked", broken: expect.stringContaining("symbolic link out of") },
      { name: "same", broken: expect.stringMatching(/two problems are called 'same': .*twin and .*twin2/) },
      { name: "same", broken: expect.stringContaining("two problems are called 'same'") },
      { name: "scale", broken: null, description: "Multiply.\n\nTwice.", opType: null },
    ]);
  });

  test("of one problem's folder", () => {
    expect(listGpuMode(join(setOf(), "scale"))).toMatchObject([{ name: "scale", broken: null }]);
  });

  test("of anything else is refused", () => {
    expect(refusal(() => listGpuMode(folderOf({ "readme.md": "" }))).code).toBe("dataset.layout");
  });
});
