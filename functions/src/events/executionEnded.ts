import { EndedExecution, settleExecution } from "@ksearch/workflow";
import type { Context } from "aws-lambda";
import { z } from "zod";
import { endingStep } from "../runtime.ts";

/** What EventBridge tells of an execution of our state machine that ended (source `aws.states`). */
const Ended = z.object({
  detail: z.object({ status: EndedExecution.shape.status, stopDate: z.int(), input: z.string() }),
});

const settle = endingStep((deps) => async (input) => ({
  settled: await settleExecution(deps, EndedExecution.parse(input)),
}));

export const handler = (event: unknown, context: Context) => {
  const { status, stopDate, input } = Ended.parse(event).detail;
  const { runId } = z.object({ runId: z.string() }).parse(JSON.parse(input));
  return settle({ runId, status, stoppedAtMs: stopDate }, context);
};
