/**
 * List prices in US dollars, us-east-1, without free tiers and discounts. AWS shows most of its figures by script only, so few could
 * be read on its own pages on the day named. `read`: there; `quoted`: on others' pages that quote it; `recalled`: on none.
 */
export const asOf = "2026-11-23";

export type Price = {
  what: string;
  usd: number;
  per: number;
  unit: string;
  source: string;
  known: "read" | "quoted" | "recalled";
};

export const prices = {
  transition: {
    what: "Step Functions Standard, state transition",
    usd: 25,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/step-functions/pricing/",
    known: "read",
  },
  invocation: {
    what: "Lambda, request",
    usd: 0.2,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/lambda/pricing/",
    known: "quoted",
  },
  gbSecond: {
    what: "Lambda arm64, duration",
    usd: 0.0000133334,
    per: 1,
    unit: "GB-second",
    source: "https://aws.amazon.com/lambda/pricing/",
    known: "quoted",
  },
  writeUnit: {
    what: "DynamoDB on demand, write request unit",
    usd: 0.625,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    known: "quoted",
  },
  readUnit: {
    what: "DynamoDB on demand, read request unit",
    usd: 0.125,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    known: "quoted",
  },
  tableGb: {
    what: "DynamoDB, storage (the first 25 GB are free)",
    usd: 0.25,
    per: 1,
    unit: "GB-month",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    known: "quoted",
  },
  recoveryGb: {
    what: "DynamoDB, point-in-time recovery",
    usd: 0.2,
    per: 1,
    unit: "GB-month",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    known: "quoted",
  },
  put: {
    what: "S3 Standard, PUT and LIST",
    usd: 5,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/s3/pricing/",
    known: "quoted",
  },
  get: {
    what: "S3 Standard, GET",
    usd: 0.4,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/s3/pricing/",
    known: "quoted",
  },
  bucketGb: {
    what: "S3 Standard, storage",
    usd: 0.023,
    per: 1,
    unit: "GB-month",
    source: "https://aws.amazon.com/s3/pricing/",
    known: "quoted",
  },
  logGb: {
    what: "CloudWatch Logs, ingestion",
    usd: 0.5,
    per: 1,
    unit: "GB",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
    known: "quoted",
  },
  logStoredGb: {
    what: "CloudWatch Logs, storage",
    usd: 0.03,
    per: 1,
    unit: "GB-month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
    known: "recalled",
  },
  metric: {
    what: "CloudWatch, custom metric in use",
    usd: 0.3,
    per: 1,
    unit: "month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
    known: "quoted",
  },
  alarm: {
    what: "CloudWatch, alarm",
    usd: 0.1,
    per: 1,
    unit: "month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
    known: "recalled",
  },
  trace: {
    what: "X-Ray, trace recorded",
    usd: 5,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/xray/pricing/",
    known: "read",
  },
} as const satisfies Record<string, Price>;

/** Dollars for so many units. */
export const cost = (name: keyof typeof prices, units: number): number => (prices[name].usd / prices[name].per) * units;
