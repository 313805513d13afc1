import { AppError, complaints } from "@ksearch/domain";
import { z } from "zod";

/**
 * A stage: one complete, separate copy of the service. Its name is the one given to `sst --stage`; its settings come from
 * variables, which SST also reads from `.env.<stage>` beside sst.config.ts. Everything is checked before anything is made.
 */

/** Where all that we use is on offer; a region is named here once it has been tried or asked for. */
const regions = [
  "us-east-1",
  "us-east-2",
  "us-west-1",
  "us-west-2",
  "ca-central-1",
  "sa-east-1",
  "eu-central-1",
  "eu-north-1",
  "eu-south-1",
  "eu-west-1",
  "eu-west-2",
  "eu-west-3",
  "ap-northeast-1",
  "ap-northeast-2",
  "ap-south-1",
  "ap-southeast-1",
  "ap-southeast-2",
] as const;

/**
 * The GPU classes that AWS Batch can offer: the smallest instance type that has one. A class with more than one GPU a host
 * still gets one job a GPU. A10 is missing: EC2 sells the A10G, another chip.
 */
export const batchInstances = {
  T4: { type: "g4dn.xlarge", vcpus: 4, gpus: 1 },
  L4: { type: "g6.xlarge", vcpus: 4, gpus: 1 },
  L40S: { type: "g6e.xlarge", vcpus: 4, gpus: 1 },
  "A100-80GB": { type: "p4de.24xlarge", vcpus: 96, gpus: 8 },
  H100: { type: "p5.4xlarge", vcpus: 16, gpus: 1 },
  H200: { type: "p5en.48xlarge", vcpus: 192, gpus: 8 },
  B200: { type: "p6-b200.48xlarge", vcpus: 192, gpus: 8 },
} as const;
export type BatchGpu = keyof typeof batchInstances;
const batchGpus = Object.keys(batchInstances) as [BatchGpu, ...BatchGpu[]];

/** Names that somebody who means `production` types. They would make a stage that neither retains nor protects. */
const nearlyProduction = ["prod", "prd", "live", "main", "master"];

const Name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,19}$/, "1 to 20 of a-z, 0-9 and -, a letter first")
  .refine((name) => !nearlyProduction.includes(name), "the stage that is retained and protected is called production");

const Settings = z.object({
  KSEARCH_REGION: z
    .enum(regions, { error: (issue) => `${JSON.stringify(issue.input)} is none of ${regions.join(" ")}` })
    .default("us-east-1"),
  KSEARCH_BATCH_GPUS: z
    .string()
    .default("")
    .transform((text) => [...new Set(text.split(/[\s,]+/).filter((word) => word !== ""))])
    .pipe(
      z.array(
        z.enum(batchGpus, { error: (issue) => `${JSON.stringify(issue.input)} is none of ${batchGpus.join(" ")}` }),
      ),
    ),
  KSEARCH_BATCH_IMAGE: z
    .string()
    .regex(
      /^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com\/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$/,
      "an image of ECR by digest: <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<digest>",
    )
    .optional(),
  KSEARCH_ALARM_EMAIL: z.email("an e-mail address").optional(),
});

export type Stage = {
  name: string;
  region: (typeof regions)[number];
  /** Production: nothing that holds data is ever deleted by a deployment. */
  keeps: boolean;
  /** Whom alarms are sent to; without, they only show in CloudWatch. */
  alarmEmail: string | undefined;
  /** AWS Batch, `null` where it is off. */
  batch: { gpus: readonly BatchGpu[]; image: string } | null;
};

/** @throws AppError `caller` with the mend, before anything is made. */
export function loadStage(name: string | undefined, env: Readonly<Record<string, string | undefined>>): Stage {
  const named = Name.safeParse(name);
  if (!named.success)
    throw new AppError("caller", "stage.name", `stage ${JSON.stringify(name)}: ${complaints(named.error)}`);
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = Settings.safeParse(given);
  if (!parsed.success)
    throw new AppError("caller", "stage.settings", `settings of stage ${name}: ${complaints(parsed.error)}`);
  const { KSEARCH_REGION: region, KSEARCH_BATCH_GPUS: gpus, KSEARCH_BATCH_IMAGE: image } = parsed.data;
  if (gpus.length > 0 && image === undefined)
    throw new AppError(
      "caller",
      "stage.image",
      "KSEARCH_BATCH_GPUS is set: name the referee's image in KSEARCH_BATCH_IMAGE (docs/operations.md, AWS Batch)",
    );
  if (image !== undefined && image.split(".")[3] !== region)
    throw new AppError("caller", "stage.image", `KSEARCH_BATCH_IMAGE lies in ${image.split(".")[3]}, not in ${region}`);
  return {
    name: named.data,
    region,
    keeps: named.data === "production",
    alarmEmail: parsed.data.KSEARCH_ALARM_EMAIL,
    batch: gpus.length > 0 && image !== undefined ? { gpus, image } : null,
  };
}
