/** The clock of the runtime. Tests shorten it; nothing else does. */
export interface OperationTiming {
  readonly leaseMs: number;
  readonly renewEveryMs: number;
  /** How often dead leases and queued work without a wake-up are looked for. */
  readonly sweepEveryMs: number;
  /** At most one progress event in this time. */
  readonly progressEveryMs: number;
  /** Work that does not end this long after it was told to is given up: its lease runs out and it is recovered. */
  readonly abandonAfterMs: number;
  /** How long a shutdown waits for work past its commit point. */
  readonly stopWithinMs: number;
  /** The first pause before recovery is tried again; doubled each time. */
  readonly recoveryPauseMs: number;
}

export const operationTiming: OperationTiming = {
  leaseMs: 20_000,
  renewEveryMs: 5_000,
  sweepEveryMs: 5_000,
  progressEveryMs: 250,
  abandonAfterMs: 30_000,
  stopWithinMs: 25_000,
  recoveryPauseMs: 5_000,
};

/** The longest pause between two tries to finish committed work. */
export const longestRecoveryPauseMs = 60_000;
/** Cleaning up after uncommitted work is given up after this many tries. */
export const maxCleanupTries = 5;
