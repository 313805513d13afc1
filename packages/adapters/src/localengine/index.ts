import { randomUUID } from "node:crypto";
import { AppError, messageOf } from "@ksearch/domain";
import type { Engine, ExecutionStatus } from "@ksearch/ports";
import { StateMachine } from "aws-local-stepfunctions";

type Definition = ConstructorParameters<typeof StateMachine>[0];
type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

export type LocalEngineSettings = {
  /** The state machine document: the very one that the cloud deploys. */
  definition: object;
  /** What each Task state does, by state name. */
  tasks: Record<string, (input: unknown) => Promise<JsonValue>>;
  /** Wait states by name, in ms: what a poll costs on one machine. */
  waitsMs: Record<string, number>;
  /** Holds a run for this process, or null if another one has it. */
  hold: (runId: string) => { release: () => void } | null;
};

/** The state machine on one machine, in this process (aws-local-stepfunctions). */
export function localEngine({ definition, tasks, waitsMs, hold }: LocalEngineSettings): Engine {
  const machine = new StateMachine(definition as Definition, { validationOptions: { checkArn: false } });
  const executions = new Map<string, { state: ExecutionStatus; abort: () => void }>();
  return {
    async start(input) {
      const held = hold(input.runId);
      if (held === null)
        throw new AppError(
          "caller",
          "run.busy",
          `another process is at work on ${input.runId}: wait for it, or stop it first`,
        );
      const id = randomUUID();
      const { handlers, idle } = watched(tasks);
      const run = machine.run(
        { ...input },
        { noThrowOnAbort: true, overrides: { taskResourceLocalHandlers: handlers, waitTimeOverrides: waitsMs } },
      );
      const execution: { state: ExecutionStatus; abort: () => void } = {
        state: { status: "running" },
        abort: run.abort,
      };
      executions.set(id, execution);
      void drain(run.eventLogs);
      const finish = (state: ExecutionStatus) => {
        if (execution.state.status === "running") execution.state = state;
        // An abort or a failure leaves steps in hand behind: nobody may start beside them.
        void idle().then(held.release);
      };
      run.result.then(
        () => finish({ status: "succeeded" }),
        (error: unknown) => finish({ status: "failed", cause: messageOf(error) }),
      );
      return id;
    },
    async stop(executionId) {
      const execution = executions.get(executionId);
      if (execution?.state.status !== "running") return;
      execution.state = { status: "stopped" };
      execution.abort();
    },
    async status(executionId) {
      const execution = executions.get(executionId);
      if (!execution)
        throw new AppError("caller", "execution.unknown", `this process has no execution '${executionId}'`);
      return execution.state;
    },
  };
}

/** The same tasks, and when none of them is at work. */
function watched(tasks: LocalEngineSettings["tasks"]) {
  const atWork = new Set<Promise<unknown>>();
  const handlers = Object.entries(tasks).map(([name, task]) => [
    name,
    (input: unknown) => {
      const work = task(input);
      atWork.add(work);
      const done = () => atWork.delete(work);
      work.then(done, done);
      return work;
    },
  ]);
  return {
    handlers: Object.fromEntries(handlers) as LocalEngineSettings["tasks"],
    idle: () => Promise.allSettled(atWork),
  };
}

/** Reads the library's own event log away; unread, it would keep every state's input and output in memory. */
async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}
