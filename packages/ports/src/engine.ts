/** What an execution of the state machine starts from. */
export type ExecutionInput = { readonly runId: string; readonly lanes: number };

export type ExecutionStatus =
  | { status: "running" }
  | { status: "succeeded" }
  | { status: "failed"; cause: string }
  | { status: "stopped" };

/** Runs the state machine: Step Functions, or the same document on one machine. */
export interface Engine {
  /** Starts an execution and returns its id. AppError `caller` `run.busy`: another execution of this run is at work. */
  start(input: ExecutionInput): Promise<string>;
  /** Stops it between steps; what is recorded stays. An unknown id is no error. */
  stop(executionId: string): Promise<void>;
  status(executionId: string): Promise<ExecutionStatus>;
}
