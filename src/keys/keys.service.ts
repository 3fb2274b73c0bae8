import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { sealRecoveryKit } from '#archive';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { BackupKeys, type KeyUse } from '../backups/backup-keys.js';
import { EncryptionService } from '../encryption/encryption.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ReencryptHandler } from './reencrypt.handler.js';

export interface KeyState extends KeyUse {
  /** New archives are encrypted with it. */
  readonly isCurrent: boolean;
  /** The server has it. */
  readonly isAvailable: boolean;
}

export interface ReencryptAll {
  readonly started: readonly OperationEntity[];
  /** Archives without encryption that stay so. */
  readonly plain: number;
}

/** The command line of the server acts for nobody in particular. */
const commandStamp: ActorStamp = { id: 'system:holdfast-admin', kind: 'SYSTEM', email: null, name: 'holdfast-admin' };

@Injectable()
export class KeysService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly operations: OperationsService,
    private readonly encryption: EncryptionService,
    private readonly wishes: TenantEncryption,
    private readonly backups: BackupKeys,
    private readonly handler: ReencryptHandler,
  ) {}

  /** Every key that the server has or an archive needs, the current one first. */
  async list(): Promise<KeyState[]> {
    const { keyRing } = this.encryption;
    const used = new Map((await this.backups.usage()).map((use) => [use.keyId, use]));
    const ids = [...new Set([...keyRing.ids, ...used.keys()])];
    return ids.map((keyId) => ({
      ...(used.get(keyId) ?? { keyId, archives: 0, bytes: 0, tenants: 0 }), isCurrent: keyId === keyRing.current?.id, isAvailable: keyRing.find(keyId) !== null,
    }));
  }

  async reencrypt(actor: Actor, tenantId: string, idempotencyKey: string | null): Promise<OperationEntity> {
    const scope = await this.access.authorize(actor, tenantId, Permission.STORAGE_MANAGE);
    await this.tenants.requireOpen(actor, scope);
    return this.start(scope.tenantId, actor.id, stampOf(actor), idempotencyKey);
  }

  /** For the operator of the server: one operation for each tenant that has archives under another key, or without one where its policy wants encryption; or for this one tenant. */
  async reencryptAll(tenantId: string | null): Promise<ReencryptAll> {
    const { keyId } = this.encryption.sealingKey(tenantId ?? '');
    const started: OperationEntity[] = [];
    let plain = 0;
    for (const besides of await this.backups.tenantsBesides(keyId)) {
      if (tenantId !== null && besides.tenantId !== tenantId) continue;
      const seals = await this.wishes.seals(besides);
      plain += besides.foreignPlain + (seals ? 0 : besides.plain);
      if (besides.keyed > 0 || (seals && besides.plain > 0)) started.push(await this.start(besides.tenantId, commandStamp.id, commandStamp, null));
    }
    return { started, plain };
  }

  /**
   * The keys that open the tenant's archives, under a passphrase: for the operator of the server alone.
   *
   * @throws AppError BAD_USER_INPUT for a short passphrase and where nothing is encrypted, KEY_UNKNOWN where the server lacks a key of it, ENCRYPTION_KEY_MISSING
   */
  async recoveryKit(tenantId: string, passphrase: string): Promise<string> {
    const { id, slug, name } = await this.tenants.get({ tenantId });
    const used = await this.backups.keysOf({ tenantId });
    const ids = new Set((await this.wishes.seals({ tenantId })) ? [this.encryption.sealingKey(id).keyId, ...used] : used);
    if (ids.size === 0) throw new AppError('BAD_USER_INPUT', 'Nothing of the workspace is encrypted: its archives are read without a key');
    const keys = [...ids].map((keyId) => {
      const tenantKey = this.encryption.keyRing.tenantKey(keyId, id);
      if (tenantKey === null) throw new AppError('KEY_UNKNOWN', `Archives of the workspace need the key ${keyId}, which the server does not have`);
      return { id: keyId, tenantKey };
    });
    const kit = sealRecoveryKit({ tenant: { id, slug, name }, keys }, passphrase);
    await this.audit.record({ action: 'keys.recovery-kit-made', tenantId, actor: commandStamp, detail: { keys: [...ids].join(', ') } });
    return kit;
  }

  private start(tenantId: string, actorId: string, startedBy: ActorStamp, idempotencyKey: string | null): Promise<OperationEntity> {
    const { keyId } = this.encryption.sealingKey(tenantId);
    return runInTransaction(this.dataSource, async (manager) => {
      const { operation, replayed } = await this.operations.start(manager, {
        handler: this.handler, tenantId, input: { keyId }, startedBy, actorId, idempotencyKey, idempotencyInput: { tenantId },
      });
      if (!replayed) await this.audit.record({ action: 'keys.reencrypt-started', tenantId, actor: startedBy, subject: { type: 'Operation', id: operation.id }, detail: { keyId } }, manager);
      return operation;
    });
  }
}
