import { EndedExecution, stopEvaluationsOf } from "@ksearch/workflow";
import type { Context } from "aws-lambda";
import { endedOf } from "../ended.ts";
import { refereeStep } from "../runtime.ts";

const stop = refereeStep((deps) => async (input) => ({
  stopped: await stopEvaluationsOf(deps, EndedExecution.parse(input)),
}));

/** EventBridge: an execution ended without its last step; what it had on GPUs is stopped. */
export const handler = (event: unknown, context: Context) => stop(endedOf(event), context);
