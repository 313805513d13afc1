import { distance } from "fastest-levenshtein";

/** The three names that come nearest to one that is none; a name that contains it is as near as can be. */
export const nearest = (name: string, names: readonly string[]): string[] =>
  [...new Set(names)]
    .map((candidate) => ({ candidate, cost: candidate.includes(name) ? 0 : distance(name, candidate) }))
    .sort((a, b) => a.cost - b.cost)
    .slice(0, 3)
    .map(({ candidate }) => candidate);

/** The same as a question, with a space before it; empty without names. */
export function didYouMean(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  return near.length > 0 ? ` Did you mean ${near.join(", ")}?` : "";
}
