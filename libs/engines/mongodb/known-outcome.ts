/** A cancel takes seconds at most, also where the server does not answer. */
export const settlingMs = 2_000;

/**
 * Runs a command that makes something on the server. The driver ends a command by closing its connection, and the server carries it out all the same: what it makes would be
 * known to nobody. So once `signal` is aborted its end is awaited for two seconds more; only then is the signal that `send` is given aborted, for the same reason.
 */
export async function toKnownOutcome<T>(signal: AbortSignal | undefined, send: (late: AbortSignal) => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  const late = new AbortController();
  let limit: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    limit = setTimeout(() => late.abort(signal?.reason), settlingMs);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await send(late.signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    clearTimeout(limit);
  }
}
