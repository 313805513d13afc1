import { AppError } from "@ksearch/domain";
import { ModalClient } from "modal";
import { type CallOptions, ClientError, type ClientMiddleware, Status } from "nice-grpc";

/** A token of Modal's. Null: the SDK's own profile file, `~/.modal.toml`. */
export type ModalToken = { tokenId: string; tokenSecret: string } | null;

/** How long one `get` waits for an answer at the server. */
export const pollMs = 5_000;

/** Every RPC with the SDK's retries of it. Without a budget a connection that died in silence holds a call for 40 s. */
const rpcBudgetMs = 10_000;

/** A piece of work is a few RPCs and at most one blob, whose transfer the SDK gives no deadline. */
const workBudgetMs = 90_000;

/** A connection that was idle for longer may be dead (a frozen Lambda's is): a new one costs 0.2 s. */
const mostIdleMs = 20_000;

/**
 * Most seconds that the server may ask to wait before it takes a request; the SDK's default is to obey for ever. Less than
 * the budget, so that what is told is the server's own reason.
 */
const mostThrottleSecs = 8;

/** The SDK reads `timeoutMs` where it retries: the middleware given to it runs before that, so this bounds all tries. */
type Budgeted = CallOptions & { timeoutMs: number };

const budget: ClientMiddleware = async function* withBudget(call, options) {
  const waits = call.method.path.endsWith("/FunctionGetOutputs") ? pollMs : 0;
  const budgeted: Budgeted = { timeoutMs: rpcBudgetMs + waits, ...options };
  return yield* call.next(call.request, budgeted);
};

/** Does a piece of work with a client of Modal's. */
export type Connection = <A>(work: (client: ModalClient) => Promise<A>) => Promise<A>;

/** Keeps one client while it is in use and healthy. The SDK cannot close channels: none is made that is not needed. */
export function modalConnection(token: ModalToken): Connection {
  let kept: ModalClient | null = null;
  let usedAtMs = 0;
  return async (work) => {
    if (kept === null || Date.now() - usedAtMs > mostIdleMs) kept = openClient(token);
    const client = kept;
    usedAtMs = Date.now();
    try {
      return await within(workBudgetMs, work(client));
    } catch (error) {
      if (kept === client) kept = null;
      throw error;
    } finally {
      usedAtMs = Date.now();
    }
  };
}

/** AppError `operator` `referee.auth`: there is no token. */
function openClient(token: ModalToken): ModalClient {
  const client = new ModalClient({
    ...token,
    maxThrottleWaitSecs: mostThrottleSecs,
    grpcMiddleware: [budget],
    logLevel: "error",
  });
  const { tokenId, tokenSecret, oauthRefreshToken } = client.profile;
  if ((tokenId && tokenSecret) || oauthRefreshToken) return client;
  throw new AppError(
    "operator",
    "referee.auth",
    "there is no token for Modal: set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET, or run 'modal token new', which writes ~/.modal.toml",
  );
}

async function within<A>(limitMs: number, work: Promise<A>): Promise<A> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ClientError("modal", Status.DEADLINE_EXCEEDED, `no answer within ${limitMs} ms`)),
      limitMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
