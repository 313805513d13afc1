import { type EntryForm, entryFormsOf, entryOf } from "../entry.ts";
import type { Language } from "../kernel.ts";
import type { Problem } from "../problem.ts";
import { cPrototype, type Definition, type Dtype } from "../problems/flashinfer.ts";
import type { Device } from "../referee/request.ts";

const titles: Record<Language, string> = { cpp: "C++20", python: "Python", triton: "Triton", cuda: "CUDA C++" };

/** How the answer must look and be called, for one format, language and target. Stated once. */
export function answerFormat(problem: Problem, language: Language, device: Device): string {
  // The form with fewer files is the simpler one, so it is told first.
  const forms = entryFormsOf(problem, language).toReversed();
  const ways = forms.map((form, index) => {
    const text = `${skeleton(form)}\n${conventionText(problem, language, device, form)}`;
    return forms.length === 1 ? text : `## Way ${index + 1}\n${text}`;
  });
  return [
    `# Answer format: ${titles[language]}`,
    `Answer with every file whole, each in a block of its own${forms.length === 1 ? "" : `, in one of ${forms.length} ways`}. Other files may stand beside them in blocks of their own; text outside the blocks is ignored.`,
    ...ways,
    ...(language === "triton" && device === "cpu"
      ? ["On this target Triton is interpreted: only correctness means something, times do not."]
      : []),
  ].join("\n");
}

const skeleton = ({ files }: EntryForm): string => files.map((path) => `<file name="${path}">\n…\n</file>`).join("\n");

function conventionText(problem: Problem, language: Language, device: Device, form: EntryForm): string {
  const { file } = entryOf(form);
  switch (form.binding) {
    case "c-abi":
      return problem.format === "flashinfer" ? cText(problem.definition, language, form) : "";
    case "c++":
      return containerText(language, form);
    case "torch":
      return torchText(problem, form);
    case "python":
      return [
        pythonText(problem, language, device, form),
        ...form.files.filter((path) => path !== file).map(nativeText(file)),
      ].join("\n");
  }
}

function cText(definition: Definition, language: Language, form: EntryForm): string {
  const { file, symbol } = entryOf(form);
  const narrow = bitsText(definition, language);
  const gpu = language === "cuda";
  return `\`${file}\` must define exactly this function:
\`\`\`cpp
#include <cstdint>
${cPrototype(definition, symbol)}
\`\`\`
${gpu ? "Pointers are device memory; scalars come by value. " : ""}Tensors are row-major, contiguous and 256-byte aligned; outputs are allocated for you, hold garbage, and must be filled completely.${narrow}${gpu ? "" : " Only the C++ standard library and what the compiler flags give."}`;
}

const narrowTypes: Partial<Record<Dtype, { c: string; cuda: string }>> = {
  float16: { c: "uint16_t", cuda: "__half" },
  bfloat16: { c: "uint16_t", cuda: "__nv_bfloat16" },
  float8_e4m3fn: { c: "uint8_t", cuda: "__nv_fp8_e4m3" },
  float8_e5m2: { c: "uint8_t", cuda: "__nv_fp8_e5m2" },
};

/** How floats of 16 and 8 bits, which C has no type for, come through the prototype. */
function bitsText(definition: Definition, language: Language): string {
  const used = new Set(
    [...Object.values(definition.inputs), ...Object.values(definition.outputs)].map(({ dtype }) => dtype),
  );
  const told = [...used].flatMap((dtype) => {
    const types = narrowTypes[dtype];
    if (types === undefined) return [];
    return [
      language === "cuda" ? `${dtype} as ${types.c} (cast the pointer to ${types.cuda}*)` : `${dtype} as ${types.c}`,
    ];
  });
  return told.length === 0 ? "" : ` Narrow floats come as their bits: ${told.join(", ")}.`;
}

/** A function of the problem's own containers. */
function containerText(language: Language, form: EntryForm): string {
  const { file, symbol } = entryOf(form);
  const gpu = language === "cuda";
  return `\`${file}\` must define exactly this function, with external linkage:
\`\`\`cpp
#include "task.h"
output_t ${symbol}(input_t data);
\`\`\`
It gets what \`generate_input\` returns and returns what \`ref_kernel\` returns, in containers of the same sizes. The argument is yours: change it, move from it, return it.${gpu ? " Its containers are in host memory, and so are those that you return: copying to the GPU and back is part of the call, and so is what you allocate there; `CUDA_CHECK` is in `utils.h`." : ""} The problem's headers can be included, except \`reference.cuh\`.`;
}

/** K-Search's three files: a torch extension. */
function torchText(problem: Problem, form: EntryForm): string {
  const { file, symbol } = entryOf(form);
  const header = `\`${file}\` must expose \`${symbol}\` by \`PYBIND11_MODULE(TORCH_EXTENSION_NAME, m)\`; \`kernel.cu\` holds the kernels, \`kernel.h\` declares their launchers.`;
  const cost =
    "Torch's headers make this build much slower than the other way: take it only for what torch's C++ API gives.";
  if (problem.format !== "flashinfer")
    return `${header} It is called \`${symbol}(*data)\` with what \`generate_input\` returns (a dict arrives as a py::dict) and returns what \`ref_kernel\` returns.\n${cost}`;
  const names = Object.keys(problem.definition.inputs);
  return `${header} It is called with keyword arguments, so name them: \`m.def("${symbol}", &${symbol}, ${names.map((name) => `py::arg("${name}")`).join(", ")})\`. Tensors are contiguous torch CUDA tensors, scalars are numbers; it returns ${outputsOf(problem.definition)} as new tensors.\n${cost}`;
}

function pythonText(problem: Problem, language: Language, device: Device, form: EntryForm): string {
  const { file, symbol } = entryOf(form);
  const define = `\`${file}\` must define`;
  switch (problem.format) {
    case "flashinfer": {
      const { definition } = problem;
      const arrays = arraysOf(definition, language, device);
      return `${define} \`${symbol}(${Object.keys(definition.inputs).join(", ")})\`, which takes ${arrays} and scalars in this order and returns ${outputsOf(definition)} as new contiguous ones of the declared dtypes.`;
    }
    case "gpumode":
      return `${define} \`${symbol}(data)\`: it takes what \`generate_input\` returns and returns what \`ref_kernel\` returns, in new tensors. Torch operations may stand beside your kernels.`;
    case "kernelbench":
      return `${define} \`class ${symbol}(nn.Module)\`. Torch operations may stand beside your kernels. The reference's \`Model\` cannot be imported.`;
  }
}

/** What a Python kernel of a FlashInfer problem is handed: the reference's own kind on a cpu, tensors elsewhere. */
function arraysOf({ reference }: Definition, language: Language, device: Device): string {
  if (device !== "cpu") return "torch CUDA tensors";
  return language === "triton" || /^\s*(import|from)\s+torch\b/m.test(reference) ? "torch tensors" : "numpy arrays";
}

const outputsOf = (definition: Definition): string => {
  const names = Object.keys(definition.outputs);
  return names.length === 1 ? (names[0] ?? "") : `a tuple (${names.join(", ")})`;
};

/** The ctypes convention, by an example that is complete for one function. */
const nativeText =
  (entryFile: string) =>
  (file: string): string => {
    const cuda = file.endsWith(".cu");
    return `\`${file}\` is compiled for you into \`kernel.so\` beside \`${entryFile}\`. Give its functions C linkage and call them with ctypes, for example \`extern "C" void scale(const float* x, float* y, int64_t n${cuda ? ", cudaStream_t stream" : ""})\`:
\`\`\`python
import ctypes, os, torch

lib = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so"))
lib.scale.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64${cuda ? ", ctypes.c_void_p" : ""}]
lib.scale.restype = None

def scale(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    lib.scale(x.data_ptr(), y.data_ptr(), x.numel()${cuda ? ", torch.cuda.current_stream().cuda_stream" : ""})
    return y
\`\`\``;
  };
