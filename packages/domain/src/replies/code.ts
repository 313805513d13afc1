import { type EntryForm, entryFormsOf, entryOf, languageFault } from "../entry.ts";
import { type Kernel, Kernel as KernelSchema, type Language, type SourceFile } from "../kernel.ts";
import { type Problem, problemName } from "../problem.ts";
import { afterThinking, type Block, fencedBlocks, taggedBlocks } from "./blocks.ts";
import { definesEntry, entryFault, sourceFault } from "./source.ts";

/** A reply longer than this is not a kernel. Characters. */
export const longestReply = 200_000;

export type ReadKernel = { kernel: Kernel } | { problem: string };

type Context = { problem: Problem; language: Language; targetHardware: string };
type Forms = readonly EntryForm[];
type Files = ReadonlyMap<string, string>;
type Found = { files: Files } | { problem: string };

/**
 * The kernel in a reply. Named files (`<file name="kernel.cpp">…</file>`, or K-Search's tags) win over fences, fences over
 * bare code; of several complete candidates the last one wins, so that an illustrative snippet before the answer does no
 * harm. What is cut off or has no entry is a problem with its reason; nothing is repaired (spec/ksearch.md 4.3, B12).
 */
export function readKernel(reply: string, context: Context): ReadKernel {
  const unfit = languageFault(context.problem, context.language);
  if (unfit !== null) return { problem: unfit };
  const forms = entryFormsOf(context.problem, context.language);
  if (reply.trim() === "") return { problem: "the reply is empty" };
  if (reply.length > longestReply)
    return { problem: `the reply has ${reply.length} characters, more than ${longestReply}` };
  const answer = afterThinking(reply);
  if (answer.trim() === "") return { problem: "the reply is all thinking, without an answer: it looks cut off" };
  const found = namedFiles(answer, forms) ?? fencedFiles(answer, forms) ?? bareFile(answer, forms);
  if ("problem" in found) return found;
  const fault = faultOf(found.files, forms);
  return fault === null ? kernelOf(sources(found.files), context) : { problem: fault };
}

/** Files as a kernel of a language, by the conventions of `entryFormsOf`. */
export function kernelOf(files: readonly SourceFile[], { problem, language, targetHardware }: Context): ReadKernel {
  const unfit = languageFault(problem, language);
  if (unfit !== null) return { problem: unfit };
  const forms = entryFormsOf(problem, language);
  const byPath = new Map(files.map(({ path, content }) => [path, content]));
  const form = formOf(byPath, forms);
  if (form === null) return { problem: missingFiles(byPath, forms) };
  const { entryPoint, binding, destinationPassing } = form;
  const kernel = KernelSchema.safeParse({
    definition: problemName(problem),
    language,
    entryPoint,
    binding,
    destinationPassing,
    targetHardware: [targetHardware],
    dependencies: [],
    files,
  });
  if (!kernel.success)
    return { problem: kernel.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ") };
  return { kernel: kernel.data };
}

const sources = (files: Files): SourceFile[] => [...files].map(([path, content]) => ({ path, content }));

/** The form that the files have: the first that is whole, preferably with its entry; null: none is. */
function formOf(files: Files, forms: Forms): EntryForm | null {
  const whole = forms.filter((form) => form.files.every((path) => files.has(path)));
  return whole.find((form) => definesEntry(form, entryText(files, form))) ?? whole[0] ?? null;
}

const entryText = (files: Files, form: EntryForm): string => files.get(entryOf(form).file) ?? "";

function faultOf(files: Files, forms: Forms): string | null {
  const form = formOf(files, forms);
  if (form === null) return missingFiles(files, forms);
  const faults = [...files].map(([path, content]) => sourceFault(path, content));
  return entryFault(form, entryText(files, form)) ?? faults.find((fault) => fault !== null) ?? null;
}

function missingFiles(files: Files, forms: Forms): string {
  const ways = forms.map((form) => form.files.join(" and ")).join(", or ");
  if (files.size === 0) return `the answer takes ${ways}, each under its name`;
  const [missing = []] = forms
    .map((form) => form.files.filter((path) => !files.has(path)))
    .sort((a, b) => a.length - b.length);
  return `no file '${missing.join("' and no '")}' among ${[...files.keys()].join(", ")}: the answer takes ${ways}`;
}

function namedFiles(reply: string, forms: Forms): Found | null {
  const { blocks, open } = taggedBlocks(reply);
  if (open !== null) return { problem: `the file '${open}' is not closed by </file>: the reply looks cut off` };
  return blocks.length === 0 ? null : { files: byName(blocks, forms) };
}

/** Of blocks with one name the last one counts; of an entry file, the last that has the entry: a later one may show a part. */
function byName(blocks: readonly Block[], forms: Forms): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, same] of Map.groupBy(blocks, (block) => block.name)) {
    if (name === null) continue;
    const form = forms.find((each) => entryOf(each).file === name);
    const whole = form && same.findLast(({ text }) => definesEntry(form, text));
    files.set(name, (whole ?? same.at(-1))?.text ?? "");
  }
  return files;
}

/** Fenced code: files by the names in their fences, or the last one that has the entry of a form of one file. */
function fencedFiles(reply: string, forms: Forms): Found | null {
  const { blocks, cutOff } = fencedBlocks(reply);
  if (cutOff) return { problem: "the last code fence is not closed: the reply looks cut off" };
  if (blocks.length === 0) return null;
  const files = byName(blocks, forms);
  const single = forms.find(isOneFile);
  if (single === undefined || forms.some((form) => !isOneFile(form) && form.files.every((path) => files.has(path))))
    return { files };
  const { file } = entryOf(single);
  const whole = blocks.filter(({ text }) => definesEntry(single, text));
  const entry = whole.findLast(({ name }) => name === null || name === file) ?? whole.at(-1);
  if (entry === undefined)
    return { problem: entryFault(single, blocks.at(-1)?.text ?? "") ?? missingFiles(files, forms) };
  if (entry.name !== null) files.delete(entry.name);
  return { files: files.set(file, entry.text) };
}

function bareFile(reply: string, forms: Forms): Found {
  const single = forms.find(isOneFile);
  const fault = single ? entryFault(single, reply) : missingFiles(new Map(), forms);
  return single && fault === null
    ? { files: new Map([[entryOf(single).file, reply.trim()]]) }
    : { problem: `the reply holds no code: neither a file block nor a fence, and ${fault}` };
}

const isOneFile = ({ files }: EntryForm): boolean => files.length === 1;
