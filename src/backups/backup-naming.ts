import { DateTime } from 'luxon';
import type { Codec } from './backup.entity.js';

const suffixes: Readonly<Record<Codec, string>> = { GZIP: '.gz', ZSTD: '.zst', NONE: '.archive' };

/** `<label>_<yyyyMMdd_HHmmss>_<short id>.gz.enc`, in UTC: names in the store sort by time whatever the tenant's zone. */
export function archiveFileName(backup: { readonly id: string; readonly label: string; readonly createdAt: Date; readonly codec: Codec }): string {
  const time = DateTime.fromJSDate(backup.createdAt, { zone: 'utc' }).toFormat('yyyyLLdd_HHmmss');
  const label = backup.label.replace(/[^A-Za-z0-9-]+/g, '-').replace(/^-+|-+$/g, '') || 'backup';
  return `${label}_${time}_${backup.id.slice(0, 8)}${suffixes[backup.codec]}.enc`;
}

export function archiveStoreKey(tenantId: string, fileName: string): string {
  return `${tenantId}/db-backups/${fileName}`;
}

/** What a person reads when no name was given: the label and the time on the tenant's own clock. */
export function defaultBackupName(label: string, createdAt: Date, timeZone: string): string {
  const local = DateTime.fromJSDate(createdAt, { zone: timeZone });
  const shown = local.isValid ? local : DateTime.fromJSDate(createdAt, { zone: 'utc' });
  return `${label.charAt(0).toUpperCase()}${label.slice(1)} ${shown.toFormat('yyyy-LL-dd HH:mm')}`;
}
