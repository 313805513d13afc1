import type { IncomingMessage } from "node:http";
import { z } from "zod";

/** What the synthesised roles of functions may do with the table and the bucket, asked of every request of a rehearsal. */

const Statement = z.object({
  Effect: z.literal("Allow"),
  Action: z.array(z.string()),
  Resource: z.array(z.string()),
  Condition: z.object({ StringLikeIfExists: z.object({ "s3:prefix": z.array(z.string()) }) }).optional(),
});
const Role = z.object({
  type: z.literal("aws:iam/role:Role"),
  name: z.string(),
  inputs: z.object({ inlinePolicies: z.array(z.object({ policy: z.string() })) }),
});
const Synthesis = z.object({ resources: z.array(z.unknown()) });

type Right = z.infer<typeof Statement>;
type Wish = { action: string; resource: string; prefix?: string | null };

/** A pattern of IAM: `*` stands for any text. */
const matches = (pattern: string, value: string): boolean =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"))
      .join(".*")}$`,
  ).test(value);

const permits = (right: Right, { action, resource, prefix = null }: Wish): boolean =>
  right.Action.some((pattern) => matches(pattern, action)) &&
  right.Resource.some((pattern) => matches(pattern, resource)) &&
  (prefix === null ||
    (right.Condition?.StringLikeIfExists["s3:prefix"] ?? ["*"]).some((pattern) => matches(pattern, prefix)));

/**
 * Collects what requests ask for that no role of a step's function permits. All functions have the same rights on the stores,
 * so one role stands for them; the synthesis tests hold that.
 */
export function rightsOf(synthesis: unknown, names: { table: string; bucket: string }) {
  const roles = Synthesis.parse(synthesis).resources.flatMap((resource) => {
    const role = Role.safeParse(resource).data;
    return role === undefined || !/^(Draft|Evaluate|Claim)Role$/.test(role.name) ? [] : [role];
  });
  if (roles.length !== 3) throw new Error("the synthesised stage has no roles of steps");
  const statements = roles.map(({ inputs }) =>
    inputs.inlinePolicies
      .flatMap(({ policy }) => z.object({ Statement: z.array(z.unknown()) }).parse(JSON.parse(policy)).Statement)
      .map((statement) => Statement.parse(statement)),
  );
  const denied = new Set<string>();
  const ask = (wish: Wish) => {
    const mayAll = statements.every((rights) =>
      rights.some((right) => permits({ ...right, Resource: right.Resource.map((arn) => named(arn, names)) }, wish)),
    );
    if (!mayAll) denied.add(`${wish.action} on ${wish.resource}`);
  };
  return {
    denied,
    dynamodb(request: IncomingMessage, body: string) {
      const operation = String(request.headers["x-amz-target"]).replace(/^.*\./, "");
      const resource = `arn:aws:dynamodb:::table/${names.table}`;
      const actions =
        operation === "TransactWriteItems"
          ? ["Put", "Update", "Delete", "ConditionCheck"]
              .filter((part) => body.includes(`{"${part}":`))
              .map((part) => (part === "ConditionCheck" ? "ConditionCheckItem" : `${part}Item`))
          : [operation];
      for (const action of actions) ask({ action: `dynamodb:${action}`, resource });
    },
    s3(request: IncomingMessage) {
      const url = new URL(request.url ?? "", "http://localhost");
      const [, bucket = "", ...key] = decodeURIComponent(url.pathname).split("/");
      const resource = `arn:aws:s3:::${bucket}${key.length > 0 && key[0] !== "" ? `/${key.join("/")}` : ""}`;
      if (url.searchParams.has("list-type"))
        ask({ action: "s3:ListBucket", resource: `arn:aws:s3:::${bucket}`, prefix: url.searchParams.get("prefix") });
      else ask({ action: request.method === "PUT" ? "s3:PutObject" : "s3:GetObject", resource });
    },
  };
}

/** A synthesised ARN with the rehearsal's name in place of the stage's, which ends in letters drawn by chance. */
const named = (arn: string, { table, bucket }: { table: string; bucket: string }): string =>
  arn
    .replace(/^arn:aws:dynamodb:[^:]*:\d*:table\/[^/]+/, `arn:aws:dynamodb:::table/${table}`)
    .replace(/^arn:aws:s3:::[^/]+/, `arn:aws:s3:::${bucket}`);
