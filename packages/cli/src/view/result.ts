import { join, relative } from "node:path";
import { type RunState, standing } from "@ksearch/domain";
import { resultFolder } from "@ksearch/workflow";
import { self } from "../local.ts";
import { count, dollars, duration, paint, times } from "../output.ts";

/** What a run came to, in a few lines: figures, where the kernel lies, what to type next. */
export function resultLines(state: RunState, root: string): string[] {
  const best = standing(state);
  const folder = relative(process.cwd(), join(root, resultFolder(state))) || ".";
  const lines = [
    "",
    state.options.recordedReplies
      ? paint.alert(`recorded replies (${state.options.modelLabel}); compiler, referee and times are real`)
      : `model: ${state.options.modelLabel}`,
    best === null
      ? paint.bad(
          `no kernel ${state.best === null ? "passed" : "held on fresh seeds"} in ${count(state.judged, "attempt")}`,
        )
      : `${paint.strong(`${times(best.score)} the reference's speed`)}  ${best.kernelId}, ${best.confirmed ? paint.good("confirmed on fresh seeds") : paint.bad("not confirmed")}`,
    `${count(state.judged, "attempt")} on ${count(state.lanes, "lane")}, ${count(state.callsMade.llm, "model call")}, ${count(state.callsMade.referee, "evaluation")}, ${duration((state.endedAtMs ?? state.updatedAtMs) - state.startedAtMs)}, ${dollars(state.spentMicroUsd)}`,
    ...(state.status === "running"
      ? []
      : [
          `${folder}/  ${paint.quiet(best === null ? "report.html, report.md, world_model.json" : "report.html, report.md, solution.json, kernel/, world_model.json")}`,
        ]),
    paint.quiet(["tree", "kernel", "show"].map((command) => `${self} ${command} ${state.runId}`).join("   ")),
  ];
  return lines;
}
