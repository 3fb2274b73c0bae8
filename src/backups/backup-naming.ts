import { DateTime } from 'luxon';
import { fillFileName } from '../policies/file-name-template.js';
import { policyOf } from '../policies/tenant-policy.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import type { Codec } from './backup.entity.js';

const suffixes: Readonly<Record<Codec, string>> = { GZIP: '.gz', ZSTD: '.zst', NONE: '.archive' };

/** With a short id and the mark of another key beside them, three of these still make a name that every store takes. */
const longestPart = 40;

export interface ArchiveNames {
  /** What people see and download. */
  readonly fileName: string;
  /** Ends in the file name; where that has no id of its own, one comes before the suffix: two backups of one second must not share a place. */
  readonly storeKey: string;
}

/** By the template of the tenant's policy, in UTC: names sort by time whatever the tenant's zone. */
export function archiveNames(
  { id: tenantId, slug, targetDatabase, policy }: Pick<TenantEntity, 'id' | 'slug' | 'targetDatabase' | 'policy'>,
  backup: { readonly id: string; readonly label: string; readonly createdAt: Date; readonly codec: Codec; readonly encrypted: boolean },
): ArchiveNames {
  const { fileNameTemplate } = policyOf(policy);
  const shortId = backup.id.slice(0, 8);
  const stem = fillFileName(fileNameTemplate, {
    '{db}': partOf(targetDatabase, /[^A-Za-z0-9_-]+/g, 'database'),
    '{label}': partOf(backup.label, /[^A-Za-z0-9-]+/g, 'backup'),
    '{workspace}': partOf(slug, /[^A-Za-z0-9-]+/g, 'workspace'),
    '{yyyyMMdd_HHmmss}': DateTime.fromJSDate(backup.createdAt, { zone: 'utc' }).toFormat('yyyyLLdd_HHmmss'),
    '{id}': shortId,
  });
  const suffix = `${suffixes[backup.codec]}${backup.encrypted ? '.enc' : ''}`;
  return { fileName: stem + suffix, storeKey: archiveStoreKey(tenantId, `${stem}${fileNameTemplate.includes('{id}') ? '' : `_${shortId}`}${suffix}`) };
}

export function archiveStoreKey(tenantId: string, name: string): string {
  return `${tenantId}/db-backups/${name}`;
}

function partOf(text: string, forbidden: RegExp, otherwise: string): string {
  return text.replace(forbidden, '-').slice(0, longestPart).replace(/^-+|-+$/g, '') || otherwise;
}

/** What a person reads when no name was given: the label and the time on the tenant's own clock. */
export function defaultBackupName(label: string, createdAt: Date, timeZone: string): string {
  const local = DateTime.fromJSDate(createdAt, { zone: timeZone });
  const shown = local.isValid ? local : DateTime.fromJSDate(createdAt, { zone: 'utc' });
  return `${label.charAt(0).toUpperCase()}${label.slice(1)} ${shown.toFormat('yyyy-LL-dd HH:mm')}`;
}
