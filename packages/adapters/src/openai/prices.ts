import { AppError, type ModelPrice } from "@ksearch/domain";

/** When the table was written down. Second-hand figures: a price that the user gives wins. */
const pricesDate = "2026-11";

/** Dollars per million tokens: input, cached input (null: as input), output. */
const table: Readonly<Record<string, readonly [input: number, cached: number | null, output: number]>> = {
  "gpt-5.2": [1.75, 0.175, 14],
  "gpt-5-mini": [0.25, 0.025, 2],
  "gpt-5.4": [2.5, 0.25, 15],
  o3: [2, null, 8],
  // Prompts of up to 200,000 tokens.
  "gemini-3-pro-preview": [2, 0.2, 12],
  "gemini-3-flash-preview": [0.5, 0.05, 3],
  "gemini-2.5-pro": [1.25, 0.125, 10],
  "gemini-2.5-flash": [0.3, 0.03, 2.5],
};

/**
 * The price of a model by name, with or without a vendor (`openai/…`). Of the names that it begins with the longest holds,
 * if nothing but a snapshot (`-2025-12-11`, `-latest`) follows: `gpt-5.2-pro` costs a multiple of `gpt-5.2`. An unknown
 * model is an error, never free.
 */
export function priceOf(modelName: string): ModelPrice {
  const name = modelName.slice(modelName.lastIndexOf("/") + 1);
  const known = Object.keys(table)
    .filter((prefix) => name.startsWith(prefix))
    .sort((a, b) => b.length - a.length)[0];
  const row =
    known !== undefined && /^(-\d{4}-\d{2}-\d{2}|-latest)?$/.test(name.slice(known.length)) ? table[known] : undefined;
  if (row === undefined)
    throw new AppError(
      "caller",
      "llm.price",
      `no price is known for the model '${modelName}' (table of ${pricesDate}): give --model-price <in>/<out> in $ per million tokens; 0/0 for a local model`,
    );
  const [input, cached, output] = row;
  return { inputMicroUsd: micro(input), cachedInputMicroUsd: micro(cached ?? input), outputMicroUsd: micro(output) };
}

/** The flag `--model-price`: `1.25/10` (input/output) or `1.25/0.125/10` (input/cached input/output), $ per million tokens. */
export function parsePrice(text: string): ModelPrice {
  const numbers = text.split("/").map((part) => part.trim());
  const [input, second, third] = numbers.map(Number);
  if (
    input === undefined ||
    second === undefined ||
    numbers.length > 3 ||
    !numbers.every((number) => /^\d{1,6}(\.\d{1,6})?$/.test(number))
  )
    throw new AppError(
      "caller",
      "llm.price",
      `'${text}' is no model price: write <in>/<out> or <in>/<cached>/<out> in $ per million tokens, e.g. 1.25/10 or 1.25/0.125/10`,
    );
  return {
    inputMicroUsd: micro(input),
    cachedInputMicroUsd: micro(third === undefined ? input : second),
    outputMicroUsd: micro(third ?? second),
  };
}

const micro = (dollars: number): number => Math.round(dollars * 1_000_000);
