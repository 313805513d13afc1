import { AppError, type EvaluationRequest, type Verdict } from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";

/** Between two looks at a ticket. */
const pauseMs = 500;

/**
 * Asks a referee and waits for its verdict, outside of any run. AppError: it gives none. Ctrl-C meanwhile cancels what is on
 * its way, and ends the command.
 */
export async function verdictOf(referee: Referee, request: EvaluationRequest): Promise<Verdict> {
  const submitted = await referee.submit(request);
  if ("verdict" in submitted) return submitted.verdict;
  const { ticket } = submitted;
  const stop = () => {
    referee.cancel(ticket).finally(() => process.exit(130));
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    for (;;) {
      const collected = await referee.collect(ticket).catch(runningIfPassing);
      if (collected === "running") await new Promise((resolve) => setTimeout(resolve, pauseMs));
      else if ("ended" in collected) throw collected.ended;
      else return collected.verdict;
    }
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}

/** Who cannot be reached now may be later: the ticket stands, until its own deadline ends it. */
function runningIfPassing(error: unknown): "running" {
  if (error instanceof AppError && error.who === "retry") return "running";
  throw error;
}
