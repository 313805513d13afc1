import { AppError, type Format } from "@ksearch/domain";

/** A problem that a dataset holds, as a list shows it. A broken one has its reason, and hides no other. */
export type Listed = { format: Format; name: string /** Where its reader finds it. */; path: string } & (
  | ({ broken: null } & Facts)
  | { broken: string }
);
export type Facts = {
  /** FlashInfer-Bench's; null: the format has none. */
  opType: string | null;
  /** What a kernel is timed on, in number. */
  workloads: number;
  madeFor: "cpu" | "gpu" | null;
  description: string;
  tags: string[];
};

/** A list's entry from what its problem says of itself, its name too if it has one; what cannot be read is broken. */
export function listed(
  entry: { format: Format; name: string; path: string },
  facts: () => Facts & { name?: string },
): Listed {
  try {
    return { ...entry, broken: null, ...facts() };
  } catch (error) {
    if (error instanceof AppError && error.who === "caller") return { ...entry, broken: error.message };
    throw error;
  }
}

/** Two problems of one name can neither be told apart nor run: both are broken. */
export const withoutTwins = (known: readonly Listed[]): Listed[] =>
  known.map((each): Listed => {
    const twin = known.find((other) => other !== each && other.name === each.name);
    if (!twin) return each;
    const { format, name, path } = each;
    return { format, name, path, broken: `two problems are called '${name}': ${path} and ${twin.path}; remove one` };
  });

export const byName = (a: Listed, b: Listed): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
