import { z } from "zod";

const word = z.string().nullish().catch(null);
const Detail = z.object({ message: z.string(), code: word, type: word, param: word });
const Plain = z.string().transform((message) => ({ message, code: null, type: null, param: null }));

/** What an endpoint says beside an error status, in the shapes met: OpenAI's, Gemini's list, Ollama's and FastAPI's strings. */
const Body = z.union([
  z.object({ error: z.union([Detail, Plain]) }).transform(({ error }) => error),
  z.tuple([z.object({ error: Detail })], z.unknown()).transform(([{ error }]) => error),
  z.object({ detail: Plain }).transform(({ detail }) => detail),
  Detail,
]);

export type Refusal = z.output<typeof Detail>;

/** Of a body in none of the known shapes, an HTML page say, nothing is kept. */
const silent: Refusal = { message: "", code: null, type: null, param: null };

export function readRefusal(text: string): Refusal {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return silent;
  }
  return refusalIn(json);
}

export const refusalIn = (json: unknown): Refusal => Body.safeParse(json).data ?? silent;

const spent = new Set(["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"]);

/** Whether the account is out of credit, which no waiting mends, though it may come as a 429. */
export const isOutOfCredit = ({ code, type }: Refusal): boolean => [code, type].some((word) => spent.has(word ?? ""));

const longestQuote = 300;
/** So many characters in common with the prompt are a quotation. */
const overlap = 24;
/** Shorter keys are words like `none`, given to local endpoints, and no secret. */
const shortestSecret = 8;

/** A provider's message as one short line, without the key, and not at all where it repeats the prompt. */
export function quoted(message: string, apiKey: string, promptText: string): string {
  const shown = apiKey.length < shortestSecret ? message : message.replaceAll(apiKey, "***");
  const line = oneLine(shown).slice(0, longestQuote);
  if (line === "") return "no reason given";
  const prompt = oneLine(promptText);
  for (let start = 0; start + overlap <= line.length; start += 1)
    if (prompt.includes(line.slice(start, start + overlap))) return "its reason repeats the prompt and is left out";
  return line;
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
