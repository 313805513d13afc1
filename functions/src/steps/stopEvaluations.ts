import { stopEvaluations } from "@ksearch/workflow/steps";
import { refereeStep } from "../runtime.ts";

export const handler = refereeStep(stopEvaluations);
