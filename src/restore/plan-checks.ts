import { Inject, Injectable } from '@nestjs/common';
import type { EngineSession, TargetInspection } from '#engines';
import { type AppError, asAppError, errorCatalogue } from '#errors';
import type { ArchiveStore } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { BackupsService } from '../backups/backups.service.js';
import { EncryptionService } from '../encryption/encryption.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { OperationsService } from '../operations/operations.service.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import type { NamespaceShape } from './collection-diff.js';
import { isChosen, type RestoreChoice } from './restore-choice.js';
import type { PlanCheckRow } from './restore-plan.entity.js';
import type { SourceRef } from './restore-source.js';
import { circularViews, viewSources } from './view-sources.js';

const passed = (key: string, message: string): PlanCheckRow => ({ key, ok: true, blocking: true, message, hint: null });
const failed = (key: string, message: string, hint: string | null, blocking = true): PlanCheckRow => ({ key, ok: false, blocking, message, hint });
const failedOf = (key: string, error: AppError): PlanCheckRow => failed(key, error.message, error.hint);

/** What must be right for a restore to go well, each as a sentence for people. */
@Injectable()
export class PlanChecks {
  constructor(
    private readonly encryption: TenantEncryption,
    private readonly keys: EncryptionService,
    private readonly policies: PoliciesService,
    private readonly backups: BackupsService,
    private readonly operations: OperationsService,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** The safety backup needs the current key, the archive its own. */
  async key(scope: TenantScope, { keyId }: SourceRef): Promise<PlanCheckRow> {
    const stopped = this.encryption.whyStopped(await this.policies.of(scope));
    if (stopped !== null) return failed('key', stopped, errorCatalogue.ENCRYPTION_KEY_MISSING.hint);
    if (keyId !== null && this.keys.keyRing.find(keyId) === null) return failed('key', `The server does not have the key ${keyId} of the archive`, errorCatalogue.KEY_UNKNOWN.hint);
    const safety = (await this.encryption.seals(scope)) ? 'the safety backup will be' : 'neither will the safety backup be';
    return passed('key', keyId === null ? `The archive is not encrypted; ${safety}` : `The key ${keyId} is there`);
  }

  failedKey(error: AppError): PlanCheckRow {
    return failedOf('key', error);
  }

  integrity(error: AppError | null, fullRead: boolean, unknown?: string): PlanCheckRow {
    if (unknown !== undefined) return failed('integrity', unknown, null);
    if (error !== null) return failedOf('integrity', error);
    return passed('integrity', fullRead ? 'Every byte of the archive was read and is right' : 'What the archive says of itself is right; the restore reads all that it needs of it before it changes anything');
  }

  target(error: AppError | null): PlanCheckRow {
    return error === null ? passed('target', 'The database answers') : failedOf('target', error);
  }

  async privileges(session: EngineSession): Promise<PlanCheckRow> {
    try {
      await session.requirePrivileges('BACKUP');
      await session.requirePrivileges('RESTORE');
      return passed('privileges', 'The database user may do all that a restore needs');
    } catch (error) {
      const cause = asAppError(error);
      if (cause.code !== 'TARGET_PRIVILEGE_MISSING') throw error;
      return failedOf('privileges', cause);
    }
  }

  /** A newer server reads what an older one wrote; the other way round options and indexes may be unknown. */
  version(live: string, archive: string | null): PlanCheckRow {
    if (archive === null) return passed('engineVersion', `The database runs version ${live}`);
    const [liveMajor = 0, liveMinor = 0] = live.split('.').map(Number);
    const [archiveMajor = 0, archiveMinor = 0] = archive.split('.').map(Number);
    const isOlder = liveMajor < archiveMajor || (liveMajor === archiveMajor && liveMinor < archiveMinor);
    if (!isOlder) return passed('engineVersion', `The database runs version ${live}, the archive is of version ${archive}`);
    return failed('engineVersion', `The database runs version ${live}, older than version ${archive} of the archive`, 'Update the database server, or try a dry run first', liveMajor < archiveMajor);
  }

  /** Of the safety backup: it is outside the workspace's quota, not outside the store. */
  async space(scope: TenantScope, liveBytes: number): Promise<PlanCheckRow> {
    try {
      const freeBytes = await this.store.freeBytes();
      if (freeBytes === null) return passed('space', 'The archive store takes what it is given');
      const last = await this.backups.findLastGood(scope);
      const neededBytes = last?.sizeBytes ?? Math.ceil(liveBytes / 20);
      if (freeBytes >= neededBytes) return passed('space', `The archive store has ${freeBytes} bytes free; the safety backup needs about ${neededBytes}`);
      return failed('space', `The archive store has ${freeBytes} bytes free; the safety backup needs about ${neededBytes}`, errorCatalogue.STORAGE_FULL.hint);
    } catch (error) {
      return failedOf('space', asAppError(error));
    }
  }

  /** The safety backup is outside the quota, so the restore goes on; the workspace's next backup does not. */
  async quota(scope: TenantScope, quotaBytes: number | null): Promise<PlanCheckRow> {
    if (quotaBytes === null) return passed('quota', 'The workspace has no storage quota');
    const { usedBytes } = await this.backups.storageTotals(scope);
    const message = `${usedBytes} of ${quotaBytes} bytes of the storage quota are used; the safety backup is outside it`;
    if (usedBytes < quotaBytes) return passed('quota', message);
    return failed('quota', `${message}. The restore goes on, the next backup does not fit`, errorCatalogue.STORAGE_QUOTA_EXCEEDED.hint, false);
  }

  /** A chosen view shows what the collections that it reads hold afterwards, chosen or not. A view that would then read itself the server refuses only in SWAP, from which there is no way back. */
  dependencies(archived: readonly NamespaceShape[], choice: RestoreChoice, live: readonly Pick<NamespaceShape, 'name' | 'kind' | 'options'>[] | null): PlanCheckRow[] {
    const kept = choice.collections === null ? [] : (live ?? []).filter(({ name }) => !isChosen(choice, name));
    const views = [...kept, ...archived].flatMap(({ name, kind, options }) => (kind === 'view' && options !== null ? [[name, viewSources(options)] as const] : []));
    const circular = circularViews(new Map(views)).map((name) => `"${name}"`);
    if (circular.length > 0) return [failed('dependencies', `These views would read each other in a circle, which the server refuses: ${circular.slice(0, 20).join(', ')}`, 'Choose all of these views or none of them, or drop the live ones first')];
    if (choice.collections === null) return [];
    const rows = archived.flatMap(({ name, kind, options }): PlanCheckRow[] => {
      const others = kind === 'view' && options !== null ? viewSources(options).filter((source) => !isChosen(choice, source)) : [];
      return others.map((source) => {
        const isLive = live?.some((namespace) => namespace.name === source) ?? true;
        const effect = isLive ? 'it will show that one as it is now' : 'which is not in the database either: it will show nothing of it';
        return failed('dependencies', `The view "${name}" reads "${source}", which is not chosen: ${effect}`, 'Choose the collections that the view reads as well, if it is to show what it showed then', false);
      });
    });
    return rows.length > 0 ? rows : [passed('dependencies', 'No chosen view reads a collection that is not chosen')];
  }

  /** Of what a MERGE cannot take: the engine refuses it as well, but later. */
  merge(archived: readonly NamespaceShape[], live: readonly Pick<NamespaceShape, 'name' | 'kind' | 'options'>[], { merge }: RestoreChoice, inspection: TargetInspection | null): PlanCheckRow[] {
    if (merge === null) return [];
    if (inspection?.topology === 'standalone') return [failed('merge', 'The database server stands alone and has no transactions, which a merge needs', 'Use REPLACE')];
    const isPlain = ({ name, kind, options }: Pick<NamespaceShape, 'name' | 'kind' | 'options'>): boolean =>
      kind === 'collection' && !name.startsWith('system.') && (options === null || (JSON.parse(options) as { readonly capped?: unknown }).capped !== true);
    const refused = [...new Set([...archived, ...live].filter((shape) => !isPlain(shape)).map(({ name }) => `"${name}"`))].sort();
    if (refused.length === 0) return [passed('merge', 'All chosen collections can be merged')];
    return [failed('merge', `Capped collections, time series, views and the server's own collections cannot be merged: ${refused.slice(0, 20).join(', ')}`, 'Choose the other collections, and use REPLACE for these')];
  }

  async environment(scope: TenantScope): Promise<PlanCheckRow[]> {
    const running = await this.operations.findRunning(scope.tenantId);
    if (running === null) return [passed('runningWork', 'Nothing else runs in the workspace')];
    // It may well be over by the time the restore starts, which checks again.
    return [failed('runningWork', `The ${running.kind.toLowerCase()} ${toGlobalId('Operation', running.id)} has not finished yet`, errorCatalogue.OPERATION_ALREADY_RUNNING.hint, false)];
  }
}
