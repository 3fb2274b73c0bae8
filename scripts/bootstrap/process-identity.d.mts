/** A pid alone may belong to another program by the time it is read again; with its start time it names one process. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startedAt: string;
}

/** Null if no such process runs (a zombie counts as gone). */
export function identifyProcess(pid: number): ProcessIdentity | null;

export function isRunning(identity: ProcessIdentity): boolean;
