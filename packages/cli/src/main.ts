#!/usr/bin/env -S node --disable-warning=ExperimentalWarning --max-semi-space-size=8
import { AppError, asAppError } from "@ksearch/domain";
import { CommanderError } from "commander";
import { note, paint, printJson } from "./output.ts";
import { program } from "./program.ts";

const wantsJson = process.argv.includes("--json");
const mend = {
  caller: "",
  retry: "Trying again may help.",
  operator: "Whoever runs this machine, the model account or the referee must act.",
};

// Whoever reads our output may stop reading (`ksearch show | head`).
// A running search pauses then, as on Ctrl-C; a command that only reads ends.
process.stdout.once("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.stdout.on("error", () => undefined);
  if (process.listenerCount("SIGTERM") === 0) process.exit();
  process.kill(process.pid, "SIGTERM");
});

/** Commander ends by throwing: after `--help` and `--version` as well as for what it cannot parse. Null: nothing is wrong. */
function toAppError(error: unknown): AppError | null {
  if (!(error instanceof CommanderError)) return asAppError(error);
  if (error.exitCode === 0) return null;
  const said = error.code === "commander.help" ? "no command is given" : error.message.replace(/^error: /, "");
  return new AppError("caller", "usage", `${said.replace(/\.?\s*$/, "").replace(/\s+/g, " ")} (--help shows all)`);
}

function tell({ who, code, message, cause }: AppError): void {
  if (wantsJson) printJson({ error: { who, code, message } });
  else note([paint.bad(`ksearch: ${message}`), mend[who]].filter((line) => line !== "").join("\n"));
  if (code === "internal" && cause instanceof Error && process.env.KSEARCH_DEBUG) note(cause.stack ?? "");
  process.exitCode = who === "caller" ? 2 : 3;
}

try {
  await program().parseAsync(process.argv);
} catch (error) {
  const wrong = toAppError(error);
  if (wrong) tell(wrong);
}
