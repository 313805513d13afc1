import { prepare } from "@ksearch/workflow/steps";
import { step } from "../runtime.ts";

export const handler = step(prepare);
