/** A reply longer than this is no world model and no edit. Characters. */
const longestJson = 1_000_000;

/**
 * The first JSON object in a reply (spec/ksearch.md 3.1): the first brace-balanced part of it that parses. Prose, fences
 * and braces of other kinds around it are tolerated. Nothing is mended: of an object that is cut off no inner one is
 * taken for the whole, so the answer is null. Every character is looked at once.
 */
export function extractObject(reply: string): Record<string, unknown> | null {
  if (reply.length > longestJson) return null;
  const opening = /\{(?=\s*["}])/g;
  for (let found = opening.exec(reply); found; found = opening.exec(reply)) {
    const end = closingBrace(reply, found.index);
    if (end === -1) return null;
    const value = parsed(reply.slice(found.index, end + 1));
    if (value !== null) return value;
    opening.lastIndex = end + 1;
  }
  return null;
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
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
