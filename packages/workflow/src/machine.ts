/**
 * The state machine of design.md 4 as data: Amazon States Language, JSONPath. The cloud deploys this very document; one
 * machine runs it in `aws-local-stepfunctions`. Every Task is one step of `steps/`; a Collect state runs the same step
 * as the state that submitted, which then finds the ticket in the log.
 */
export type StepName =
  | "prepare"
  | "seed"
  | "init"
  | "openRound"
  | "closeRound"
  | "confirm"
  | "stopEvaluations"
  | "report"
  | "runFailed"
  | "claim"
  | "propose"
  | "draft"
  | "vet"
  | "evaluate"
  | "judge"
  | "refine"
  | "laneFailed";

/** The ports that a step asks, beside the stores: what its function has to be given, and nothing more. */
export const stepPorts: Readonly<Record<StepName, readonly ("llm" | "referee")[]>> = {
  prepare: [],
  seed: ["referee"],
  init: ["llm"],
  openRound: [],
  closeRound: [],
  confirm: ["referee"],
  stopEvaluations: ["referee"],
  report: ["llm"],
  runFailed: [],
  claim: [],
  propose: ["llm"],
  draft: ["llm"],
  vet: [],
  evaluate: ["referee"],
  judge: [],
  refine: ["llm"],
  laneFailed: [],
};

export type MachineSettings = {
  /** The resource of a step, e.g. the ARN of its Lambda function. */
  resource: (step: StepName) => string;
  /** Limit of one Task, seconds. */
  taskTimeoutSeconds: number;
  /** Limit of a whole execution, seconds. */
  machineTimeoutSeconds: number;
  /** Whether evaluations may be jobs that the machine itself starts and waits for (AWS Batch). */
  batch?: boolean;
};

/** The name under which a step throws what another try may mend: a store that is out of reach. */
export const retryError = "ksearch.Retry";

/**
 * Faults of the platform itself, and of a store. Other errors of ours are handled inside the steps. A step whose process died
 * or ran out of its time is run again: steps are idempotent by name.
 */
const retry = [
  {
    ErrorEquals: ["Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout", "States.Timeout"],
    IntervalSeconds: 2,
    MaxAttempts: 3,
    BackoffRate: 2,
    JitterStrategy: "FULL",
  },
  {
    ErrorEquals: [
      "Lambda.ServiceException",
      "Lambda.AWSLambdaException",
      "Lambda.SdkClientException",
      "Lambda.TooManyRequestsException",
      retryError,
    ],
    IntervalSeconds: 2,
    MaxAttempts: 6,
    BackoffRate: 2,
    JitterStrategy: "FULL",
  },
];

/** Which step each Task state runs, by state name; states of a lane and of the run alike. */
export const taskStates: Readonly<Record<string, StepName>> = {
  Prepare: "prepare",
  EvaluateSeed: "seed",
  CollectSeed: "seed",
  InitWorldModel: "init",
  CollectInit: "init",
  OpenRound: "openRound",
  CloseRound: "closeRound",
  Confirm: "confirm",
  CollectConfirm: "confirm",
  StopEvaluations: "stopEvaluations",
  Report: "report",
  RunFailed: "runFailed",
  Claim: "claim",
  Propose: "propose",
  CollectPropose: "propose",
  Draft: "draft",
  CollectDraft: "draft",
  Vet: "vet",
  Evaluate: "evaluate",
  CollectVerdict: "evaluate",
  Judge: "judge",
  Refine: "refine",
  CollectRefine: "refine",
  LaneFailed: "laneFailed",
};

export const waitStates = [
  "WaitWork",
  "WaitSeed",
  "WaitInit",
  "WaitPropose",
  "WaitDraft",
  "WaitVerdict",
  "WaitRefine",
  "WaitConfirm",
] as const;

type State = Record<string, unknown>;

export function stateMachine({ resource, taskTimeoutSeconds, machineTimeoutSeconds, batch = false }: MachineSettings) {
  const task = (name: string, next: string, onError: string): State => ({
    Type: "Task",
    Resource: resource(taskStates[name] as StepName),
    TimeoutSeconds: taskTimeoutSeconds,
    Retry: retry,
    Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.error", Next: onError }],
    Next: next,
  });
  const last = (name: string, next: string | null): State => ({
    Type: "Task",
    Resource: resource(taskStates[name] as StepName),
    TimeoutSeconds: taskTimeoutSeconds,
    Retry: retry,
    ...(next === null ? { End: true } : { Next: next }),
  });
  const choice = (targets: Record<string, string>, otherwise: string): State => ({
    Type: "Choice",
    Choices: Object.entries(targets).map(([value, Next]) => ({ Variable: "$.next", StringEquals: value, Next })),
    Default: otherwise,
  });
  /**
   * Runs the job that `$.job` names, and goes on whatever becomes of it: what it left is what counts. Step Functions stops it
   * with the execution.
   */
  const job = (next: string): State => ({
    Type: "Task",
    Resource: "arn:aws:states:::batch:submitJob.sync",
    Parameters: {
      "JobName.$": "$.job.name",
      "JobQueue.$": "$.job.queue",
      "JobDefinition.$": "$.job.definition",
      Timeout: { "AttemptDurationSeconds.$": "$.job.timeoutSeconds" },
      ContainerOverrides: {
        Environment: [
          { Name: "KSEARCH_REQUEST_URL", "Value.$": "$.job.requestUrl" },
          { Name: "KSEARCH_ANSWER_URL", "Value.$": "$.job.answerUrl" },
        ],
      },
    },
    ResultPath: null,
    Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: null, Next: next }],
    Next: next,
  });
  /** Submit, then poll until there is an answer: the one pattern for slow work. */
  const slow = (
    submit: string,
    collect: string,
    suffix: string,
    targets: Record<string, string>,
    onError: string,
    isJob = false,
  ): Record<string, State> => ({
    [submit]: task(submit, `${suffix}Ready`, onError),
    [`${suffix}Ready`]: choice(
      { wait: `Wait${suffix}`, ...(isJob ? { job: `${suffix}Job` } : {}), ...targets },
      onError,
    ),
    ...(isJob ? { [`${suffix}Job`]: job(collect) } : {}),
    [`Wait${suffix}`]: { Type: "Wait", SecondsPath: "$.waitSeconds", Next: collect },
    [collect]: task(collect, `${suffix}Ready`, onError),
  });

  const lane: Record<string, State> = {
    Claim: task("Claim", "Claimed", "LaneFailed"),
    Claimed: choice(
      { wait: "WaitWork", draft: "Draft", judge: "Judge", refine: "Refine", propose: "Propose", end: "LaneEnd" },
      "LaneFailed",
    ),
    WaitWork: { Type: "Wait", SecondsPath: "$.waitSeconds", Next: "Claim" },
    ...slow("Propose", "CollectPropose", "Propose", { claim: "Claim", end: "LaneEnd" }, "LaneFailed"),
    ...slow("Draft", "CollectDraft", "Draft", { vet: "Vet", claim: "Claim", end: "LaneEnd" }, "LaneFailed"),
    Vet: task("Vet", "Vetted", "LaneFailed"),
    Vetted: choice({ evaluate: "Evaluate", judge: "Judge", end: "LaneEnd" }, "LaneFailed"),
    ...slow(
      "Evaluate",
      "CollectVerdict",
      "Verdict",
      { judge: "Judge", claim: "Claim", end: "LaneEnd" },
      "LaneFailed",
      batch,
    ),
    Judge: task("Judge", "Judged", "LaneFailed"),
    Judged: choice({ draft: "Draft", refine: "Refine", claim: "Claim", end: "LaneEnd" }, "LaneFailed"),
    ...slow("Refine", "CollectRefine", "Refine", { claim: "Claim", end: "LaneEnd" }, "LaneFailed"),
    LaneFailed: last("LaneFailed", "LaneEnd"),
    LaneEnd: { Type: "Succeed" },
  };

  return {
    Comment: "ksearch: one search for a fast kernel",
    StartAt: "Prepare",
    TimeoutSeconds: machineTimeoutSeconds,
    States: {
      Prepare: task("Prepare", "Prepared", "RunFailed"),
      Prepared: choice(
        { seed: "EvaluateSeed", init: "InitWorldModel", round: "OpenRound", report: "StopEvaluations" },
        "RunFailed",
      ),
      ...slow(
        "EvaluateSeed",
        "CollectSeed",
        "Seed",
        { init: "InitWorldModel", round: "OpenRound", report: "StopEvaluations" },
        "RunFailed",
        batch,
      ),
      ...slow(
        "InitWorldModel",
        "CollectInit",
        "Init",
        { init: "InitWorldModel", round: "OpenRound", report: "StopEvaluations" },
        "RunFailed",
      ),
      OpenRound: task("OpenRound", "RoundOpened", "RunFailed"),
      RoundOpened: choice({ lanes: "Lanes", report: "StopEvaluations" }, "RunFailed"),
      Lanes: {
        Type: "Map",
        ItemsPath: "$.items",
        ItemProcessor: {
          ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
          StartAt: "Claim",
          States: lane,
        },
        MaxConcurrency: 64,
        ToleratedFailurePercentage: 100,
        ResultPath: null,
        Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.error", Next: "RunFailed" }],
        Next: "CloseRound",
      },
      CloseRound: task("CloseRound", "RunAgain", "RunFailed"),
      RunAgain: choice({ again: "OpenRound", confirm: "Confirm", report: "StopEvaluations" }, "RunFailed"),
      ...slow(
        "Confirm",
        "CollectConfirm",
        "Confirm",
        { confirm: "Confirm", report: "StopEvaluations" },
        "RunFailed",
        batch,
      ),
      StopEvaluations: task("StopEvaluations", "Report", "RunFailed"),
      Report: task("Report", "Done", "RunFailed"),
      RunFailed: last("RunFailed", "Stopped"),
      Stopped: { Type: "Fail", Error: "ksearch.RunFailed", Cause: "The run's log tells the cause and who must act." },
      Done: { Type: "Succeed" },
    },
  };
}
