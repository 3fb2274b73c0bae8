import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/**
 * What is still referenced, in bytes of buffers. To be asked seldom: what lies about uncollected tells nothing of the
 * code, and in a process that has run other specs each collection takes seconds.
 */
export function heldSince(before: number): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().arrayBuffers - before;
}

/** Whether nothing holds what `reference` points to; objects are let go of when the turn has ended. */
export async function isCollected(reference: WeakRef<object>): Promise<boolean> {
  for (let round = 0; round < 10; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    if (reference.deref() === undefined) return true;
  }
  return false;
}
