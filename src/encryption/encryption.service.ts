import { Injectable, Logger } from '@nestjs/common';
import { deriveTenantKey, KeyRing } from '#archive';
import { AppError } from '#errors';
import { AppConfig } from '../config/app-config.js';
import type { EncryptionStatus } from './encryption-state.model.js';

export interface EncryptionSummary {
  readonly state: EncryptionStatus;
  /** What a frontend shows on top of the page; null when all is well. */
  readonly banner: string | null;
  readonly keyId: string | null;
}

export interface SealingKey {
  readonly keyId: string;
  /** 32 bytes. */
  readonly tenantKey: Buffer;
}

const nothingRuns = 'No backup and no restore starts until it is, and archives cannot be read';

/** The keys of the installation. A missing or malformed current key leaves the server running, so that people can be told. */
@Injectable()
export class EncryptionService {
  private readonly logger = new Logger(EncryptionService.name);
  readonly summary: EncryptionSummary;
  /** For readers of archives: the current key and the old ones. */
  readonly keyRing: KeyRing;

  /** @throws AppError when two keys have the same id: boot stops */
  constructor(config: AppConfig) {
    const old = config.backupEncryptionKeysOld.join(',');
    const problem = problemOf(config.backupEncryptionKey);
    this.keyRing = KeyRing.parse(problem === null ? config.backupEncryptionKey : undefined, old);
    this.summary = summaryOf(this.keyRing, problem);
    if (this.summary.banner !== null) this.logger.warn({ msg: 'Encryption is not ready', state: this.summary.state, banner: this.summary.banner });
  }

  get isReady(): boolean {
    return this.summary.state === 'READY';
  }

  /**
   * Asked before anything is queued.
   *
   * @throws AppError ENCRYPTION_KEY_MISSING
   */
  requireKey(): void {
    this.currentKey();
  }

  /**
   * What a new archive of the tenant is encrypted with.
   *
   * @throws AppError ENCRYPTION_KEY_MISSING
   */
  sealingKey(tenantId: string): SealingKey {
    const key = this.currentKey();
    return { keyId: key.id, tenantKey: deriveTenantKey(key, tenantId) };
  }

  private currentKey(): { readonly id: string; readonly key: Buffer } {
    const { current } = this.keyRing;
    if (current === null) throw new AppError('ENCRYPTION_KEY_MISSING', this.summary.state === 'KEY_INVALID' ? 'The encryption key of the server is malformed' : 'The server has no encryption key');
    return current;
  }
}

function problemOf(current: string | undefined): string | null {
  try {
    KeyRing.parse(current);
    return null;
  } catch (error) {
    if (error instanceof AppError) return error.message;
    throw error;
  }
}

function summaryOf({ current }: KeyRing, problem: string | null): EncryptionSummary {
  if (current !== null) return { state: 'READY', banner: null, keyId: current.id };
  if (problem !== null) return { state: 'KEY_INVALID', banner: `The encryption key of the server is malformed. BACKUP_ENCRYPTION_KEY must be mended. ${nothingRuns}`, keyId: null };
  return { state: 'KEY_MISSING', banner: `The server has no encryption key. BACKUP_ENCRYPTION_KEY must be set. ${nothingRuns}`, keyId: null };
}
