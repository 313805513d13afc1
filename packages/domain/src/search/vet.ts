import type { Kernel } from "../kernel.ts";
import { type Problem, problemName } from "../problem.ts";
import { entryFile, withoutComments } from "../replies/code.ts";

/** Things that no honest kernel needs. A short list: the referee's own guards do the real work. */
const denied: readonly [RegExp, string][] = [
  [/\bsystem\s*\(|\bpopen\s*\(|\bexec[lv]p?e?\s*\(/, "starts a program"],
  [/\bsubprocess\b|\bos\.system\b|\bos\.fork\b/, "starts a program"],
  [/\bptrace\s*\(|process_vm_(readv|writev)|\/proc\/(self|\d+)\//, "reaches into a process"],
  [/\bsocket\s*\(|#include\s*<(sys\/socket|netinet\/in)\.h>|\bimport\s+socket\b/, "opens a network connection"],
];

/** All files of a kernel together; longer than any real one, short enough to stand in a prompt. */
const mostChars = 100_000;

/**
 * What can be refused before referee time is spent: the entry file is missing, the kernel is for another problem, or
 * the text does what no kernel needs. Null: nothing speaks against an evaluation.
 */
export function vetKernel(kernel: Kernel, problem: Problem): string | null {
  if (kernel.definition !== problemName(problem))
    return `the kernel is for '${kernel.definition}', not for '${problemName(problem)}'`;
  const [file] = kernel.entryPoint.split("::");
  if (!kernel.files.some((source) => source.path === file))
    return `the entry file '${file}' is not among the kernel's files`;
  const chars = kernel.files.reduce((sum, { content }) => sum + content.length, 0);
  if (chars > mostChars) return `the kernel has ${chars} characters; at most ${mostChars} are judged`;
  const cLike = kernel.language === "cpp" || kernel.language === "cuda";
  for (const { path, content } of kernel.files) {
    const code = cLike ? withoutComments(content) : content.replace(/#.*$/gm, "");
    const found = denied.find(([pattern]) => pattern.test(code));
    if (found) return `${path} ${found[1]}: not allowed in a kernel`;
  }
  return file === entryFile[kernel.language] ? null : `the entry must be in ${entryFile[kernel.language]}`;
}
