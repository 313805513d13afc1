import { CreateTableCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { tableSchema } from "../src/dynamodb/index.ts";

/** The table as the stack makes it. */
export async function createTable(client: DynamoDBClient, name: string): Promise<void> {
  const { fields, primaryIndex } = tableSchema;
  await client.send(
    new CreateTableCommand({
      TableName: name,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: Object.keys(fields).map((field) => ({ AttributeName: field, AttributeType: "S" })),
      KeySchema: [
        { AttributeName: primaryIndex.hashKey, KeyType: "HASH" },
        { AttributeName: primaryIndex.rangeKey, KeyType: "RANGE" },
      ],
    }),
  );
}
