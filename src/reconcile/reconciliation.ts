import { Injectable } from '@nestjs/common';
import { asAppError } from '#errors';
import type { ObjectInfo } from '#storage';
import { AuditService } from '../audit/audit.service.js';
import { BackupCatalogue, type KnownObject } from '../backups/backup-catalogue.js';
import { BackupCopies } from '../backups/backup-copies.js';
import { TenantsService } from '../tenants/tenants.service.js';

/**
 * MISSING: a backup whose file is not there. FOUND: one that was missing and is back. DAMAGED: its file has another size. UNREGISTERED: an archive that no backup points to.
 * UNKNOWN: a file that is none, or one that is damaged, or of a workspace that does not exist. HEALED: a backup whose file was not there, and a copy of which is. COPY_MISSING: a copy that its store does not have.
 */
export type Difference = 'MISSING' | 'FOUND' | 'DAMAGED' | 'UNREGISTERED' | 'UNKNOWN' | 'HEALED' | 'COPY_MISSING';

export interface ReconcileRow {
  readonly kind: Difference;
  readonly key: string;
  readonly tenantId: string | null;
  readonly backupId: string | null;
  /** What was done about it, or why nothing was. */
  readonly note: string;
}

export interface ReconcileOptions {
  /** Let the rows follow the store; without it nothing is changed. */
  readonly repair: boolean;
  /** Make workspaces, suspended and without a database, for archives whose own is gone. */
  readonly makeTenants: boolean;
}

/** Compares the store with the catalogue, both ways. Files are never removed: a file too many harms nobody. */
@Injectable()
export class Reconciliation {
  constructor(
    private readonly catalogue: BackupCatalogue,
    private readonly copies: BackupCopies,
    private readonly tenants: TenantsService,
    private readonly audit: AuditService,
  ) {}

  async *run(options: ReconcileOptions): AsyncGenerator<ReconcileRow, void, undefined> {
    for await (const { key, known, stored } of pairs(this.catalogue.known(), this.catalogue.stored())) {
      const row = known === null ? await this.withoutRow(stored, options) : known.backup === null ? null : await this.withRow(key, known.backup, stored, options.repair);
      if (row !== null) yield row;
    }
    for await (const { store, key, tenantId, backupId } of this.copies.lost()) {
      if (options.repair) await this.copies.markMissing({ tenantId }, backupId, store);
      yield { kind: 'COPY_MISSING', key: `${store}: ${key}`, tenantId, backupId, note: options.repair ? 'the copy is MISSING now, and is made anew' : 'nothing was changed' };
    }
  }

  private async withRow(key: string, backup: NonNullable<KnownObject['backup']>, stored: ObjectInfo | null, repair: boolean): Promise<ReconcileRow | null> {
    const { id, tenantId, state, sizeBytes, hasManifest } = backup;
    const row = (kind: Difference, note: string): ReconcileRow => ({ kind, key, tenantId, backupId: id, note: repair ? note : 'nothing was changed' });
    if (stored === null || (hasManifest && !(await this.catalogue.hasManifest(key)))) {
      if (!(await this.catalogue.isGone({ tenantId }, id, key))) return null;
      if ((await this.copies.goodOf(key)).length > 0) {
        if (!repair) return row('HEALED', '');
        if (await this.catalogue.heal({ tenantId }, id)) {
          if (state === 'MISSING') await this.catalogue.markFound({ tenantId }, id);
          await this.audit.record({ action: 'backup.healed', tenantId, actor: null, subject: { type: 'Backup', id } });
          return row('HEALED', 'the file was written anew from a copy');
        }
      }
      if (state === 'MISSING') return { ...row('MISSING', ''), note: 'known to be missing' };
      if (repair) await this.change(tenantId, id, 'backup.missing', () => this.catalogue.markMissing({ tenantId }, id, key));
      return row('MISSING', 'the backup is MISSING now');
    }
    if (stored.sizeBytes !== sizeBytes) {
      const note = `the file has ${stored.sizeBytes} bytes, not ${sizeBytes}`;
      if (repair) await this.change(tenantId, id, 'backup.damaged', () => this.catalogue.markDamaged({ tenantId }, id, note));
      return { ...row('DAMAGED', ''), note };
    }
    if (state === 'COMPLETED') return null;
    if (repair) await this.change(tenantId, id, 'backup.found', () => this.catalogue.markFound({ tenantId }, id));
    return row('FOUND', 'the backup is COMPLETED again');
  }

  private async withoutRow(stored: ObjectInfo | null, { repair, makeTenants }: ReconcileOptions): Promise<ReconcileRow | null> {
    if (stored === null) return null;
    const { key } = stored;
    if (await this.catalogue.isKnown(key)) return null;
    try {
      const owner = await this.catalogue.ownerOf(stored);
      if (owner === null && (await this.catalogue.belongsToArchive(stored))) return null;
      if (owner === null) return { kind: 'UNKNOWN', key, tenantId: null, backupId: null, note: 'no archive of a workspace' };
      const { tenantId } = owner;
      if (!repair) return { kind: 'UNREGISTERED', key, tenantId, backupId: null, note: 'nothing was changed' };
      if (makeTenants) await this.tenants.makeLost(owner);
      const tenant = await this.tenants.findById(tenantId);
      if (tenant === null) return { kind: 'UNKNOWN', key, tenantId, backupId: null, note: 'its workspace does not exist; rebuild makes it' };
      const { id, verified } = await this.catalogue.register(stored, { tenantId }, tenant.timeZone);
      await this.audit.record({ action: 'backup.registered', tenantId, actor: null, subject: { type: 'Backup', id }, detail: { key, verified } });
      return { kind: 'UNREGISTERED', key, tenantId, backupId: id, note: verified ? 'registered and verified' : 'registered, not verified: its key is missing' };
    } catch (error) {
      const { code, message } = asAppError(error);
      if (!code.startsWith('ARCHIVE_')) throw error;
      return { kind: 'UNKNOWN', key, tenantId: null, backupId: null, note: message };
    }
  }

  private async change(tenantId: string, id: string, action: string, work: () => Promise<void>): Promise<void> {
    await work();
    await this.audit.record({ action, outcome: action === 'backup.found' ? 'OK' : 'FAILED', tenantId, actor: null, subject: { type: 'Backup', id } });
  }
}

interface Pair {
  readonly key: string;
  readonly known: KnownObject | null;
  readonly stored: ObjectInfo | null;
}

/** Both are in the order of their keys, so that neither is held in memory. */
async function* pairs(known: AsyncIterable<KnownObject>, stored: AsyncIterable<ObjectInfo>): AsyncGenerator<Pair, void, undefined> {
  const left = known[Symbol.asyncIterator]();
  const right = stored[Symbol.asyncIterator]();
  let [mine, theirs] = [await next(left), await next(right)];
  while (mine !== null || theirs !== null) {
    if (mine !== null && (theirs === null || mine.key <= theirs.key)) {
      const { key } = mine;
      const isMatched = theirs?.key === key;
      yield { key, known: mine, stored: isMatched ? theirs : null };
      // Something under way may have the same place.
      do mine = await next(left);
      while (mine?.key === key);
      if (isMatched) theirs = await next(right);
    } else if (theirs !== null) {
      yield { key: theirs.key, known: null, stored: theirs };
      theirs = await next(right);
    }
  }
}

async function next<T>(from: AsyncIterator<T, unknown>): Promise<T | null> {
  const result = await from.next();
  return result.done === true ? null : result.value;
}
