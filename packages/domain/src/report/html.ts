import { visible } from "./visible.ts";

/** HTML that may stand in a page as it is. Only {@link html} makes it, out of literal markup and escaped values. */
export type Html = { readonly markup: string };

type Value = string | number | Html | readonly Html[] | null;

/** A template whose literal parts are markup and whose values are text, escaped, or HTML. Null is nothing. */
export const html = (markup: TemplateStringsArray, ...values: Value[]): Html => ({
  markup: markup.map((part, index) => part + written(values[index] ?? null)).join(""),
});

function written(value: Value): string {
  if (value === null) return "";
  if (typeof value === "string" || typeof value === "number") return escaped(String(value));
  return "markup" in value ? value.markup : value.map(({ markup }) => markup).join("");
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text of a model, a kernel or a log as HTML: it shows as it is and does nothing. */
export const escaped = (text: string): string => visible(text).replace(/[&<>"']/g, (found) => entities[found] ?? "");
