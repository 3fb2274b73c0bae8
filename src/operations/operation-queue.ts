import type { WakeUpQueue } from '../platform/queue/work-queue.js';

/** Wakes a worker: there is a queued operation. The longest that pg-boss lets a message be held; the operation's own deadline and lease rule. */
export const operationQueue: WakeUpQueue = { name: 'operation.run', expireInSeconds: 24 * 3600, retentionSeconds: 24 * 3600 };
