import { entryFormsOf, entryOf, languageFault } from "../entry.ts";
import type { Kernel } from "../kernel.ts";
import { type Problem, problemName } from "../problem.ts";
import { entryFault, sourceFault, withoutComments } from "../replies/source.ts";

/** Things that no honest kernel needs, in C and in Python. A short list: the referee's own guards do the real work. */
const denied: readonly [RegExp, string][] = [
  [/\bsystem\s*\(|\bpopen\s*\(|\bexec[lv]p?e?\s*\(|\bposix_spawnp?\s*\(/, "starts a program"],
  [/\bsubprocess\b|\bos\.(system|popen|fork|spawn|exec)/, "starts a program"],
  [/\bptrace\b|\bprocess_vm_(readv|writev)\b|\/proc\/(self|\d+)\//, "reaches into a process"],
  [/\bsocket\s*\(|#include\s*<(sys\/socket|netinet\/in)\.h>|\b(import|from)\s+socket\b/, "opens a network connection"],
];

/** A worker starts no process, and these start a compiler: what the kernel would need is done by the referee's build. */
const buildsItself = /\bcpp_extension\b|\bload_inline\b/;

/** All files of a kernel together; longer than any real one, short enough to stand in a prompt. */
const mostChars = 100_000;

/**
 * What can be refused before referee time is spent: a kernel for another problem, in another form than its language has
 * here, without its entry, or with text that does what no kernel needs. Null: nothing speaks against an evaluation.
 */
export function vetKernel(kernel: Kernel, problem: Problem): string | null {
  if (kernel.definition !== problemName(problem))
    return `the kernel is for '${kernel.definition}', not for '${problemName(problem)}'`;
  return formFault(kernel, problem) ?? pathFault(kernel, problem) ?? textFault(kernel);
}

function formFault(
  { language, entryPoint, binding, destinationPassing, files }: Kernel,
  problem: Problem,
): string | null {
  const unfit = languageFault(problem, language);
  if (unfit !== null) return unfit;
  const forms = entryFormsOf(problem, language);
  const form = forms.find((each) => each.entryPoint === entryPoint);
  if (form === undefined)
    return `a ${language} kernel for this problem begins in ${forms.map((each) => each.entryPoint).join(" or ")}, not in ${entryPoint}`;
  if (form.binding !== binding || form.destinationPassing !== destinationPassing)
    return `${entryPoint} is called with the binding ${form.binding}, ${form.destinationPassing ? "filling" : "returning"} its outputs; the kernel says otherwise`;
  const missing = form.files.filter((path) => !files.some((file) => file.path === path));
  if (missing.length > 0) return `the file '${missing.join("' and the file '")}' is not among the kernel's files`;
  return entryFault(form, files.find(({ path }) => path === entryOf(form).file)?.content ?? "");
}

/** The kernel's folder holds the problem's own modules and what is built from the kernel. */
function pathFault({ files, entryPoint }: Kernel, problem: Problem): string | null {
  const own = problem.format === "gpumode" ? problem.files.map(({ path }) => path) : [];
  const taken = new Set(["kernel.so", ...own.filter((path) => path !== entryOf({ entryPoint }).file)]);
  for (const { path } of files) {
    if (taken.has(path)) return `the file '${path}' would take the place of the referee's own`;
    const above = files.find((file) => path.startsWith(`${file.path}/`));
    if (above) return `the file '${path}' lies below '${above.path}', which is a file`;
  }
  return null;
}

function textFault({ files, language }: Kernel): string | null {
  const chars = files.reduce((sum, { content }) => sum + content.length, 0);
  if (chars > mostChars) return `the kernel has ${chars} characters; at most ${mostChars} are judged`;
  for (const { path, content } of files) {
    const fault = sourceFault(path, content);
    if (fault !== null) return fault;
    const code = withoutComments(path, content);
    const found = denied.find(([pattern]) => pattern.test(code));
    if (found) return `${path} ${found[1]}: not allowed in a kernel`;
    if (buildsItself.test(code))
      return `${path} builds native code when it runs, and a kernel's process starts no compiler: ${mend[language]}`;
  }
  return null;
}

const mend: Record<Kernel["language"], string> = {
  cpp: "put the native code into kernel.cpp, which is compiled before",
  cuda: "put the native code into kernel.cu, which is compiled before",
  python: "write it in Python; native code belongs to the languages cpp (kernel.cpp) and cuda (kernel.cu)",
  triton: "write it in Triton; native code belongs to the languages cpp (kernel.cpp) and cuda (kernel.cu)",
};
