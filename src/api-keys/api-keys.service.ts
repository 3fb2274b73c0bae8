import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { MembersService } from '../access/members.service.js';
import { Permission } from '../access/permission.js';
import { permissionsOfRole } from '../access/role.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { type ApiKeyDirectory, type ApiKeyIdentity, apiKeyPrefix } from '../platform/auth/api-key-directory.js';
import { runInTransaction } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { EventBus } from '../platform/events/event-bus.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { hashOfToken, newToken } from '../platform/secrets/link-token.js';
import { PoliciesService } from '../policies/policies.service.js';
import type { ApiKeyEntity } from './api-key.entity.js';
import { type ApiKeyOwner, ApiKeysRepository } from './api-keys.repository.js';

const dayMs = 24 * 3_600_000;
const standardMs = 365 * dayMs;
const longestMs = 2 * 365 * dayMs;
const mostPerOwner = 50;

/** What takes a person: a code that is sent, an agreement, and making people, who could do all of that. */
const ofPeople: ReadonlySet<Permission> = new Set([Permission.APPROVE, Permission.MEMBER_MANAGE, Permission.RESET_RUN]);

export interface ApiKeyDraft {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly expiresAt?: Date | null | undefined;
}

/** Keys for programs: a tenant's are made by those who manage its members, the provider's by the provider. */
@Injectable()
export class ApiKeysService implements ApiKeyDirectory, OnModuleInit {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
    private readonly keys: ApiKeysRepository,
    private readonly members: MembersService,
    private readonly policies: PoliciesService,
  ) {}

  /** Whoever may do less from now on has no key left that may do more. */
  onModuleInit(): void {
    this.members.watch(async (member, role, manager) => {
      const left = role === null ? [] : permissionsOfRole[role];
      for (const { id, name } of await this.keys.madeBy(member.tenantId, member, left, manager)) await this.end(null, member.tenantId, { id, name }, manager);
    });
  }

  async findByKey(key: string): Promise<ApiKeyIdentity | null> {
    const hash = hashOfToken(key.slice(apiKeyPrefix.length));
    const row = hash === null ? null : await this.keys.use(hash);
    return row && { id: row.id, name: row.name, grants: { tenantId: row.tenantId, permissions: row.permissions }, expiresAt: row.expiresAt };
  }

  /**
   * @returns the key: nobody can read it again
   * @throws AppError FORBIDDEN for a permission that the actor lacks, STEP_UP_REQUIRED, BAD_USER_INPUT
   */
  async create(actor: Actor, tenantGlobalId: string | null, { name, permissions, expiresAt }: ApiKeyDraft): Promise<{ readonly apiKey: ApiKeyEntity; readonly key: string }> {
    this.access.requirePerson(actor);
    const owner = await this.authorize(actor, tenantGlobalId === null ? null : fromGlobalId('Tenant', tenantGlobalId));
    const wanted = [...new Set(permissions)].sort();
    const personal = wanted.find((permission) => ofPeople.has(permission));
    if (personal !== undefined) throw new AppError('BAD_USER_INPUT', `permissions: ${personal} is for people`, { field: ['permissions'] });
    if (owner !== null) {
      for (const permission of wanted) await this.access.authorize(actor, owner, permission);
      await this.policies.requireFreshLogin(actor, { tenantId: owner });
    }
    const ends = expiresAt ?? new Date(Date.now() + standardMs);
    if (ends.getTime() <= Date.now() || ends.getTime() > Date.now() + longestMs) throw new AppError('BAD_USER_INPUT', 'expiresAt: must be in the future, and at most two years from now', { field: ['expiresAt'] });
    const token = newToken();
    const id = randomUUID();
    const apiKey = await runInTransaction(this.dataSource, async (manager) => {
      if ((await this.keys.countGood(owner, manager)) >= mostPerOwner) throw new AppError('BAD_USER_INPUT', `There are ${mostPerOwner} API keys already: revoke one`);
      await this.keys.insert({ id, tenantId: owner, name, permissions: wanted, keyHash: token.hash, hint: token.text.slice(-4), createdBy: stampOf(actor), expiresAt: ends }, manager);
      await this.audit.record({ action: 'api-key.created', tenantId: owner, actor, subject: { type: 'ApiKey', id }, detail: { name, permissions: wanted.join(', '), expiresAt: ends.toISOString() } }, manager);
      return this.require(id, manager);
    });
    return { apiKey, key: apiKeyPrefix + token.text };
  }

  /** At once, sockets included. Idempotent. */
  async revoke(actor: Actor, globalId: string): Promise<ApiKeyEntity> {
    this.access.requirePerson(actor);
    const found = await this.get(actor, fromGlobalId('ApiKey', globalId));
    return runInTransaction(this.dataSource, async (manager) => {
      await this.end(actor, found.tenantId, found, manager);
      return this.require(found.id, manager);
    });
  }

  async list(actor: Actor, tenantId: string | null, page: Page): Promise<PageOfRows<ApiKeyEntity>> {
    return this.keys.list(await this.authorize(actor, tenantId), page);
  }

  /** Another tenant's, and to a tenant the provider's, answers like one that does not exist. */
  async get(actor: Actor, id: string): Promise<ApiKeyEntity> {
    const row = await this.keys.findAnywhere(id);
    if (row === null || (row.tenantId === null && !actor.isProvider)) throw notFound('ApiKey');
    if (row.tenantId !== null) await this.access.authorizeRow(actor, 'ApiKey', { tenantId: row.tenantId }, Permission.MEMBER_MANAGE);
    return row;
  }

  private async authorize(actor: Actor, tenantId: string | null): Promise<ApiKeyOwner> {
    if (tenantId !== null) return (await this.access.authorize(actor, tenantId, Permission.MEMBER_MANAGE)).tenantId;
    this.access.requireProvider(actor);
    return null;
  }

  private async end(actor: Actor | null, owner: ApiKeyOwner, { id, name }: Pick<ApiKeyEntity, 'id' | 'name'>, manager: EntityManager): Promise<void> {
    if (!(await this.keys.revoke(owner, id, manager))) return;
    await this.audit.record({ action: 'api-key.revoked', tenantId: owner, actor, subject: { type: 'ApiKey', id }, detail: { name } }, manager);
    await this.bus.publish({ topic: 'account', id, tenantId: owner ?? '', revision: 0 }, manager);
  }

  private async require(id: string, manager: EntityManager): Promise<ApiKeyEntity> {
    const row = await this.keys.findAnywhere(id, manager);
    if (row === null) throw notFound('ApiKey');
    return row;
  }
}
