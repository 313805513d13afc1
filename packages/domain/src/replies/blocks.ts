/** A part of a reply that may be a file, under the name it was given; null: it was given none. */
export type Block = { name: string | null; text: string };

/** Our tag and those of K-Search's prompts. One in back-ticks is talked about, not opened. */
const kinds = "file|header_file|cuda_file|cpp_file";
const openTag = `(?<!\`)<(?:${kinds})\\s+name\\s*=\\s*["']([^"'<>]{1,200})["']\\s*>`;
const tags = new RegExp(`${openTag}|</(?:${kinds})\\s*>`, "g");

/**
 * A reply without the thinking that some models put before it (`<think>…</think>`, or only its end where the endpoint
 * wrote the beginning). Thinking that is never closed ends where the first named file begins; without one it is all there is.
 */
export function afterThinking(reply: string): string {
  const end = [...reply.matchAll(/(?<!`)<\/think(?:ing)?>/g)].at(-1);
  const rest = end === undefined ? reply : reply.slice(end.index + end[0].length);
  if (!/^\s*<think(?:ing)?>/.test(rest)) return rest;
  const answer = rest.search(openTag);
  return answer < 0 ? "" : rest.slice(answer);
}

/** The named files of a reply, in order; `open` is the name of one that is not closed. */
export function taggedBlocks(reply: string): { blocks: { name: string; text: string }[]; open: string | null } {
  const blocks: { name: string; text: string }[] = [];
  let open: { name: string; from: number } | null = null;
  for (const tag of reply.matchAll(tags)) {
    if (tag[1] !== undefined) open = { name: tag[1], from: tag.index + tag[0].length };
    else if (open !== null) {
      blocks.push({ name: open.name, text: unwrapped(reply.slice(open.from, tag.index)) });
      open = null;
    }
  }
  return { blocks, open: open?.name ?? null };
}

/** A file block's text without the CDATA or the fence that some models put around it. */
const unwrapped = (text: string): string =>
  text
    .trim()
    .replace(/^<!\[CDATA\[([\s\S]*)\]\]>$/, "$1")
    .trim()
    .replace(/^```[^\n]*\n([\s\S]*?)\n?```$/, "$1");

const sourceName = /[A-Za-z0-9_][\w./-]*\.(?:py|cpp|cc|cu|cuh|h|hpp)\b/;

/**
 * The fenced blocks of a text, as CommonMark has them: a fence ends at one of its own kind that is at least as long. What
 * follows its opening may name the file (```cpp kernel.cpp, ```python title="main.py").
 */
export function fencedBlocks(text: string): { blocks: Block[]; cutOff: boolean } {
  const blocks: Block[] = [];
  let open: { indent: number; fence: string; name: string | null; lines: string[] } | null = null;
  for (const line of text.split("\n")) {
    const [, indent = "", fence = "", info = ""] = /^([ \t]*)(`{3,}|~{3,})(.*)$/s.exec(line) ?? [];
    if (open === null) {
      const name = sourceName.exec(info)?.[0] ?? null;
      if (fence !== "" && !info.includes("`")) open = { indent: indent.length, fence, name, lines: [] };
    } else if (fence.startsWith(open.fence) && info.trim() === "") {
      blocks.push({ name: open.name, text: open.lines.map((each) => `${each}\n`).join("") });
      open = null;
    } else {
      const margin = /^[ \t]*/.exec(line)?.[0].length ?? 0;
      open.lines.push(line.slice(Math.min(open.indent, margin)));
    }
  }
  return { blocks, cutOff: open !== null };
}
