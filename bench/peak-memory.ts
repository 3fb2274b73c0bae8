import { readFileSync } from 'node:fs';

/** The most memory that a process has held, in bytes: VmHWM. Null where the system does not tell, or the process has ended. */
export function peakMemoryOf(pid: number | 'self'): number | null {
  try {
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match === null ? null : Number(match[1]) * 1024;
  } catch {
    return null;
  }
}

/** Names and peaks of a process's children that are running now. */
export function childrenOf(pid: number): { readonly name: string; readonly pid: number }[] {
  try {
    const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter((text) => text !== '').map(Number);
    return pids.flatMap((child) => {
      try {
        return [{ name: readFileSync(`/proc/${child}/comm`, 'utf8').trim(), pid: child }];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}
