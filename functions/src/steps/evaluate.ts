import { evaluate } from "@ksearch/workflow/steps";
import { refereeStep } from "../runtime.ts";

export const handler = refereeStep(evaluate);
