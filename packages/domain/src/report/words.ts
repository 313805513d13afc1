/** Figures as people read them, on screens and in reports. */

export const dollars = (microUsd: number): string =>
  `$${(microUsd / 1e6).toFixed(microUsd > 0 && microUsd < 10_000 ? 4 : 2)}`;

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const minutes = Math.floor(seconds / 60);
  const two = (number: number): string => String(number).padStart(2, "0");
  if (minutes === 0) return `${seconds} s`;
  return minutes < 60
    ? `${minutes} min ${two(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

export const micros = (ns: number | null): string => (ns === null ? "–" : `${(ns / 1_000).toFixed(1)} µs`);
export const times = (score: number | null): string => (score === null ? "–" : `${score.toFixed(2)}×`);

/** `1 lane`, `4 lanes`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** A text of at most `limit` characters; of a longer one the beginning, and how much is missing. */
export const cut = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit)} … (cut: ${text.length - limit} more characters)`;
