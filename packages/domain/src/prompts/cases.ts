import type { WorkloadFacts } from "../problem.ts";

/** Microseconds with as many digits as anybody can use. */
export function micros(nanoseconds: number): string {
  const us = nanoseconds / 1_000;
  return us >= 100 ? us.toFixed(0) : us.toPrecision(3);
}

type Column = { title: string; cell: (one: WorkloadFacts) => string };

/**
 * Cases as a table: what all have in common once, then a line a case. The id stands only where the sizes do not tell a
 * case from all others; the referee names cases by their sizes too. `baselineNs`: target times by case id, ns.
 */
export function caseTable(cases: readonly WorkloadFacts[], baselineNs: Record<string, number> | null): string[] {
  const sizes = [...new Set(cases.flatMap(({ axes }) => Object.keys(axes)))].map(sizeColumn);
  const common = sizes.filter(({ cell }) => cases.length > 1 && new Set(cases.map(cell)).size === 1);
  const varying = sizes.filter((column) => !common.includes(column));
  const distinct = new Set(cases.map((one) => varying.map(({ cell }) => cell(one)).join("|"))).size;
  const columns = [
    ...(distinct < cases.length ? [{ title: "case", cell: ({ id }: WorkloadFacts) => id }] : []),
    ...varying,
    ...(baselineNs === null ? [] : [targetColumn(baselineNs)]),
  ];
  if (columns.length === 0) return [];
  return [
    ...(common.length > 0
      ? [`All: ${common.map(({ title, cell }) => `${title}=${cases.map(cell)[0]}`).join(", ")}`]
      : []),
    columns.map(({ title }) => title).join(" | "),
    ...cases.map((one) => columns.map(({ cell }) => cell(one)).join(" | ")),
  ];
}

const sizeColumn = (title: string): Column => ({
  title,
  cell: ({ axes }) => (Object.hasOwn(axes, title) ? String(axes[title]) : "-"),
});

const targetColumn = (baselineNs: Record<string, number>): Column => ({
  title: "target µs (lower is better)",
  cell: ({ id }) => (Object.hasOwn(baselineNs, id) ? micros(baselineNs[id] ?? 0) : "none"),
});
