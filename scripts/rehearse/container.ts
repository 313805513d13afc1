/** A Lambda container of the rehearsal: a process that has loaded one bundle and answers one invocation after another. */

const [, , bundle = ""] = process.argv;
const began = performance.now();
const { handler } = await import(bundle);
process.send?.({ ready: true, importMs: performance.now() - began });

type Invocation = { id: number; event: unknown; name: string; deadlineMs: number };

process.on("message", async ({ id, event, name, deadlineMs }: Invocation) => {
  const context = {
    functionName: name,
    functionVersion: "$LATEST",
    invokedFunctionArn: `arn:aws:lambda:us-east-1:000000000000:function:${name}`,
    memoryLimitInMB: "512",
    awsRequestId: `rehearsal-${process.pid}-${id}`,
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
  try {
    process.send?.({ id, result: (await handler(event, context)) ?? null });
  } catch (error) {
    const { name: errorType, message: errorMessage } = error as Error;
    process.send?.({ id, error: { errorType, errorMessage } });
  }
});
