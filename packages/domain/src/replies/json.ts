import { parseJson } from "../json.ts";

/** A reply longer than this is no world model and no edit. Characters. */
const longestJson = 1_000_000;

/**
 * The JSON object with `key` in a reply: the last brace-balanced part of it that parses and has that key, as an example may
 * stand before the answer; without any, the first object, so that the complaint is about what was written. Prose, fences
 * and braces of other kinds around it are tolerated. Nothing is mended: of an object that is cut off no inner one, and no
 * example before it, is taken for the whole, so the answer is null. Every character is looked at once.
 */
export function extractObject(reply: string, key: string): Record<string, unknown> | null {
  if (reply.length > longestJson) return null;
  const opening = /\{(?=\s*["}])/g;
  let first: Record<string, unknown> | null = null;
  let last: Record<string, unknown> | null = null;
  for (let found = opening.exec(reply); found; found = opening.exec(reply)) {
    const end = closingBrace(reply, found.index);
    if (end === -1) return null;
    const value = parsed(reply.slice(found.index, end + 1));
    first ??= value;
    if (value !== null && Object.hasOwn(value, key)) last = value;
    opening.lastIndex = end + 1;
  }
  return last ?? first;
}

/** Index of the brace that closes the one at `start`, minding strings and escapes; −1: none. */
function closingBrace(text: string, start: number): number {
  let depth = 0;
  let inString = false;
  for (let index = start; index < text.length; index += 1) {
    const char = text[index];
    if (inString) {
      if (char === "\\") index += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === "{") depth += 1;
    else if (char === "}" && --depth === 0) return index;
  }
  return -1;
}

function parsed(text: string): Record<string, unknown> | null {
  const value = parseJson(text);
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
