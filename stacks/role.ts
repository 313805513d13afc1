/**
 * A role of our own: who assumes it, and every action with its resources. Nothing is granted by a managed policy, as those
 * of AWS name all resources.
 */
export type Statement = {
  actions: string[];
  resources: $util.Input<string>[];
  conditions?: { test: string; variable: string; values: $util.Input<string>[] }[];
};

/** The service that alone may assume a role. */
export const trusting = (service: string): $util.Output<string> =>
  aws.iam.getPolicyDocumentOutput({
    statements: [{ actions: ["sts:AssumeRole"], principals: [{ type: "Service", identifiers: [service] }] }],
  }).json;

export function createRole(name: string, service: string, statements: $util.Input<$util.Input<Statement>[]>) {
  return new aws.iam.Role(name, {
    assumeRolePolicy: trusting(service),
    inlinePolicies: [{ name: "own", policy: aws.iam.getPolicyDocumentOutput({ statements }).json }],
  });
}
