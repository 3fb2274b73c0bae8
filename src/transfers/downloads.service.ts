import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import type { ApprovableWork } from '../approvals/approvable-work.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { type AuditRecord, AuditService } from '../audit/audit.service.js';
import { ArchiveFiles, archiveRefOf } from '../backups/archive-files.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { BackupsService, requireUsable } from '../backups/backups.service.js';
import { AppConfig } from '../config/app-config.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { notFound } from '../platform/graphql/global-id.js';
import { hashOfToken, newToken } from '../platform/secrets/link-token.js';
import { PoliciesService } from '../policies/policies.service.js';
import { requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import type { DownloadEntity, DownloadVariant } from './download.entity.js';
import { DownloadsRepository } from './downloads.repository.js';
import type { DownloadCreateInput } from './dto/download.inputs.js';
import { addRange, coversWhole, type SentRange } from './sent-ranges.js';

const validForSeconds = 5 * 60;

export interface DownloadLink {
  readonly url: string;
  readonly expiresAt: Date;
}

/** What a link leads to, open; whoever has it closes it. */
export interface DownloadFile {
  readonly fileName: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Changes whenever the bytes do. */
  readonly entityTag: string;
  readonly acceptsRanges: boolean;
  /** From `start` up to, not including, `end`. */
  stream(start: number, end: number): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/** A link that was spent by bytes that are about to go out; what had gone out before them. */
export interface SpentLink {
  readonly before: readonly SentRange[];
}

/** Links to archives that need no header: a random token, kept as its hash, good for minutes and for one whole file. */
@Injectable()
export class DownloadsService {
  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly backups: BackupsService,
    private readonly files: ArchiveFiles,
    private readonly downloads: DownloadsRepository,
    private readonly policies: PoliciesService,
    private readonly tenants: TenantsService,
    private readonly approvals: ApprovalsService,
  ) {}

  async create(actor: Actor, input: DownloadCreateInput): Promise<DownloadLink> {
    const backup = await this.backups.get(actor, input.backupId);
    const scope = await this.authorize(actor, backup);
    const { variant } = input;
    // What is missing or does not open is said here, where a person can read it, not to a download manager.
    await (await this.openFile(backup, variant)).close();
    const token = newToken();
    const id = randomUUID();
    const expiresAt = await this.dataSource.transaction(async (manager) => {
      await this.approvals.require(actor, downloadOf(backup, variant), manager);
      const ends = await this.downloads.insert(scope, { id, backupId: backup.id, variant, tokenHash: token.hash, validForSeconds, byProvider: actor.isProvider, createdBy: stampOf(actor) }, manager);
      await this.audit.record({ action: 'download.created', tenantId: scope.tenantId, actor, subject: { type: 'Backup', id: backup.id }, detail: { fileName: backup.fileName, variant } }, manager);
      return ends;
    });
    return { url: `${this.config.publicUrl}/downloads/${token.text}`, expiresAt };
  }

  /** What `create` would do, for a request for approval. */
  async describe(actor: Actor, backupId: string, variant: DownloadVariant): Promise<ApprovableWork> {
    const backup = await this.backups.getByUuid(actor, backupId);
    await this.authorize(actor, backup);
    return downloadOf(backup, variant);
  }

  private async authorize(actor: Actor, backup: BackupEntity): Promise<TenantScope> {
    const scope = await this.access.authorize(actor, backup.tenantId, Permission.BACKUP_DOWNLOAD);
    await this.tenants.requireOpen(actor, scope);
    await this.policies.require(actor, scope, 'allowDownload');
    requireUsable(backup);
    return scope;
  }

  /** @throws AppError NOT_FOUND, DOWNLOAD_EXPIRED, ADDRESS_REFUSED, TENANT_SUSPENDED, ARCHIVE_*, KEY_* */
  async open(token: string, address: string): Promise<{ readonly download: DownloadEntity; readonly file: DownloadFile }> {
    const hash = hashOfToken(token);
    const found = hash === null ? null : await this.downloads.findByToken(hash);
    if (found === null) throw notFound('Download');
    const { download, isOpen } = found;
    if (!isOpen) throw new AppError('DOWNLOAD_EXPIRED', download.spentAt === null ? 'The download link has expired' : 'The download link was used already');
    await this.access.requireAddress(download, address, Permission.BACKUP_DOWNLOAD);
    if (!download.byProvider) requireNotSuspended(await this.tenants.get(download));
    const backup = await this.backups.find(download, download.backupId);
    if (backup === null) throw notFound('Download');
    requireUsable(backup);
    return { download, file: await this.openFile(backup, download.variant) };
  }

  /**
   * Right before the last bytes of a range go out: if nothing is missing with them the link is spent, so that whoever has the whole file finds it closed. Null where something is missing.
   *
   * @throws AppError DOWNLOAD_EXPIRED where another transfer has sent the whole file meanwhile
   */
  async spend(download: DownloadEntity, file: DownloadFile, range: SentRange): Promise<SpentLink | null> {
    const noted = await this.downloads.note(download.id, (before) => {
      const sent = addSent(file, before, range);
      // A range that is not out yet is noted only with the link's end.
      return coversWhole(sent, file.sizeBytes) ? { sent, isWhole: true } : { sent: before, isWhole: false };
    });
    if (noted === null) throw new AppError('DOWNLOAD_EXPIRED', 'The download link was used already');
    return noted.isWhole ? { before: noted.before } : null;
  }

  /** The last bytes of a link that was spent are out. */
  async noteFinished(download: DownloadEntity, file: DownloadFile, address: string): Promise<void> {
    await this.audit.record(finished(download, file, address));
  }

  /** The last bytes of a link that was spent did not go out: the rest may be fetched. */
  async reopen(download: DownloadEntity, file: DownloadFile, { before }: SpentLink, range: SentRange): Promise<void> {
    await this.downloads.reopen(download.id, addSent(file, before, range));
  }

  /** Notes what has gone out of a link that is not spent; with what others have sent meanwhile it may be the whole file. */
  async noteSent(download: DownloadEntity, file: DownloadFile, range: SentRange, address: string): Promise<void> {
    await this.downloads.note(
      download.id,
      (before) => {
        const sent = addSent(file, before, range);
        return { sent, isWhole: coversWhole(sent, file.sizeBytes) };
      },
      (manager) => this.audit.record(finished(download, file, address), manager),
    );
  }

  private async openFile(backup: BackupEntity, variant: DownloadEntity['variant']): Promise<DownloadFile> {
    const ref = archiveRefOf(backup);
    const fileName = backup.fileName ?? backup.id;
    const plainType = backup.codec === 'GZIP' ? 'application/gzip' : backup.codec === 'ZSTD' ? 'application/zstd' : 'application/octet-stream';
    // What is not encrypted is the same file either way.
    if (variant === 'ARCHIVE' || !backup.encrypted) {
      const object = await this.files.openObject(ref);
      return {
        fileName,
        mediaType: backup.encrypted ? 'application/octet-stream' : plainType,
        sizeBytes: object.sizeBytes,
        entityTag: `"${ref.sha256}"`,
        acceptsRanges: true,
        stream: (start, end) => object.stream(start, end),
        close: () => object.close(),
      };
    }
    // The trailer is authentic before the first byte goes out, and each piece has passed its tag: a damaged archive breaks off, it never ends well.
    const archive = await this.files.openAny(backup, ref);
    return {
      fileName: fileName.replace(/\.enc$/, ''),
      mediaType: plainType,
      sizeBytes: archive.compressedBytes,
      entityTag: `"${ref.sha256}-plain"`,
      acceptsRanges: false,
      stream: () => archive.compressed(),
      close: () => archive.close(),
    };
  }
}

function downloadOf({ id, tenantId, name, fileName, sha256 }: BackupEntity, variant: DownloadVariant): ApprovableWork {
  const summary = `download the backup "${name}" (${fileName ?? id})${variant === 'DECRYPTED' ? ' decrypted' : ''}`;
  return { tenantId, action: 'DOWNLOAD', subject: { type: 'Backup', id }, summary, binds: { backupId: id, sha256, variant } };
}

/** What cannot be resumed counts only as a whole. */
function addSent(file: DownloadFile, before: readonly SentRange[], range: SentRange): SentRange[] {
  return file.acceptsRanges || range[1] >= file.sizeBytes ? addRange(before, range) : [...before];
}

function finished({ tenantId, createdBy, backupId, variant }: DownloadEntity, { fileName }: DownloadFile, address: string): AuditRecord {
  return { action: 'download.finished', tenantId, actor: createdBy, address, subject: { type: 'Backup', id: backupId }, detail: { fileName, variant } };
}
