import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A pid alone may belong to another program by the time it is read again; with its start time it names one process. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startedAt: string;
}

/** Null if no such process runs (a zombie counts as gone). */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const startedAt = process.platform === 'linux' ? linuxStartTime(pid) : posixStartTime(pid);
  return startedAt === null ? null : { pid, startedAt };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startedAt === identity.startedAt;
}

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

function linuxStartTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in parentheses and may hold spaces; the fields that matter come after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${bootId}/${fields[19]}`;
  } catch {
    return null;
  }
}

function posixStartTime(pid: number): string | null {
  try {
    const [state = '', ...started] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8', env: { LC_ALL: 'C', PATH: process.env['PATH'] } }).trim().split(/\s+/);
    return state === '' || state.startsWith('Z') ? null : started.join(' ');
  } catch {
    return null;
  }
}
