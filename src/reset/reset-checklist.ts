import type { BackupEntity } from '../backups/backup.entity.js';

/** What people see to before a reset; `checked` only where Holdfast itself knows that it is done. */
export interface ChecklistRow {
  readonly key: string;
  readonly text: string;
  readonly checked: boolean;
  readonly hint: string | null;
}

const recentMs = 24 * 3_600_000;

export function checklistOf(latest: Pick<BackupEntity, 'createdAt'> | null, nowMs: number): ChecklistRow[] {
  const hasRecent = latest !== null && nowMs - latest.createdAt.getTime() <= recentMs;
  return [
    { key: 'fullBackup', text: 'Take a full backup', checked: hasRecent, hint: hasRecent ? null : latest === null ? 'There is no usable backup of the whole database' : 'The latest usable backup is older than 24 hours' },
    { key: 'storeBackup', text: 'Download the backup and store it in a safe place', checked: false, hint: null },
    { key: 'exportData', text: 'Export critical data: customer lists, supplier lists, item catalogues, reports', checked: false, hint: 'Holdfast does not export data yet: use the product for it' },
    { key: 'notifyUsers', text: 'Inform all users and agree on a maintenance window', checked: false, hint: null },
    { key: 'noTransactions', text: 'See that no transaction is under way', checked: false, hint: null },
    { key: 'reviewSettings', text: 'Review the settings that are preserved: organisation, permissions, branches, tax and currency', checked: false, hint: null },
  ];
}
