import { tableSchema } from "@ksearch/adapters/dynamodb";
import type { Statement } from "./role.ts";
import type { Stage } from "./stage.ts";

/** Facts and bytes: one table, one bucket. */
export type Storage = ReturnType<typeof createStorage>;

export function createStorage(stage: Stage) {
  const table = new sst.aws.Dynamo(
    "Facts",
    {
      ...tableSchema,
      deletionProtection: stage.keeps,
      // Point-in-time recovery and payment by request are the component's own.
      transform: { table: { serverSideEncryption: { enabled: true } } },
    },
    { protect: stage.keeps },
  );

  const bucket = new sst.aws.Bucket(
    "Bytes",
    {
      versioning: true,
      cors: false,
      transform: { bucket: { forceDestroy: !stage.keeps } },
    },
    { protect: stage.keeps },
  );
  new aws.s3.BucketServerSideEncryptionConfiguration("BytesEncryption", {
    bucket: bucket.name,
    rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" }, bucketKeyEnabled: true }],
  });
  new aws.s3.BucketOwnershipControls("BytesOwnership", {
    bucket: bucket.name,
    rule: { objectOwnership: "BucketOwnerEnforced" },
  });
  new aws.s3.BucketLifecycleConfiguration("BytesLifecycle", {
    bucket: bucket.name,
    rules: [
      {
        id: "old-versions",
        status: "Enabled",
        filter: { prefix: "" },
        noncurrentVersionExpiration: { noncurrentDays: stage.keeps ? 90 : 7 },
        expiration: { expiredObjectDeleteMarker: true },
      },
      {
        id: "incomplete-uploads",
        status: "Enabled",
        filter: { prefix: "" },
        abortIncompleteMultipartUpload: { daysAfterInitiation: 2 },
      },
    ],
  });

  /** What a step's store does to both: facts and bytes are written once, nothing of either can be deleted. */
  const access: Statement[] = [
    {
      // A transaction needs the rights of its parts, no right of its own.
      actions: ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"],
      resources: [table.arn],
    },
    // A tenant's name comes first.
    { actions: ["s3:GetObject", "s3:PutObject"], resources: [$interpolate`${bucket.arn}/*/runs/*`] },
    {
      // With it S3 says of a missing object that it is missing, and not that it is forbidden; such a request has no prefix.
      actions: ["s3:ListBucket"],
      resources: [bucket.arn],
      conditions: [{ test: "StringLikeIfExists", variable: "s3:prefix", values: ["*/runs/*"] }],
    },
  ];
  return { table, bucket, access };
}
