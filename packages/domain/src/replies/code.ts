import { type Kernel, Kernel as KernelSchema, type Language, type SourceFile } from "../kernel.ts";

/** Where a kernel of a language begins: its file and its function. */
export const entryFile: Record<Language, string> = {
  cpp: "kernel.cpp",
  python: "main.py",
  triton: "main.py",
  cuda: "kernel.cu",
};
export const entrySymbol = "run";

/** A reply longer than this is not a kernel. Characters. */
export const longestReply = 200_000;

export type ReadKernel = { kernel: Kernel } | { problem: string };

type Context = { definition: string; language: Language; targetHardware: string };

/**
 * The kernel in a reply. Named files (`<file name="kernel.cpp">…</file>`) win over fences, fences over bare code; of
 * several complete candidates the last one wins, so that an illustrative snippet before the answer does no harm. What is
 * cut off or has no entry function is a problem with its reason; nothing is repaired (spec/ksearch.md 4.3, B12).
 */
export function readKernel(reply: string, context: Context): ReadKernel {
  const { language } = context;
  if (reply.trim() === "") return { problem: "the reply is empty" };
  if (reply.length > longestReply)
    return { problem: `the reply has ${reply.length} characters, more than ${longestReply}` };
  const found = namedFiles(reply, language) ?? fencedFile(reply, language) ?? bareFile(reply, language);
  return "problem" in found ? found : kernelOf(found.files, context);
}

/** Files as a kernel of a language, by our conventions of entry and binding. */
export function kernelOf(files: readonly SourceFile[], { definition, language, targetHardware }: Context): ReadKernel {
  const kernel = KernelSchema.safeParse({
    definition,
    language,
    entryPoint: `${entryFile[language]}::${entrySymbol}`,
    binding: language === "cpp" ? "c-abi" : "python",
    destinationPassing: language === "cpp",
    targetHardware: [targetHardware],
    dependencies: [],
    files,
  });
  if (!kernel.success)
    return { problem: kernel.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ") };
  return { kernel: kernel.data };
}

type Files = { files: SourceFile[] } | { problem: string };

function namedFiles(reply: string, language: Language): Files | null {
  const files = new Map<string, string>();
  let open: { name: string; from: number } | null = null;
  // A tag in back-ticks is talked about, not opened.
  for (const tag of reply.matchAll(/(?<!`)<file\s+name\s*=\s*["']([^"'<>]{1,200})["']\s*>|<\/file>/g)) {
    if (tag[1] !== undefined) open = { name: tag[1], from: tag.index + tag[0].length };
    else if (open !== null) {
      const text = unwrapped(reply.slice(open.from, tag.index));
      const isSnippet = open.name === entryFile[language] && files.has(open.name) && !definesEntry(text, language);
      if (!isSnippet) files.set(open.name, text);
      open = null;
    }
  }
  if (open !== null) return { problem: `the file '${open.name}' is not closed by </file>: the reply looks cut off` };
  if (files.size === 0) return null;
  const entry = files.get(entryFile[language]);
  if (entry === undefined) return { problem: `no file '${entryFile[language]}' among ${[...files.keys()].join(", ")}` };
  if (!definesEntry(entry, language)) return { problem: noEntry(language) };
  return { files: [...files].map(([path, content]) => ({ path, content })) };
}

/** A file block's text without the CDATA or the fence that some models put around it. */
const unwrapped = (text: string): string =>
  text
    .trim()
    .replace(/^<!\[CDATA\[([\s\S]*)\]\]>$/, "$1")
    .trim()
    .replace(/^```[^\n]*\n([\s\S]*?)\n?```$/, "$1");

function fencedFile(reply: string, language: Language): Files | null {
  const { blocks, cutOff } = fencedBlocks(reply);
  if (cutOff) return { problem: "the last code fence is not closed: the reply looks cut off" };
  if (blocks.length === 0) return null;
  const last = blocks.findLast((code) => definesEntry(code, language));
  return last === undefined
    ? { problem: noEntry(language) }
    : { files: [{ path: entryFile[language], content: last }] };
}

/** The fenced blocks of a text, as CommonMark has them: a fence ends at one of its own kind that is at least as long. */
function fencedBlocks(text: string): { blocks: string[]; cutOff: boolean } {
  const blocks: string[] = [];
  let open: { indent: number; fence: string; lines: string[] } | null = null;
  for (const line of text.split("\n")) {
    const [, indent = "", fence = "", info = ""] = /^([ \t]*)(`{3,}|~{3,})(.*)$/s.exec(line) ?? [];
    if (open === null) {
      if (fence !== "" && !info.includes("`")) open = { indent: indent.length, fence, lines: [] };
    } else if (fence.startsWith(open.fence) && info.trim() === "") {
      blocks.push(open.lines.map((each) => `${each}\n`).join(""));
      open = null;
    } else {
      const margin = /^[ \t]*/.exec(line)?.[0].length ?? 0;
      open.lines.push(line.slice(Math.min(open.indent, margin)));
    }
  }
  return { blocks, cutOff: open !== null };
}

function bareFile(reply: string, language: Language): Files {
  return definesEntry(reply, language)
    ? { files: [{ path: entryFile[language], content: reply.trim() }] }
    : { problem: `the reply holds no code: neither a file block nor a fence, and ${noEntry(language)}` };
}

const noEntry = (language: Language): string =>
  `no definition of '${entrySymbol}' for ${entryFile[language]} was found`;

const definesEntry = (code: string, language: Language): boolean =>
  language === "python" || language === "triton"
    ? new RegExp(`^(async\\s+)?def\\s+${entrySymbol}\\s*\\(`, "m").test(code)
    : definesFunction(code);

/** C-like code without its comments; strings stay. */
export const withoutComments = (code: string): string =>
  code.replace(commentOrString, (found) => (found.startsWith('"') ? found : " "));

const commentOrString = /\/\/[^\n]*|\/\*(?:[\s\S]*?\*\/|[\s\S]*$)|"(?:[^"\\\n]|\\.)*"?/g;
const parenthesis = new RegExp(
  `(\\b${entrySymbol}\\s*)?\\(|\\)(\\s*(?:noexcept\\s*(?:\\([^()]*\\)\\s*)?)?(?:->\\s*void\\s*)?\\{)?`,
  "g",
);

/** Whether C++ code has the entry with its arguments and a body; a prototype, a call or a comment is none. */
function definesFunction(code: string): boolean {
  const opened: boolean[] = [];
  for (const [text, name, body] of code.replace(commentOrString, " ").matchAll(parenthesis))
    if (text.endsWith("(")) opened.push(name !== undefined);
    else if (opened.pop() === true && body !== undefined) return true;
  return false;
}
