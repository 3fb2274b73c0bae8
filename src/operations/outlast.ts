import { setTimeout as delay } from 'node:timers/promises';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import type { NoticeStream } from '../platform/events/notice-stream.js';

const retryMs = 500;

/** A database that is away for a moment ends no subscription: the state is shown when it is back. */
export async function outlast<T>(notices: NoticeStream, read: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (notices.hasEnded || !isConnectionLoss(error)) throw error;
      await delay(retryMs);
    }
  }
}
