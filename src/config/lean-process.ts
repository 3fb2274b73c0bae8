import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Of glibc, which reads them before any of our code runs. One arena instead of one a thread. Frames, batches and the server's replies are made again in the same memory instead of going back
 * to the system when they are freed: it hands out and zeroes each page of a new one, which was a third of a restore's own processor time. What nobody uses must not lie about between them for long
 * (`garbageBytes`), or the heap grows.
 */
export const allocator = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: String(8 * 1024 * 1024), MALLOC_TRIM_THRESHOLD_: String(8 * 1024 * 1024) };

/** So much of buffers that nobody uses may lie about in a lean process: for `collectEach`, which is of a part of the program that must be loaded after `leanProcess`. */
export const garbageBytes = 24 * 1024 * 1024;

const fixedYoung = '--semi-space-growth-factor=1';
const growingYoung = '--semi-space-growth-factor=2';

/**
 * Of V8. Loading the program alone would let the young generation grow by 40 MB; and V8 collects after every so many megabytes of buffers, where marking
 * beside the work each time costs more than it saves. Set while the program runs, --optimize-for-size only lets the old generation grow in smaller steps.
 */
export const collectorFlags = [fixedYoung, '--no-incremental-marking', '--optimize-for-size'] as const;

let isLean = false;
let roomsOpen = 0;

/**
 * Keeps a process small that moves gigabytes through buffers and makes few objects. To be called before the program is loaded: a young generation
 * that has grown is not given back. Where the allocator has to be set it starts this very process anew, and does not return.
 */
export function leanProcess(): void {
  if (process.platform === 'linux' && process.execve !== undefined && process.env['MALLOC_ARENA_MAX'] === undefined) {
    process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], { ...process.env, ...allocator });
  }
  for (const flag of collectorFlags) setFlagsFromString(flag);
  isLean = true;
}

/**
 * Runs work that has thousands of small commands under way side by side and few buffers. In a young generation of its first size V8 would copy what is under way again and again: a third of
 * the processor time of a SWAP of thousands of collections. What it grows by, some 50 MB, is given back at the end, which takes 0.1 s.
 */
export async function withRoomForObjects<T>(work: () => Promise<T>): Promise<T> {
  if (!isLean) return work();
  if (roomsOpen++ === 0) setFlagsFromString(growingYoung);
  try {
    return await work();
  } finally {
    if (--roomsOpen === 0) {
      setFlagsFromString(fixedYoung);
      collectAll();
    }
  }
}

/**
 * Gives back what only the start needed, some 10 MB. To be called when the process stands ready: with these flags V8 would collect it during the first
 * operation, and keep the pages that it lay on.
 */
export function releaseStartMemory(): void {
  collectAll();
}

/** The one kind of collection after which V8 gives pages back to the system and the young generation shrinks. */
function collectAll(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
