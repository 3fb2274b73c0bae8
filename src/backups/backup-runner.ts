import { Injectable } from '@nestjs/common';
import { AppError, asAppError } from '#errors';
import type { EngineSession, NamespaceSummary, SetAsideNamespace } from '#engines';
import { AppConfig } from '../config/app-config.js';
import { EncryptionService } from '../encryption/encryption.service.js';
import { PoliciesService } from '../policies/policies.service.js';
import { failureOfAny } from '../operations/operation-failure.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ArchiveFiles } from './archive-files.js';
import { ArchiveRecorder, type WrittenArchive } from './archive-recorder.js';
import { type BackupEntity, isUsable, readWhole } from './backup.entity.js';
import type { BackupWork } from './backup-work.js';
import { BackupsRepository } from './backups.repository.js';

// Each attempt reads what the one before lost first: a collection that is lost once more is replaced all the time.
const changesBorne = 2;
/** A server that lost a snapshot is not asked for one for so long: its window may be raised, and its database shrink. */
const withoutSnapshotMs = 24 * 3_600_000;
const unfinished = ['QUEUED', 'RUNNING', 'FAILED', 'CANCELED'] as const;

export interface BackupRunOptions {
  /** Of the tenant's target; the caller opened it and closes it. */
  readonly session: EngineSession;
  /** Dump what a restore set aside, under its own names. */
  readonly only?: readonly SetAsideNamespace[];
}

/** Takes one backup: from its QUEUED row to COMPLETED once the stored bytes were read back, or to no bytes at all. */
@Injectable()
export class BackupRunner {
  constructor(
    private readonly backups: BackupsRepository,
    private readonly tenants: TenantsService,
    private readonly encryption: EncryptionService,
    private readonly recorder: ArchiveRecorder,
    private readonly files: ArchiveFiles,
    private readonly policies: PoliciesService,
    private readonly config: AppConfig,
  ) {}

  /** Before it throws it removes what it has written; the row is for the caller to end. */
  async run(work: BackupWork, backup: BackupEntity, options: BackupRunOptions): Promise<BackupEntity> {
    try {
      await work.enter('PREPARE');
      await this.requireAsWished(work, backup);
      await work.fenced((manager) => this.backups.update(work, backup.id, ['QUEUED', 'RUNNING'], { state: 'RUNNING' }, manager));
      await this.prepare(work, backup, options.session);
      await work.enter('DUMP');
      const written = await this.dump(work, backup, options);
      await work.enter('READ_BACK');
      await work.faultPoint('backup.read-back');
      await this.files.readBack(work, written.ref, (archive) => requireSame(written.dump.namespaces, archive.namespaces));
      work.signal.throwIfAborted();
      return await this.complete(work, backup, written);
    } catch (error) {
      // Whoever has the lease now cleans up; a second cleaner could remove what the first one's successor has just written.
      if (!isLeaseLost(error) && !isLeaseLost(work.signal.reason)) await this.tryToRemoveBytes(work, backup);
      throw error;
    }
  }

  /** Removes the bytes of a backup that came to nothing, and ends its row, whether the store lets them go or not. Idempotent. */
  async discard(work: Pick<BackupWork, 'fenced' | 'log'>, backup: BackupEntity, error: unknown): Promise<void> {
    await this.tryToRemoveBytes(work, backup);
    const failure = failureOfAny(error, backup.operationId ?? backup.id);
    const state = failure.code === 'CANCELED' ? 'CANCELED' : 'FAILED';
    await work.fenced((manager) => this.backups.update(backup, backup.id, ['QUEUED', 'RUNNING'], { state, failure, finishedAt: () => 'clock_timestamp()' }, manager));
  }

  /** What the store keeps for now is noted, and removed later by `BackupLeftovers`. @throws AppError LEASE_LOST */
  async tryToRemoveBytes(work: Pick<BackupWork, 'fenced' | 'log'>, backup: BackupEntity): Promise<void> {
    try {
      await this.removeBytes(work, backup);
    } catch (error) {
      if (isLeaseLost(error)) throw error;
      work.log(`The bytes of the unfinished backup are still in the archive store: ${asAppError(error).message}`, 'WARN');
      await work.fenced((manager) => this.backups.update(backup, backup.id, unfinished, { bytesLeft: true }, manager));
    }
  }

  /**
   * Asks first whose the operation is: a worker that does not know yet that it has lost its lease fails because the next one has discarded what it was writing, and
   * would take away that one's file, which may be a good backup by now.
   *
   * @throws AppError LEASE_LOST, STORAGE_UNAVAILABLE
   */
  async removeBytes(work: Pick<BackupWork, 'fenced'>, backup: BackupEntity): Promise<void> {
    const now = await work.fenced((manager) => this.backups.find(backup, backup.id, manager));
    if (backup.storeKey !== null && (now === null || !isUsable(now))) await this.files.remove(backup.storeKey);
  }

  /** Whether it is encrypted was decided when it was asked for, which may be a while ago. @throws AppError ENCRYPTION_KEY_MISSING, POLICY_FORBIDS */
  private async requireAsWished(work: BackupWork, { encrypted }: BackupEntity): Promise<void> {
    if (encrypted) this.encryption.requireKey();
    else if ((await this.policies.of(work)).encryption === 'REQUIRED') throw new AppError('POLICY_FORBIDS', 'Since the backup was asked for, backups of this workspace have to be encrypted: start it again');
  }

  private async prepare(work: BackupWork, backup: BackupEntity, session: EngineSession): Promise<void> {
    await session.requirePrivileges('BACKUP');
    const { sizeBytes } = await session.inspect();
    const freeBytes = await this.files.freeBytes();
    const last = await this.backups.lastGood(work);
    // A first backup's size is anybody's guess; business data hardly ever compress to less than a twentieth.
    const neededBytes = last?.sizeBytes ?? Math.ceil(sizeBytes / 20);
    if (freeBytes !== null && freeBytes < neededBytes) {
      throw new AppError('STORAGE_FULL', `The archive store has ${freeBytes} bytes free; the backup needs about ${neededBytes}`);
    }
    work.signal.throwIfAborted();
    work.log(`Writing ${backup.fileName ?? 'the archive'}; the database holds ${sizeBytes} bytes`);
  }

  private async dump(work: BackupWork, backup: BackupEntity, options: BackupRunOptions): Promise<WrittenArchive> {
    const tenant = await this.tenants.get(work);
    const { session, only } = options;
    const chosen = { ...(only === undefined ? {} : { only }), ...(backup.collections === null ? {} : { collections: backup.collections }) };
    const attempt = async (fuzzy: boolean): Promise<WrittenArchive> =>
      this.recorder.record({
        work,
        backup,
        tenant,
        quotaLeftBytes: backup.trigger === 'SAFETY' || tenant.quotaBytes === null ? null : Number(tenant.quotaBytes) - (await this.backups.storageTotals(work)).usedBytes,
        dump: (sink, dumpWork) => session.dump(sink, { fuzzy, concurrency: this.config.backupConcurrency, ...chosen }, dumpWork),
      });
    let fuzzy = hasLostSnapshot(tenant);
    for (let changes = 0; ; ) {
      try {
        return await attempt(fuzzy);
      } catch (error) {
        const { code, message } = asAppError(error);
        if (code === 'COLLECTION_CHANGED' && changes < changesBorne) {
          changes += 1;
          // The session reads what it lost first the next time.
          work.log(`${message}: reading once more from the start`, 'WARN');
        } else if (code === 'SNAPSHOT_TOO_OLD' && !fuzzy) {
          fuzzy = true;
          work.log('Reading took longer than the database server keeps a snapshot: reading once more without one. Raise minSnapshotHistoryWindowInSeconds on the server to have backups of one point in time', 'WARN');
          await work.fenced((manager) => this.tenants.noteLostSnapshot(work, manager));
        } else throw error;
      }
    }
  }

  private async complete(work: BackupWork, backup: BackupEntity, { ref, keyId, dump, rawBytes }: WrittenArchive): Promise<BackupEntity> {
    const facts = {
      state: 'COMPLETED' as const,
      keyId,
      salt: ref.salt === null ? null : Buffer.from(ref.salt, 'hex'),
      sha256: ref.sha256,
      manifestSha256: ref.manifestSha256,
      sizeBytes: ref.sizeBytes,
      rawSizeBytes: rawBytes,
      documents: dump.namespaces.reduce((sum, namespace) => sum + namespace.documents, 0),
      contents: dump.namespaces.map(({ name, kind, documents, bytes, indexes }) => ({ name, kind, documents, bytes, indexes })),
      consistency: dump.consistency === 'snapshot' ? ('SNAPSHOT' as const) : ('FUZZY' as const),
      clusterTime: dump.clusterTime,
      engineVersion: dump.engineVersion,
      verification: readWhole(ref.sha256, 'Read back whole from the archive store'),
    };
    return work.fenced(async (manager) => {
      await this.backups.update(work, backup.id, ['RUNNING', 'COMPLETED'], { ...facts, finishedAt: () => 'clock_timestamp()' }, manager);
      const completed = await this.backups.find(work, backup.id, manager);
      if (completed?.state !== 'COMPLETED') throw new AppError('INTERNAL', 'The row of the backup was ended by somebody else');
      return completed;
    });
  }
}

function hasLostSnapshot({ snapshotLostAt }: TenantEntity): boolean {
  return snapshotLostAt !== null && Date.now() - snapshotLostAt.getTime() < withoutSnapshotMs;
}

/** The manifest could only differ from what was dumped if this program wrote it wrongly. */
function requireSame(dumped: readonly NamespaceSummary[], stored: readonly NamespaceSummary[]): void {
  const facts = (list: readonly NamespaceSummary[]): string => JSON.stringify(list.map(({ name, documents, bytes, crc64, sum }) => [name, documents, bytes, crc64, sum]));
  if (facts(dumped) !== facts(stored)) throw new AppError('ARCHIVE_CORRUPT', 'The counts in the manifest are not those of the dump');
}

export function isLeaseLost(error: unknown): boolean {
  return error instanceof AppError && error.code === 'LEASE_LOST';
}
