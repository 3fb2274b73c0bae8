import { operationKinds } from '../operations/operation-handler.js';

export const historyKinds = [...operationKinds, 'UPLOAD'] as const;
export type HistoryKind = (typeof historyKinds)[number];

export const historyStates = ['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED', 'DELETED', 'MISSING'] as const;
export type HistoryState = (typeof historyStates)[number];

export interface HistoryFilter {
  readonly kinds?: readonly HistoryKind[] | null;
  readonly states?: readonly HistoryState[] | null;
  /** An e-mail address in any case, or the id of an actor. */
  readonly user?: string | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
  readonly text?: string | null;
}

export interface HistoryRow {
  /** Unique together with `at`: what is deleted has the id of what was made. */
  readonly id: string;
  readonly at: Date;
  readonly finishedAt: Date | null;
  readonly kind: HistoryKind;
  readonly state: HistoryState;
  readonly name: string | null;
  readonly label: string | null;
  readonly fileName: string | null;
  readonly sizeBytes: string | null;
  readonly notes: string | null;
  readonly actor: Readonly<Record<string, string | null>> | null;
  readonly failure: { readonly code?: string; readonly message?: string } | null;
  readonly operationId: string | null;
  readonly backupId: string | null;
}
