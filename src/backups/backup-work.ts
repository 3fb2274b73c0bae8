import type { EntityManager } from 'typeorm';
import type { Work } from '#engines';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';

export const backupPhases = ['PREPARE', 'DUMP', 'FINALIZE', 'READ_BACK'] as const;
export type BackupPhase = (typeof backupPhases)[number];

/** What a backup needs of the operation that it is part of. */
export interface BackupWork extends Work {
  readonly id: string;
  readonly tenantId: string;
  enter(phase: BackupPhase): Promise<void>;
  log(message: string, level?: 'INFO' | 'WARN' | 'ERROR'): void;
  fenced<T>(work: (manager: EntityManager) => Promise<T>): Promise<T>;
  faultPoint(name: string): Promise<void>;
}

export function asBackupWork(context: OperationContext<JsonObject>, enter = (phase: string) => context.enter(phase)): BackupWork {
  return {
    id: context.id,
    tenantId: context.tenantId,
    signal: context.signal,
    enter,
    report: (progress) => context.report(progress),
    log: (message, level) => context.log(message, level),
    fenced: (work) => context.fenced(work),
    faultPoint: (name) => context.faultPoint(name),
  };
}
