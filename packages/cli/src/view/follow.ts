import { apply, type RunState } from "@ksearch/domain";
import type { ExecutionStatus } from "@ksearch/ports";
import { createLogUpdate } from "log-update";
import type { Stores } from "../local.ts";
import { colourCode, note, print, printJson, safe } from "../output.ts";
import { eventLine } from "./events.ts";
import { screen } from "./screen.ts";

export type Manner = "screen" | "lines" | "json";

export type Following = {
  manner: Manner;
  /** The state up to which everything was shown before; null: from the beginning. */
  from: RunState | null;
  status: () => Promise<ExecutionStatus>;
  /** What this process has to say meanwhile; anything written beside the live screen would tear it. */
  notices: readonly string[];
  /** Between two looks, ms; default: {@link besideMs}. */
  refreshMs?: number;
};

/** Between two looks at a log on this machine, ms. */
const besideMs = 120;

/**
 * Shows a run until `status` says that its execution has ended: a live screen on a terminal, a line an event on a pipe,
 * a JSON object an event with `--json`. Returns how the execution ended.
 */
export async function follow(
  stores: Stores,
  runId: string,
  { manner, from, status, notices, refreshMs = besideMs }: Following,
): Promise<ExecutionStatus> {
  let state = from;
  const recent: string[] = [];
  if (manner === "screen") assumeSize(process.stdout);
  const live = manner === "screen" ? createLogUpdate(process.stdout, { showCursor: true }) : null;
  for (;;) {
    const ended = await status();
    for (const logged of await stores.events.read(runId, state?.seq ?? 0)) {
      state = apply(state, logged);
      if (manner === "json") printJson({ seq: logged.seq, at: stores.iso(logged.atMs), ...logged.event });
      const line = eventLine(logged, state);
      if (line === null) continue;
      if (manner === "lines") print(line);
      recent.push(line);
    }
    if (state && live)
      live(
        screen(state, stores.now(), process.stdout.columns, [...recent.slice(-6), ...notices])
          .map((line) => cut(safe(line)))
          .join("\n"),
      );
    if (ended.status !== "running") {
      live?.done();
      if (ended.status === "failed") note(ended.cause);
      return ended;
    }
    await new Promise((resolve) => setTimeout(resolve, refreshMs));
  }
}

/** Gives a terminal that does not know its size (0 columns, as some in CI) the usual one, or nothing would be drawn on it. */
function assumeSize(terminal: { columns: number; rows: number }): void {
  terminal.columns ||= 80;
  terminal.rows ||= 24;
}

/** A line cut to the terminal's width, colour codes not counted, so that the screen never wraps. */
function cut(line: string): string {
  const width = process.stdout.columns - 1;
  let seen = 0;
  let out = "";
  for (const part of line.split(colourCode)) {
    if (part.startsWith("\u001b[")) out += part;
    else {
      out += part.slice(0, Math.max(0, width - seen));
      seen += part.length;
    }
  }
  return out;
}
