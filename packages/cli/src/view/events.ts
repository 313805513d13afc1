import { duelLine, type LoggedEvent, type RunState } from "@ksearch/domain";
import { agentLabel } from "@ksearch/workflow";
import { self } from "../local.ts";
import { count, paint, times } from "../output.ts";

/** One event as one line for a person; null for events that say nothing new to them. `state` is the state after it. */
export function eventLine({ event }: LoggedEvent, state: RunState): string | null {
  switch (event.type) {
    case "execution.started":
      return `execution ${event.epoch} begins with ${count(event.lanes, "lane")}`;
    case "models.changed":
      return `other models from here on: ${event.models.join(", ")}${event.treeModel === null ? "" : `, world model by ${event.treeModel}`}`;
    case "tree.initialised":
      return `world model: ${count(event.nodes.length, "node")}${event.repairs.length > 0 ? `, ${count(event.repairs.length, "repair")}` : ""}`;
    case "init.refused":
      return paint.bad(`✗ the first world model was refused: ${event.reason}`);
    case "tree.edited": {
      const about = event.nodeId === null ? "new ideas" : `after ${event.nodeId}`;
      const inserted = event.edits.filter((edit) => edit.edit === "insert").length;
      return `world model, ${about}: ${count(event.edits.length, "edit")}, ${count(inserted, "new node")}${event.refused.length > 0 ? `, ${event.refused.length} refused` : ""}`;
    }
    case "tree.imported":
      return `world model imported from ${event.from}: ${count(event.nodes.length, "node")}, ${event.solutions.length} solved`;
    case "tree.extended":
      return `a stock action below ${event.node.parentId}: ${event.node.nodeId}`;
    case "attempt.started":
      return paint.quiet(
        `lane ${laneOf(state, event.cycle)}  attempt ${event.attempt}  ${event.nodeId}: ${event.kind.replace("_", " ")}${event.model === null ? "" : `  by ${event.model}`}`,
      );
    case "attempt.judged": {
      const best = state.best?.attempt === event.attempt ? paint.good("  ★ new best") : "";
      return event.score === null
        ? paint.bad(
            `✗ attempt ${event.attempt}: ${event.status}${event.message === "" ? "" : `: ${oneLine(event.message)}`}`,
          )
        : `${paint.good("✓")} attempt ${event.attempt}: ${times(event.score.value)} (${times(event.score.low)} to ${times(event.score.high)})${best}`;
    }
    case "seed.judged":
      return `the kernel to start from: ${event.status} ${times(event.score?.value ?? null)}`;
    case "call.failed":
      return paint.bad(`✗ ${event.call}: ${event.code}: ${oneLine(event.message)}`);
    case "call.ticketed":
      return state.calls.get(event.call)?.model === agentLabel
        ? `waiting for an answer to ${event.call}: ${self} prompts ${state.runId} --call ${event.call}`
        : null;
    case "call.lost":
      return paint.bad(`✗ ${event.call}: a process died before its answer was recorded; it is asked again`);
    case "cycle.takenOver":
      return `lane ${event.lane} takes over ${event.cycle} of a dead execution`;
    case "lane.stopped":
      return event.error === null
        ? null
        : paint.alert(`lane ${event.lane} stopped (${whoActs[event.error.who]}): ${oneLine(event.message)}`);
    case "duel.judged":
      return `confirmation: ${duelLine(event)}`;
    case "run.paused":
      if (event.code === "run.interrupted") return paint.alert(event.message);
      return paint.alert(`paused, ${whoActs[event.who]}: ${event.message}`);
    case "run.finished":
      return paint.strong(`${event.status}: ${event.reason}`);
    case "cancel.requested":
      return "canceling";
    case "run.created":
    case "call.submitted":
    case "call.answered":
    case "attempt.drafted":
    case "proposal.opened":
    case "round.opened":
    case "cycle.opened":
    case "cycle.closed":
    case "cycle.ended":
    case "best.confirmed":
      return null;
  }
}

/** A line of the tree in the colour of its mark. */
export const paintNode = (line: string): string =>
  line.includes("★") ? paint.good(line) : line.includes("✗") ? paint.bad(line) : line;

const whoActs = { caller: "you must act", retry: "trying again may help", operator: "an operator must act" };

const laneOf = (state: RunState, cycle: string): number | string => state.cycles.get(cycle)?.lane ?? "?";

export const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim().slice(0, 160);
