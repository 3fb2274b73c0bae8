import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const borneBytes = 8 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { type: 'minor' | 'major' }) => void;
let pending = 0;
let mostHeldBytes = Infinity;
let heldBytes = Infinity;

/**
 * For a process that is to stay small: once buffers hold so many bytes more than after the last whole collection there is another one. V8 itself waits for 64 MB, and what was in use
 * during two young collections, as some of the server's replies are, lies about until then. Of a heap of 65 MB it takes 40 ms.
 */
export function collectEach(bytes: number): void {
  mostHeldBytes = bytes;
}

/**
 * Tells that so many bytes of buffers have just been let go of, messages of the driver or what was read of a file. V8 would collect them with its old generation, after 64 MB and
 * at the cost of marking the whole program; a young collection takes less than a millisecond.
 */
export function discarded(bytes: number): void {
  pending += bytes;
  if (pending < borneBytes) return;
  pending = 0;
  collect({ type: 'minor' });
  if (mostHeldBytes !== Infinity) collectHeld();
}

function collectHeld(): void {
  const { arrayBuffers } = process.memoryUsage();
  // V8 gives memory back beside the work, and may have collected by itself.
  heldBytes = Math.min(heldBytes, arrayBuffers);
  if (arrayBuffers - heldBytes < mostHeldBytes) return;
  collect({ type: 'major' });
  heldBytes = arrayBuffers;
}
