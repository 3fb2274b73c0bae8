import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Of glibc, which reads them before any of our code runs: one arena instead of one a thread, and large blocks go back to the system when
 * they are freed. Otherwise what the buffers of one phase leave behind counts until the end.
 */
export const allocator = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '131072' };

/**
 * Of V8. Loading the program alone would let the young generation grow by 40 MB; and V8 collects after every so many megabytes of buffers, where marking
 * beside the work each time costs more than it saves. Set while the program runs, --optimize-for-size only lets the old generation grow in smaller steps.
 */
export const collectorFlags = ['--semi-space-growth-factor=1', '--no-incremental-marking', '--optimize-for-size'] as const;

/**
 * Keeps a process small that moves gigabytes through buffers and makes few objects. To be called before the program is loaded: a young generation
 * that has grown is not given back. Where the allocator has to be set it starts this very process anew, and does not return.
 */
export function leanProcess(): void {
  if (process.platform === 'linux' && process.execve !== undefined && process.env['MALLOC_ARENA_MAX'] === undefined) {
    process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], { ...process.env, ...allocator });
  }
  for (const flag of collectorFlags) setFlagsFromString(flag);
}

/**
 * Gives back what only the start needed, some 10 MB. To be called when the process stands ready: with these flags V8 would collect it during the first
 * operation, and keep the pages that it lay on.
 */
export function releaseStartMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
