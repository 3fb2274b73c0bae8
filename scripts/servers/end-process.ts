import { isRunning, type ProcessIdentity } from '../bootstrap/process-identity.mjs';

/**
 * Ends a process that may not be a child of ours: the first signal, and SIGKILL if it does not go within the time.
 * Does nothing if the pid now belongs to another process.
 */
export async function endProcess(identity: ProcessIdentity, signal: NodeJS.Signals = 'SIGTERM', patienceMs = 15_000): Promise<void> {
  for (const [step, limitMs] of [[signal, patienceMs], ['SIGKILL', 10_000]] as const) {
    if (!isRunning(identity)) return;
    try {
      process.kill(identity.pid, step);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
    const deadline = Date.now() + limitMs;
    while (isRunning(identity) && Date.now() < deadline) await new Promise((wake) => setTimeout(wake, 20));
  }
  if (isRunning(identity)) throw new Error(`Process ${identity.pid} does not end`);
}
