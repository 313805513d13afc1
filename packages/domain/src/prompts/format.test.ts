import { expect, test } from "vitest";
import { sampleCppTask, sampleGpuMode, sampleKernelBench } from "../../test/problems.ts";
import { sampleOptions, sampleProblem } from "../../test/samples.ts";
import { type EntryForm, entryForms, entryFormsOf, languageFault } from "../entry.ts";
import { Kernel, Language } from "../kernel.ts";
import { cPrototype } from "../problems/flashinfer.ts";
import type { Device } from "../referee/request.ts";
import { readKernel } from "../replies/code.ts";
import { vetKernel } from "../search/vet.ts";
import { answerFormat } from "./format.ts";
import { systemText } from "./problem.ts";

const languages = Language.options;
const problems = [sampleProblem(), sampleGpuMode(), sampleKernelBench()];
const inCpp = (["cpp", "cuda"] as const).map((language) => ({
  problem: sampleCppTask(),
  language,
  name: `gpumode in C++, ${language}`,
}));
const every = [
  ...problems.flatMap((problem) =>
    languages.map((language) => ({ problem, language, name: `${problem.format}, ${language}` })),
  ),
  ...inCpp,
];
const gpuFor = (language: Language): Device => (language === "cuda" || language === "triton" ? "H100" : "cpu");

/** A file of a kernel as small as its form allows. */
const smallest = (form: EntryForm, path: string): string => {
  const [file = "", symbol = ""] = form.entryPoint.split("::");
  if (path !== file) return "#pragma once";
  if (form.binding === "c-abi") return `extern "C" void ${symbol}(const float* x) {\n}`;
  if (form.binding === "c++") return `auto ${symbol}(input_t data) -> output_t {\n  return data;\n}`;
  if (form.binding === "torch")
    return `PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {\n  m.def("${symbol}", &${symbol});\n}`;
  return symbol === "ModelNew" ? "class ModelNew(nn.Module):\n    pass" : `def ${symbol}(x):\n    return x`;
};

test.each(every)("an answer in each form that the prompt shows is read and passes: $name", ({ problem, language }) => {
  const text = answerFormat(problem, language, gpuFor(language));
  const shown = [...text.matchAll(/<file name="([^"]+)">\n…\n<\/file>/g)].map(([, path]) => path);
  const forms = entryFormsOf(problem, language);
  expect(shown.toSorted()).toEqual(forms.flatMap(({ files }) => files).toSorted());
  for (const form of forms) {
    const reply = form.files.map((path) => `<file name="${path}">\n${smallest(form, path)}\n</file>`).join("\n");
    const read = readKernel(reply, { problem, language, targetHardware: gpuFor(language) });
    if ("problem" in read) throw new Error(read.problem);
    const { entryPoint, binding, destinationPassing } = read.kernel;
    expect({ entryPoint, binding, destinationPassing }).toEqual({
      entryPoint: form.entryPoint,
      binding: form.binding,
      destinationPassing: form.destinationPassing,
    });
    expect(vetKernel(read.kernel, problem)).toBeNull();
  }
});

test.each(every)("the prompt says where the kernel begins: $name", ({ problem, language }) => {
  const text = answerFormat(problem, language, gpuFor(language));
  for (const { entryPoint } of entryFormsOf(problem, language)) {
    const [file = "", symbol = ""] = entryPoint.split("::");
    expect(text).toMatch(
      new RegExp(`\`${file.replace(".", "\\.")}\` must (define|expose)[^\n]*(\n[^\n]*){0,4}\\b${symbol}\\b`),
    );
  }
});

test("every entry point is a kernel's, in a file of its form", () => {
  for (const byLanguage of Object.values(entryForms))
    for (const form of Object.values(byLanguage).flat()) {
      const kernel = {
        definition: "a",
        language: "cpp",
        targetHardware: ["cpu"],
        dependencies: [],
        ...form,
        files: form.files.map((path) => ({ path, content: "" })),
      };
      expect(Kernel.safeParse(kernel).error).toBeUndefined();
    }
});

test.each(every)(
  "nothing forbids the form that is asked for, nor says a rule twice: $name",
  ({ problem, language }) => {
    const device = gpuFor(language);
    const text = `${systemText(problem, sampleOptions({ language, device, deviceFacts: "" }))}\n\n${answerFormat(problem, language, device)}`;
    expect(text).not.toMatch(/no markdown|no fences|no back-?tick|code only/i);
    const sentences = text.split(/\n|(?<=\.) /).filter((line) => line.length > 24 && !line.startsWith("<file"));
    expect(sentences.filter((line, index) => sentences.indexOf(line) !== index)).toEqual([]);
    for (const rule of [/network/g, /writing to|write to/g, /other processes/g, /new buffers/g, /synchronise/g])
      expect((text.match(rule) ?? []).length).toBeLessThanOrEqual(1);
  },
);

test("kernels of a problem in C++ are functions of its containers, and nothing else", () => {
  const problem = sampleCppTask();
  expect(answerFormat(problem, "cuda", "H100")).toContain("\noutput_t custom_kernel(input_t data);\n");
  expect(answerFormat(problem, "cuda", "H100")).toContain("copying to the GPU and back is part of the call");
  expect(answerFormat(problem, "cpp", "cpu")).not.toContain("GPU");
  expect(systemText(problem, sampleOptions())).toContain("## reference.cuh\n```cpp\nstatic input_t generate_input");
  for (const language of ["python", "triton"] as const) {
    expect(languageFault(problem, language)).toMatch(/take cuda for a GPU, cpp for a processor, not/);
    const file = { path: "submission.py", content: "def custom_kernel(data):\n    return data\n" };
    const read = readKernel(file.content, { problem, language, targetHardware: "cpu" });
    expect(read).toEqual({ problem: languageFault(problem, language) });
    const kernel = { definition: "scale", language, entryPoint: "submission.py::custom_kernel", binding: "python" };
    const more = { destinationPassing: false, targetHardware: ["cpu"], dependencies: [], files: [file] };
    expect(vetKernel({ ...kernel, ...more } as Kernel, problem)).toBe(languageFault(problem, language));
  }
});

test.each(["cpp", "cuda"] as const)("a %s prompt shows the exact prototype of a definition", (language) => {
  const problem = sampleProblem();
  expect(answerFormat(problem, language, gpuFor(language))).toContain(`\n${cPrototype(problem.definition, "run")}\n`);
});

test("whoever gets narrow floats as bits is told so, nobody else", () => {
  const problem = sampleProblem();
  expect(answerFormat(problem, "cpp", "cpu")).toContain("Narrow floats come as their bits: bfloat16 as uint16_t.");
  expect(answerFormat(problem, "cuda", "H100")).toContain("bfloat16 as uint16_t (cast the pointer to __nv_bfloat16*)");
  const { half: _, ...inputs } = problem.definition.inputs;
  const wide = { ...problem, definition: { ...problem.definition, inputs } };
  expect(answerFormat(wide, "cpp", "cpu")).not.toContain("bits");
  expect(answerFormat(problem, "python", "cpu")).not.toContain("bits");
});

test("pointers of a CUDA function are on the device, those of a C++ function are not", () => {
  expect(answerFormat(sampleProblem(), "cuda", "H100")).toContain("Pointers are device memory");
  expect(answerFormat(sampleProblem(), "cpp", "cpu")).not.toContain("device");
});

test("a torch module gets keyword arguments for a definition and the data of a GPU MODE case", () => {
  expect(answerFormat(sampleProblem(), "cuda", "H100")).toContain(
    'm.def("run", &run, py::arg("x"), py::arg("half"), py::arg("scale"))',
  );
  expect(answerFormat(sampleGpuMode(), "cuda", "H100")).toContain("`run(*data)`");
});

test("a Python kernel is told what its arguments are", () => {
  const torch = sampleProblem();
  torch.definition.reference = "import torch\n\ndef run(x, half, scale):\n    return x\n";
  expect(answerFormat(sampleProblem(), "python", "cpu")).toContain("numpy arrays");
  expect(answerFormat(torch, "python", "cpu")).toContain("takes torch tensors");
  expect(answerFormat(sampleProblem(), "python", "H100")).toContain("torch CUDA tensors");
  expect(answerFormat(sampleProblem(), "triton", "H100")).toContain("torch CUDA tensors");
  for (const language of ["python", "triton"] as const)
    expect(answerFormat(sampleProblem(), language, "cpu")).toContain("returns a tuple (y, total)");
});

test("Triton on a cpu is said to be interpreted, on a GPU it is not", () => {
  for (const problem of problems) {
    expect(answerFormat(problem, "triton", "cpu")).toMatch(/interpreted: only correctness means something/);
    expect(answerFormat(problem, "triton", "H100")).not.toMatch(/interpreted/);
    expect(answerFormat(problem, "python", "cpu")).not.toMatch(/interpreted/);
  }
});

test("native code beside a Python entry is shown with its loading and calling, on a stream where there is one", () => {
  for (const problem of [sampleGpuMode(), sampleKernelBench()]) {
    const cpp = answerFormat(problem, "cpp", "cpu");
    expect(cpp).toContain('ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so"))');
    expect(cpp).toContain("lib.scale(x.data_ptr(), y.data_ptr(), x.numel())");
    expect(cpp).not.toContain("stream");
    expect(answerFormat(problem, "cuda", "H100")).toContain("torch.cuda.current_stream().cuda_stream)");
    expect(answerFormat(problem, "python", "cpu")).not.toContain("ctypes");
  }
});

test("a kernel made from the example of native code passes vetting", () => {
  for (const language of ["cpp", "cuda"] as const) {
    const problem = sampleGpuMode();
    const example = /```python\n([\s\S]*?)```/.exec(answerFormat(problem, language, gpuFor(language)))?.[1] ?? "";
    const native = entryForms.gpumode[language].findLast(({ binding }) => binding === "python")?.files[1] ?? "";
    const reply = `<file name="submission.py">\n${example}\ncustom_kernel = scale\n</file><file name="${native}">\nvoid f() {}\n</file>`;
    const read = readKernel(reply, { problem, language, targetHardware: gpuFor(language) });
    expect(vetKernel("kernel" in read ? read.kernel : expect.fail(read.problem), problem)).toBeNull();
  }
});
