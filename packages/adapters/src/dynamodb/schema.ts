/**
 * The one table, as the stack and the tests make it: string keys `pk` and `sk`, no index. No item carries a time to live
 * yet; the attribute is named so that one may.
 */
export const tableSchema = {
  fields: { pk: "string", sk: "string" },
  primaryIndex: { hashKey: "pk", rangeKey: "sk" },
  ttl: "expiresAt",
} as const;
