/**
 * Runs `work` while no other process holds the lock file; `onWait` is called once if somebody else holds it. A lock
 * whose owner is gone (pid and start time) is stale and taken over.
 */
export function withLock<T>(path: string, onWait: (owner: { pid: number }) => void, work: () => Promise<T>): Promise<T>;
