import type { BackupScope, BackupTrigger } from './backup.entity.js';

/** A COMPLETED backup with its bytes in place, as far as others look at it who decide how long it is kept. */
export interface StoredBackup {
  readonly id: string;
  readonly trigger: BackupTrigger;
  readonly scope: BackupScope;
  readonly scheduleId: string | null;
  readonly label: string;
  readonly createdAt: Date;
  /** When it was finished. */
  readonly at: Date;
  readonly sizeBytes: number;
  /** Of the whole database. */
  readonly isWhole: boolean;
  /** Its last verification failed. */
  readonly isDamaged: boolean;
  /** Found in the store: what took it is not known. */
  readonly isRegistered: boolean;
  readonly pinned: boolean;
  readonly held: boolean;
  readonly expiresAt: Date | null;
}
