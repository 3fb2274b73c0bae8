import type { MergePlan, MergeReport, SwapPlan, SwapReport } from '#engines';
import type { JsonObject } from '../operations/operation-handler.js';
import type { PointerJournal } from './restore-repoint.js';

/** Documents of one namespace, before or after. */
export interface CountRow {
  readonly name: string;
  readonly documents: number;
}

/** Written by the commit point, whole: all that any worker needs to finish. Plain JSON. */
export interface RestoreJournal {
  readonly swapPlan: SwapPlan;
  /** Null with `keepOld`. */
  readonly safetyBackupId: string | null;
  readonly safetyClusterTime: string | null;
  /** What was live stays in the database under its set-aside names until it is released. */
  readonly keepOld?: boolean;
  /** With REPOINT: the former database is neither set aside nor dropped here. */
  readonly pointer?: PointerJournal;
  readonly live: readonly CountRow[];
  readonly archive: readonly CountRow[];
  readonly bytesRead: number;
  readonly warnings: readonly string[];
  /** Of a MERGE; its `create` is the swap plan. */
  readonly mergePlan?: MergePlan;
  /** Each of the following stands here once its step is done. */
  readonly swapReport?: SwapReport;
  readonly mergeReport?: MergeReport;
  /** Warnings of the CHECK of a reset. */
  readonly checked?: readonly string[];
  readonly maintenanceOff?: boolean;
  /** Live names of what somebody dropped after it was set aside, before its last state was kept. */
  readonly lostOld?: readonly string[];
  readonly finalSafetyId?: string;
}

/** What people have to know where what was set aside is not there any more. */
export function lostWarnings({ lostOld = [] }: RestoreJournal, lastStateName: string): string[] {
  if (lostOld.length === 0) return [];
  const names = lostOld.slice(0, 10).join(', ') + (lostOld.length > 10 ? ` and ${lostOld.length - 10} more` : '');
  return [`Somebody dropped what was set aside of ${names} before its last state was kept: undo goes back to the safety backup from before; what was written to the rest after that is in the safety backup ${lastStateName}`];
}

/** Of an operation past its commit point, running or read from its whole row. */
export function journalOf({ journal }: { readonly journal: JsonObject }): RestoreJournal {
  return journal as unknown as RestoreJournal;
}
