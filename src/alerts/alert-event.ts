import { registerEnumType } from '@nestjs/graphql';

export const AlertSeverity = { INFO: 'INFO', WARNING: 'WARNING', ERROR: 'ERROR' } as const;
export type AlertSeverity = keyof typeof AlertSeverity;
registerEnumType(AlertSeverity, { name: 'AlertSeverity' });

interface EventNotes {
  readonly severity: AlertSeverity;
  /** Heads the message. */
  readonly title: string;
}

/** What people can be told of. An installation-wide alert (a missing key) goes to everybody's notifiers. */
export const alertEvents = {
  BACKUP_COMPLETED: { severity: 'INFO', title: 'Backup completed' },
  BACKUP_FAILED: { severity: 'ERROR', title: 'Backup failed' },
  BACKUP_MISSED: { severity: 'ERROR', title: 'Backup missed' },
  BACKUP_SIZE_ANOMALY: { severity: 'WARNING', title: 'Unusual backup size' },
  VERIFY_FAILED: { severity: 'ERROR', title: 'Backup did not pass its verification' },
  DRILL_COMPLETED: { severity: 'INFO', title: 'Restore drill passed' },
  DRILL_FAILED: { severity: 'ERROR', title: 'Restore drill failed' },
  COPY_FAILED: { severity: 'ERROR', title: 'Copy of a backup failed' },
  RESTORE_COMPLETED: { severity: 'INFO', title: 'Restore completed' },
  RESTORE_FAILED: { severity: 'ERROR', title: 'Restore failed' },
  RESET_COMPLETED: { severity: 'INFO', title: 'Reset completed' },
  RESET_FAILED: { severity: 'ERROR', title: 'Reset failed' },
  QUOTA: { severity: 'WARNING', title: 'Storage quota' },
  KEY_MISSING: { severity: 'ERROR', title: 'Encryption key missing' },
  RETENTION_REFUSED: { severity: 'ERROR', title: 'Retention refused to delete' },
  LAST_GOOD_KEPT: { severity: 'WARNING', title: 'Only one restorable backup is left' },
  SCHEDULE_CHANGE_REQUESTED: { severity: 'WARNING', title: 'Another schedule is asked for' },
  SCHEDULE_CHANGE_ANSWERED: { severity: 'INFO', title: 'The wish for another schedule is answered' },
  APPROVAL_REQUESTED: { severity: 'WARNING', title: 'Approval requested' },
  APPROVAL_DECIDED: { severity: 'INFO', title: 'Approval decided' },
  WORK_ANNOUNCED: { severity: 'WARNING', title: 'Maintenance announced' },
} as const satisfies Record<string, EventNotes>;

/** The server has no usable key: one condition of the whole installation, whoever meets it. */
export const noKey = { tenantId: null, event: 'KEY_MISSING', subject: 'key' } as const;

export type AlertEvent = keyof typeof alertEvents;
export const AlertEvent = Object.fromEntries(Object.keys(alertEvents).map((name) => [name, name])) as { readonly [Name in AlertEvent]: Name };
registerEnumType(AlertEvent, { name: 'AlertEvent' });
