import { EndedExecution } from "@ksearch/workflow";
import { z } from "zod";

/** What EventBridge tells of an execution of our state machine that ended (source `aws.states`). */
const Ended = z.object({
  detail: z.object({ status: EndedExecution.shape.status, stopDate: z.int(), input: z.string() }),
});

export function endedOf(event: unknown): EndedExecution {
  const { status, stopDate, input } = Ended.parse(event).detail;
  const { runId } = z.object({ runId: z.string() }).parse(JSON.parse(input));
  return { runId, status, stoppedAtMs: stopDate };
}
