import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sampleGpuMode, sampleKernelBench } from "../../test/problems.ts";
import { sampleProblem } from "../../test/samples.ts";
import type { Language } from "../kernel.ts";
import type { Format, Problem } from "../problem.ts";
import { kernelOf, readKernel } from "./code.ts";

/** Replies of every format and language; how the blocks of a reply are found at all is in code.test.ts. */
const problems: Record<Format, Problem> = {
  flashinfer: sampleProblem(),
  gpumode: sampleGpuMode(),
  kernelbench: sampleKernelBench(),
};
type Kind = `${Format} ${Language}`;
const read = (reply: string, kind: Kind) => {
  const [format, language] = kind.split(" ") as [Format, Language];
  return readKernel(reply, { problem: problems[format], language, targetHardware: "H100" });
};
const filesOf = (reply: string, kind: Kind): Record<string, string> => {
  const found = read(reply, kind);
  if ("problem" in found) throw new Error(found.problem);
  return Object.fromEntries(found.kernel.files.map(({ path, content }) => [path, content.trim()]));
};
const entryPointOf = (reply: string, kind: Kind): string => {
  const found = read(reply, kind);
  return "problem" in found ? `problem: ${found.problem}` : found.kernel.entryPoint;
};
const problemOf = (reply: string, kind: Kind): string => {
  const found = read(reply, kind);
  return "problem" in found ? found.problem : "none";
};

const file = (name: string, code: string, tag = "file") => `<${tag} name="${name}">\n${code}\n</${tag}>`;
const fence = (info: string, code: string) => `\`\`\`${info}\n${code}\n\`\`\``;
const custom = "def custom_kernel(data):\n    return data[0] * 3";
const modelNew = "class ModelNew(nn.Module):\n    def forward(self, x):\n        return x";
const cRun = 'extern "C" void run(const float* x, float* y) {\n}';
const header = "#pragma once\nvoid launch(float* x);";
const launcher = "void launch(float* x) {\n}";
const module_ = 'PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {\n  m.def("run", &forward, "the kernel");\n}';
const threeFiles = { "kernel.h": header, "kernel.cu": launcher, "main.cpp": module_ };

describe("the original's three CUDA files", () => {
  const xml = (changes: { open?: string; close?: string; wrap?: (code: string) => string } = {}) => {
    const { open = 'name="', close = '">', wrap = (code: string) => code } = changes;
    return Object.entries(threeFiles)
      .map(([name, code], index) => {
        const tag = ["header_file", "cuda_file", "cpp_file"][index];
        return `<${tag} ${open}${name}${close}\n${wrap(code)}\n</${tag}>`;
      })
      .join("\n\n");
  };

  test.each([
    ["as its prompts have them", xml()],
    ["with blanks around the attribute", xml({ open: ' name =  "', close: '"  >' })],
    ["in single quotes", xml({ open: "name='", close: "'>" })],
    ["in CDATA", xml({ wrap: (code) => `<![CDATA[\n${code}\n]]>` })],
    ["with fences inside", xml({ wrap: (code) => fence("cpp", code) })],
    ["inside a fence, with prose", `Here is my answer.\n${fence("xml", xml())}\nIt is fast.`],
    ["with CRLF", xml().replaceAll("\n", "\r\n")],
    ["with CRLF and fences inside", xml({ wrap: (code) => fence("cpp", code) }).replaceAll("\n", "\r\n")],
    [
      "as our file blocks",
      Object.entries(threeFiles)
        .map(([name, code]) => file(name, code))
        .join("\n"),
    ],
    [
      "as fences that are named",
      Object.entries(threeFiles)
        .map(([name, code]) => fence(`cpp ${name}`, code))
        .join("\n"),
    ],
  ])("are read %s", (_, reply) => {
    for (const kind of ["flashinfer cuda", "gpumode cuda"] as const) {
      const files = filesOf(reply, kind);
      const plain = Object.fromEntries(Object.entries(files).map(([path, code]) => [path, code.replaceAll("\r", "")]));
      expect(plain).toEqual(threeFiles);
      expect(read(reply, kind)).toMatchObject({
        kernel: { language: "cuda", entryPoint: "main.cpp::run", binding: "torch", destinationPassing: false },
      });
    }
  });

  test("without main.cpp they are one file too few", () => {
    const two = xml().replace(/<cpp_file[\s\S]*$/, "");
    expect(problemOf(two, "gpumode cuda")).toMatch(/no file 'main.cpp' among kernel.h, kernel.cu: the answer takes/);
  });

  test("a main.cpp that exports no run is none", () => {
    for (const broken of [
      module_.replace('"run"', '"forward"'),
      'void expose(Module& m) { m.def("run", &forward); }',
      "torch::Tensor run(torch::Tensor x) {\n}",
      `// ${module_.replaceAll("\n", " ")}`,
    ])
      expect(problemOf(xml().replace(module_, broken), "gpumode cuda")).toMatch(/main.cpp exports no 'run'/);
  });

  test("one that is cut off is told as such", () => {
    const cut = xml().slice(0, -"</cpp_file>".length - 3);
    expect(problemOf(cut, "flashinfer cuda")).toMatch(/'main.cpp' is not closed.*cut off/);
  });
});

test.each<[Kind, string, string]>([
  ["flashinfer cuda", file("kernel.cu", cRun), "kernel.cu::run"],
  ["flashinfer cuda", fence("cuda", cRun), "kernel.cu::run"],
  ["flashinfer cuda", `${file("kernel.h", header)}${file("kernel.cu", cRun)}`, "kernel.cu::run"],
  [
    "flashinfer cuda",
    `${file("kernel.h", "")}${file("kernel.cu", cRun)}${file("main.cpp", "int f;")}`,
    "kernel.cu::run",
  ],
  [
    "flashinfer triton",
    fence("python", "@triton.jit\ndef k(x):\n    pass\n\ndef run(x):\n    return x"),
    "main.py::run",
  ],
  ["gpumode python", fence("python", custom), "submission.py::custom_kernel"],
  ["gpumode triton", custom, "submission.py::custom_kernel"],
  ["gpumode cpp", file("submission.py", custom) + file("kernel.cpp", launcher), "submission.py::custom_kernel"],
  ["gpumode cuda", file("submission.py", custom) + file("kernel.cu", launcher), "submission.py::custom_kernel"],
  ["kernelbench python", fence("", modelNew), "model_new.py::ModelNew"],
  ["kernelbench triton", file("model_new.py", modelNew), "model_new.py::ModelNew"],
  [
    "kernelbench cpp",
    `${fence("python model_new.py", modelNew)}\n${fence("cpp kernel.cpp", "x")}`,
    "model_new.py::ModelNew",
  ],
  ["kernelbench cuda", file("model_new.py", modelNew) + file("kernel.cu", "x"), "model_new.py::ModelNew"],
])("a reply for %s begins where its form does (%#)", (kind, reply, entryPoint) =>
  expect(entryPointOf(reply, kind)).toBe(entryPoint),
);

test.each<[string, Kind, string, RegExp]>([
  [
    "another name",
    "gpumode python",
    fence("python", "def run(data):\n    return data"),
    /no definition of 'custom_kernel'/,
  ],
  [
    "only the reference's class",
    "kernelbench python",
    fence("python", modelNew.replace("ModelNew", "Model")),
    /class 'Model' but none called 'ModelNew'/,
  ],
  ["neither class", "kernelbench python", fence("python", "class Net: pass"), /no definition of 'ModelNew'/],
  [
    "native code alone",
    "gpumode cpp",
    fence("cpp", launcher),
    /answer takes submission.py and kernel.cpp, each under its name/,
  ],
  [
    "Python alone where native code was asked for",
    "kernelbench cuda",
    file("model_new.py", modelNew),
    /no file 'kernel.cu' among model_new.py/,
  ],
  ["bare Python where two files were asked for", "gpumode cpp", custom, /holds no code.*submission.py and kernel.cpp/],
  [
    "an entry in a docstring",
    "gpumode python",
    fence("python", `"""\n${custom}\n"""\nx = 1`),
    /no definition of 'custom_kernel'/,
  ],
  [
    "a method of that name",
    "gpumode python",
    fence("python", "class A:\n    def custom_kernel(self): pass"),
    /no definition/,
  ],
  ["a comparison", "gpumode python", fence("python", "custom_kernel == 1"), /no definition/],
])("%s is a problem with its reason", (_, kind, reply, reason) => expect(problemOf(reply, kind)).toMatch(reason));

test.each([
  ["an assignment", "custom_kernel = torch.compile(body)"],
  ["an annotated assignment", "custom_kernel: Callable = body"],
  ["an import", "from impl import body, custom_kernel"],
  ["a name behind a string with a hash", `a = "#"\n${custom}`],
  ["a name behind a docstring with quotes", `'''it's "fast"'''\n${custom}`],
])("Python may define its entry by %s", (_, code) =>
  expect(entryPointOf(fence("python", code), "gpumode python")).toBe("submission.py::custom_kernel"),
);

describe("fences with names", () => {
  test.each(["python submission.py", 'python title="submission.py"', "python:submission.py", "submission.py"])(
    "```%s names the file",
    (info) => {
      const reply = `${fence("cpp kernel.cpp", launcher)}\n${fence(info, custom)}`;
      expect(filesOf(reply, "gpumode cpp")).toEqual({ "kernel.cpp": launcher, "submission.py": custom });
    },
  );

  test("a header in a fence of its own comes along with the unnamed entry", () => {
    const reply = `${fence("cpp scale.h", header)}\n${fence("cpp", cRun)}`;
    expect(filesOf(reply, "flashinfer cpp")).toEqual({ "scale.h": header, "kernel.cpp": cRun });
  });

  test("the last version of a file counts, but a later excerpt does not", () => {
    const better = custom.replace("3", "4");
    const reply = [custom, better, "return data[0] * 4"].map((code) => fence("python submission.py", code)).join("\n");
    expect(filesOf(`${reply}\n${fence("cpp kernel.cpp", "x")}`, "gpumode cpp")["submission.py"]).toBe(better);
  });

  test("what runs the answer is no file of it", () => {
    const reply = `${fence("bash", "python submission.py")}\n${fence("python", custom)}`;
    expect(filesOf(reply, "gpumode python")).toEqual({ "submission.py": custom });
  });
});

describe("thinking before the answer", () => {
  const draft = fence("python", custom.replace("3", "1"));
  test.each([
    ["closed", `<think>\nSay ${draft}\nno.\n</think>\n${fence("python", custom)}`],
    ["without its beginning", `Say ${draft}\nno.\n</think>\n${fence("python", custom)}`],
    ["twice", `<think>a</think>\n<think>\n${draft}\n</think>\n${fence("python", custom)}`],
    ["cut off inside a fence", `<think>\n\`\`\`python\ndef cus\n</think>\n${fence("python", custom)}`],
    ["that opens a file", `<think>\n<file name="submission.py">\nx\n</think>\n${file("submission.py", custom)}`],
    ["never closed, before a named file", `<think>\nSay ${draft}\n${file("submission.py", custom)}`],
    ["with another tag", `<thinking>\n${draft}\n</thinking>\n${custom}`],
  ])("%s is skipped", (_, reply) => expect(filesOf(reply, "gpumode python")).toEqual({ "submission.py": custom }));

  test.each([
    ["alone", `<think>\n${draft}`],
    ["alone, closed", `<think>\n${draft}\n</think>\n`],
  ])("%s is no answer", (_, reply) => expect(problemOf(reply, "gpumode python")).toMatch(/all thinking.*cut off/));

  test("a tag that an answer talks about is not thinking", () => {
    const reply = `The \`</think>\` tag is not needed.\n${fence("python", custom)}`;
    expect(filesOf(reply, "gpumode python")).toEqual({ "submission.py": custom });
    expect(filesOf(fence("python", `${custom}  # <think>`), "gpumode python")["submission.py"]).toContain("<think>");
  });
});

describe("C hex floats in Python", () => {
  test.each(["0x1.715476p+0", "0X1P-3", "0x.8p1", "x = 0x1.62e430p-1f"])("%s is no Python", (number) => {
    const code = `${custom}\nLOG2E = ${number}`;
    for (const reply of [fence("python", code), file("submission.py", code)])
      expect(problemOf(reply, "gpumode python")).toMatch(/C hex-float literal 0x\S*p.*no Python/i);
  });

  test("one in any Python file is told with its file", () => {
    const reply = file("submission.py", custom) + file("constants.py", "A = 0x1p3");
    expect(problemOf(reply, "gpumode python")).toMatch(/^constants.py has/);
  });

  test.each([
    "x = 0x1f",
    "x = 0xdeadbeef",
    "x = float.fromhex('0x1.8p3')",
    '"""\n0x1.8p3\n"""',
    "# 0x1.8p3 is 12",
    'asm = "mov 0x1.8p3"',
    "x0x1p3 = 1",
  ])("%s is Python", (line) => expect(problemOf(fence("python", `${custom}\n${line}`), "gpumode python")).toBe("none"));

  test("C++ may have them", () => {
    const code = cRun.replace("{\n", "{\n  y[0] = 0x1.8p3f;\n");
    expect(filesOf(fence("cpp", code), "flashinfer cpp")["kernel.cpp"]).toBe(code);
  });
});

test("files from elsewhere become a kernel by the same table", () => {
  const given = { problem: sampleGpuMode(), language: "cpp" as const, targetHardware: "cpu" };
  expect(kernelOf([{ path: "kernel.cpp", content: "" }], given)).toEqual({
    problem: "no file 'submission.py' among kernel.cpp: the answer takes submission.py and kernel.cpp",
  });
});

const kinds: Kind[] = (["flashinfer", "gpumode", "kernelbench"] as const).flatMap((format) =>
  (["cpp", "python", "triton", "cuda"] as const).map((language): Kind => `${format} ${language}`),
);
const whole: Record<string, Record<string, string>> = {
  "flashinfer cpp": { "kernel.cpp": cRun },
  "flashinfer python": { "main.py": "def run(x):\n    return x" },
  "flashinfer triton": { "main.py": "def run(x):\n    return x" },
  "flashinfer cuda": threeFiles,
  "gpumode cpp": { "submission.py": custom, "kernel.cpp": launcher },
  "gpumode python": { "submission.py": custom },
  "gpumode triton": { "submission.py": custom },
  "gpumode cuda": threeFiles,
  "kernelbench cpp": { "model_new.py": modelNew, "kernel.cpp": launcher },
  "kernelbench python": { "model_new.py": modelNew },
  "kernelbench triton": { "model_new.py": modelNew },
  "kernelbench cuda": { "model_new.py": modelNew, "kernel.cu": launcher },
};

describe("whatever stands around an answer", () => {
  /** Prose without anything that opens or closes a block. */
  const prose = fc.string({ unit: "binary", maxLength: 400 }).map((text) => text.replace(/[`~<>]/g, "'"));
  const kind = fc.constantFrom(...kinds);
  const wrapped = (text: string, crlf: boolean) => (crlf ? text.replaceAll("\n", "\r\n") : text);
  const unwrapped = (files: Record<string, string>) =>
    Object.fromEntries(Object.entries(files).map(([path, code]) => [path, code.replaceAll("\r", "")]));

  test("named files come back as they were", () => {
    fc.assert(
      fc.property(
        kind,
        prose,
        prose,
        prose,
        fc.boolean(),
        fc.boolean(),
        (which, before, between, after, crlf, thinks) => {
          const blocks = Object.entries(whole[which] ?? {}).map(([name, code]) => file(name, code));
          const thought = thinks ? `<think>${before}\n\`\`\`\n${file("x.py", "y")}</think>` : "";
          const reply = wrapped(`${thought}${before}\n${blocks.join(`\n${between}\n`)}\n${after}`, crlf);
          expect(unwrapped(filesOf(reply, which))).toEqual(whole[which]);
        },
      ),
    );
  });

  test("named fences come back as they were", () => {
    fc.assert(
      fc.property(kind, prose, prose, fc.nat({ max: 3 }), fc.boolean(), (which, before, after, longer, crlf) => {
        const ticks = "`".repeat(3 + longer);
        const blocks = Object.entries(whole[which] ?? {}).map(
          ([name, code]) => `${ticks}lang ${name}\n${code}\n${ticks}`,
        );
        const reply = wrapped(`${before}\n${blocks.join("\n")}\n${after}`, crlf);
        expect(unwrapped(filesOf(reply, which))).toEqual(whole[which]);
      }),
    );
  });

  test("a shorter fence inside a longer one is code", () => {
    const inner = fc.constantFrom("```", "~~~", "```python");
    fc.assert(
      fc.property(fc.array(inner, { minLength: 1, maxLength: 5 }), (fences) => {
        const code = `${custom}\n"""\n${fences.join("\n")}\n"""`;
        const reply = `\`\`\`\`\`python\n${code}\n\`\`\`\`\``;
        expect(filesOf(reply, "gpumode python")["submission.py"]).toBe(code);
      }),
    );
  });

  test("an answer cut anywhere is whole or a problem, never half a kernel", () => {
    fc.assert(
      fc.property(kind, fc.double({ min: 0, max: 1, noNaN: true }), (which, share) => {
        const blocks = Object.entries(whole[which] ?? {}).map(([name, code]) => file(name, code));
        const reply = blocks.join("\n");
        const found = read(reply.slice(0, Math.floor(reply.length * share)), which);
        if ("kernel" in found)
          for (const { path, content } of found.kernel.files) expect(content).toBe(whole[which]?.[path]);
      }),
    );
  });

  test("no reply makes it throw", () => {
    const part = fc.constantFrom(
      ...["```", "~~~", "\n", "\r\n", " ", '"', "'", '"""', "#", "\\", "<think>", "</think>", "<![CDATA[", "]]>"],
      ...[
        '<file name="kernel.cpp">',
        "<cuda_file name='kernel.cu'>",
        "</file>",
        "</cpp_file>",
        "```python submission.py\n",
      ],
      ...[
        "def run(x):",
        "class ModelNew:",
        "custom_kernel = 1",
        "PYBIND11_MODULE(",
        '.def("run"',
        "0x1p3",
        "run(",
        ")",
        "{",
      ],
    );
    const reply = fc.array(fc.oneof(part, fc.string({ maxLength: 5 })), { maxLength: 40 }).map((all) => all.join(""));
    fc.assert(
      fc.property(reply, kind, (text, which) => {
        const found = read(text, which);
        if ("problem" in found) expect(found.problem).not.toBe("");
      }),
      { numRuns: 300 },
    );
  });
});

/** Squares would take half a minute. */
test.each([
  ["open thoughts", "<think>"],
  ["closed thoughts", "</think>"],
  ["open tags", "<cuda_file name='kernel.cu'>"],
  ["half tags", "<cuda_file name='"],
  ["tags with blanks", "<file  "],
  ["whole small files", '<file name="submission.py">def custom_kernel(</file>'],
  ["whole small fences", "```python submission.py\ndef custom_kernel(x): 0x1p\n```\n"],
  ["names", "```a.b.c.d/e.f"],
  ["open docstrings", '"""\\'],
  ["open strings", "'\\"],
  ["both quotes", "\"'"],
  ["hex digits", "0x111111111"],
  ["assignments", "custom_kernel :"],
  ["imports", "from a import "],
  ["modules", 'PYBIND11_MODULE( .def( "'],
  ["blanks", " \n"],
])("190 KB of %s take no quadratic time", (_, part) => {
  const text = part.repeat(Math.floor(190_000 / part.length));
  const replies = [
    text,
    fence("python", text),
    file("submission.py", text),
    file("main.cpp", text),
    `${text}\n${custom}`,
  ];
  const begun = performance.now();
  for (const reply of replies) for (const kind of kinds) read(reply, kind);
  expect(performance.now() - begun).toBeLessThan(5_000);
});
