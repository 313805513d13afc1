import type { Statement } from "./role.ts";
import type { Stage } from "./stage.ts";

/** Facts and bytes: one table, one bucket. */
export type Storage = ReturnType<typeof createStorage>;

/** Keys of the single table. */
const tableSchema = {
  partitionKey: "pk",
  sortKey: "sk",
  indexes: { gsi1: { partitionKey: "gsi1pk", sortKey: "gsi1sk" } },
  ttl: "expiresAt",
} as const;

export function createStorage(stage: Stage) {
  const table = new sst.aws.Dynamo(
    "Facts",
    {
      fields: { pk: "string", sk: "string", gsi1pk: "string", gsi1sk: "string" },
      primaryIndex: { hashKey: tableSchema.partitionKey, rangeKey: tableSchema.sortKey },
      globalIndexes: Object.fromEntries(
        Object.entries(tableSchema.indexes).map(([name, { partitionKey, sortKey }]) => [
          name,
          { hashKey: partitionKey, rangeKey: sortKey },
        ]),
      ),
      ttl: tableSchema.ttl,
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

  /** What a step's store does to both. A transaction needs the rights of its parts, no right of its own. */
  const access: Statement[] = [
    {
      actions: [
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:ConditionCheckItem",
      ],
      resources: [
        table.arn,
        ...Object.keys(tableSchema.indexes).map((name) => $interpolate`${table.arn}/index/${name}`),
      ],
    },
    { actions: ["s3:GetObject", "s3:PutObject"], resources: [$interpolate`${bucket.arn}/runs/*`] },
    {
      actions: ["s3:ListBucket"],
      resources: [bucket.arn],
      conditions: [{ test: "StringLike", variable: "s3:prefix", values: ["runs/*"] }],
    },
  ];
  return { table, bucket, access };
}
