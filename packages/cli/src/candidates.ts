import { basename } from "node:path";
import {
  AppError,
  entryFormsOf,
  type Kernel,
  kernelOf,
  kernelOfSolution,
  type Language,
  languageFault,
  type Problem,
  problemName,
} from "@ksearch/domain";
import { readJson, readText } from "./text.ts";

/** What a kernel's file is read for. */
export type Reading = { language: Language; targetHardware: string };

/** The language of a source file by its suffix; Python is Triton where that is what is searched for. */
const languageOfFile = (file: string, wanted: Language): Language => {
  if (file.endsWith(".cu")) return "cuda";
  return file.endsWith(".py") ? (wanted === "triton" ? "triton" : "python") : "cpp";
};

/** A kernel from a source file, taken as it is, or from a solution's JSON. AppError `caller`: it is none for this problem. */
export function readCandidate(file: string, problem: Problem, { language: wanted, targetHardware }: Reading): Kernel {
  if (!file.endsWith(".json"))
    return readSource(file, problem, { language: languageOfFile(file, wanted), targetHardware });
  const read = kernelOfSolution(
    readJson(file, "solution"),
    problem.format === "flashinfer" ? problem.definition : null,
  );
  if ("problem" in read) throw new AppError("caller", "solution.invalid", `${file}: ${read.problem}`);
  const { kernel } = read;
  if (kernel.definition !== problemName(problem))
    throw new AppError(
      "caller",
      "solution.problem",
      `${file} is for '${kernel.definition}', not for '${problemName(problem)}'`,
    );
  return kernel;
}

function readSource(file: string, problem: Problem, { language, targetHardware }: Reading): Kernel {
  const unfit = languageFault(problem, language);
  if (unfit !== null) throw new AppError("caller", "kernel.unusable", `${file}: ${unfit}`);
  const alone = entryFormsOf(problem, language).find(({ files }) => files.length === 1)?.files[0];
  const files = [{ path: alone ?? basename(file), content: readText(file, "kernel") }];
  const read = kernelOf(files, { problem, language, targetHardware });
  if (!("problem" in read)) return read.kernel;
  const mend = alone === undefined ? "; several files come as the sources of a solution JSON" : "";
  throw new AppError("caller", "kernel.unusable", `${file}: ${read.problem}${mend}`);
}
