import pc from "picocolors";

export { count, dollars, duration, micros, times } from "@ksearch/domain";

/**
 * Text without control characters but line ends, tabs and our own colour codes: models, compilers and kernels must not
 * write to the clipboard or the title of whoever reads.
 */
export const safe = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
  text.replace(/\u001b\[[0-9;]*m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (found) =>
    found.endsWith("m") ? found : "",
  );

/** A colour code of a terminal, as a group. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins it
export const colourCode = /(\u001b\[[0-9;]*m)/g;

/** The two streams of a command: facts on stdout, everything for people about them on stderr or stdout as fits. */
export const print = (text: string): void => {
  process.stdout.write(safe(text.endsWith("\n") ? text : `${text}\n`));
};
export const printJson = (value: unknown): void => print(JSON.stringify(value));
export const note = (text: string): void => {
  process.stderr.write(safe(`${text}\n`));
};

/** Colours that differ in lightness and hue for colour-blind eyes, each with a mark beside it so that none is needed. */
export const paint = {
  good: pc.cyan,
  bad: pc.yellow,
  quiet: pc.dim,
  strong: pc.bold,
  alert: (text: string) => pc.bold(pc.yellow(text)),
};

/** Rows as columns padded to the widest cell; the first row is the head. Colour codes do not count as width. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => visible(row[column] ?? ""))));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - visible(cell))))
        .join("  ")
        .trimEnd(),
    )
    .map((line, index) => (index === 0 ? paint.quiet(line) : line))
    .join("\n");
}

const visible = (text: string): number => text.replace(colourCode, "").length;
