import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A row of a run's history, as W&B's client sends it. */
type Row = Record<string, unknown> & { _step: number };

export type FakeServer = {
  url: string;
  /** Rows by the place in the history that the client named for them. */
  history: Row[];
  exitCodes: number[];
  /** What came in the headers that prove who one is. */
  authorizations: Set<string>;
  close(): void;
};

/**
 * As much of W&B's server, on loopback, as version 0.31 of its client needs to open, resume and fill a run. It knows no
 * artifacts.
 */
export async function fakeServer(): Promise<FakeServer> {
  const history: Row[] = [];
  const exitCodes: number[] = [];
  const authorizations = new Set<string>();
  let summary = "{}";
  const bucket = () => ({
    id: "1",
    name: "run_1",
    displayName: "a run",
    historyLineCount: history.length,
    eventsLineCount: 0,
    logLineCount: 0,
    historyTail: JSON.stringify(history.slice(-1).map((row) => JSON.stringify(row))),
    eventsTail: "[]",
    summaryMetrics: summary,
    config: "{}",
    tags: [],
    wandbConfig: JSON.stringify({ t: { 1: [] } }),
    project: { id: "1", name: "flashinfer-bench", entity: { id: "1", name: "me" } },
  });
  const answers: Record<string, (variables: { files: string[] }) => object> = {
    Viewer: () => ({ viewer: { id: "1", entity: "me", username: "me", flags: "{}", teams: { edges: [] } } }),
    RunResumeStatus: () => ({
      model: { ...bucket().project, bucket: history.length === 0 ? null : bucket() },
    }),
    UpsertBucket: () => ({ upsertBucket: { bucket: bucket(), inserted: history.length === 0 } }),
    CreateRunFiles: ({ files }) => ({
      createRunFiles: {
        runID: "1",
        uploadHeaders: [],
        files: files.map((name) => ({ name, uploadUrl: `${url}/${name}` })),
      },
    }),
  };
  const respond = async (request: IncomingMessage): Promise<object> => {
    const { authorization } = request.headers;
    if (authorization !== undefined) authorizations.add(authorization);
    const body = await text(request);
    if (request.url === "/graphql") {
      const { query, variables } = JSON.parse(body);
      const name = /(?:query|mutation)\s+(\w+)/.exec(query)?.[1] ?? "";
      return { data: answers[name]?.(variables) ?? {} };
    }
    if (request.url?.endsWith("/file_stream")) {
      const { files = {}, complete, exitcode } = JSON.parse(body);
      const rows = files["wandb-history.jsonl"];
      rows?.content.forEach((line: string, index: number) => {
        history[rows.offset + index] = JSON.parse(line);
      });
      summary = files["wandb-summary.json"]?.content[0] ?? summary;
      if (complete) exitCodes.push(exitcode);
    }
    return {};
  };
  const server = createServer((request, response) => {
    void respond(request).then((reply) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(reply));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url, history, exitCodes, authorizations, close };
}
