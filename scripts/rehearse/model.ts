import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Events, Llm } from "@ksearch/ports";
import { type Deps, getJson, keys, StoredPrompt } from "@ksearch/workflow";

/**
 * An endpoint of Chat Completions that answers with RECORDED replies. A request carries no more than a prompt, so the call is
 * found among those that the run's log says are open: its prompt was stored before it was sent.
 */
export async function startModel(deps: { blobs: Deps["blobs"]; events: Events }, runId: () => string, replay: Llm) {
  const asked: string[] = [];

  const slotOf = async (user: string) => {
    const log = await deps.events.read(runId(), 0);
    for (const { event } of log.toReversed()) {
      if (event.type !== "call.submitted" || event.to !== "llm") continue;
      const prompt = await getJson(deps.blobs, keys.prompt(runId(), event.call), StoredPrompt);
      if (prompt?.user === user) return event;
    }
    throw new Error("nobody has announced this prompt");
  };

  const server = createServer(async (request, response) => {
    const reply = (code: number, body: unknown) => {
      response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    try {
      const { messages, model } = JSON.parse(await text(request)) as {
        messages: { role: string; content: string }[];
        model: string;
      };
      const user = messages.find(({ role }) => role === "user")?.content ?? "";
      const { call, slot, purpose } = await slotOf(user);
      asked.push(call);
      const submitted = await replay.submit({
        runId: runId(),
        call,
        slot,
        purpose,
        model,
        prompt: { system: "", user },
        maxOutputTokens: 16_384,
        timeoutMs: 60_000,
      });
      if (!("answer" in submitted)) throw new Error("a replay gives no tickets");
      const { text: content, usage } = submitted.answer;
      reply(200, {
        id: `chatcmpl-${asked.length}`,
        object: "chat.completion",
        created: Math.floor(Date.now() / 1000),
        model,
        choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content } }],
        usage: {
          prompt_tokens: usage.inputTokens,
          completion_tokens: usage.outputTokens,
          total_tokens: usage.inputTokens + usage.outputTokens,
        },
      });
    } catch (error) {
      reply(400, { error: { message: String(error), type: "invalid_request_error" } });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    /** Calls in the order in which they came; one that stands twice was asked twice. */
    asked,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
