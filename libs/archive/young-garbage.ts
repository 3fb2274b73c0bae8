import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const borneBytes = 8 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;
let pending = 0;

/**
 * Tells that so many bytes of buffers have just been let go of, messages of the driver or what was read of a file. V8 would collect them with its old generation, after 64 MB and
 * at the cost of marking the whole program; a young collection takes less than a millisecond.
 */
export function discarded(bytes: number): void {
  pending += bytes;
  if (pending < borneBytes) return;
  pending = 0;
  collect({ type: 'minor' });
}
