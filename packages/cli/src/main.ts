#!/usr/bin/env -S node --disable-warning=ExperimentalWarning --max-semi-space-size=8
import { asAppError } from "@ksearch/domain";
import { note, paint, printJson } from "./output.ts";
import { program } from "./program.ts";

const wantsJson = process.argv.includes("--json");
const mend = {
  caller: "",
  retry: "Trying again may help.",
  operator: "Whoever runs this machine, the model account or the referee must act.",
};

try {
  await program().parseAsync(process.argv);
} catch (error) {
  const { who, code, message, cause } = asAppError(error);
  if (wantsJson) printJson({ error: { who, code, message } });
  else note([paint.bad(`ksearch: ${message}`), mend[who]].filter((line) => line !== "").join("\n"));
  if (code === "internal" && cause instanceof Error && process.env.KSEARCH_DEBUG) note(cause.stack ?? "");
  process.exitCode = who === "caller" ? 2 : 3;
}
