import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import type { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { Actor } from '../platform/auth/actor.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { notFound } from '../platform/graphql/global-id.js';
import { OperationFeed } from './operation-feed.js';
import { OperationHandlers } from './operation-handlers.js';
import type { OperationEntity } from './operation.entity.js';
import { type OperationFilter, OperationsRepository } from './operations.repository.js';
import { OperationsService } from './operations.service.js';

/** A role that was taken away ends a subscription at most this much later. */
const authorizeEveryMs = 10_000;

/** What people do with operations. Whoever sees a tenant sees its operations; canceling needs what the start needed. */
@Injectable()
export class OperationAccess {
  constructor(
    private readonly repository: OperationsRepository,
    private readonly operations: OperationsService,
    private readonly handlers: OperationHandlers,
    private readonly feed: OperationFeed,
    private readonly access: AccessService,
    private readonly audit: AuditService,
  ) {}

  /** @throws AppError NOT_FOUND, for another tenant's as for one that does not exist */
  async get(actor: Actor, id: string): Promise<OperationEntity> {
    const operation = await this.repository.findAnywhere(id);
    if (operation === null) throw notFound('Operation');
    await this.authorize(actor, operation.tenantId, null);
    return operation;
  }

  /** @throws AppError NOT_FOUND */
  async list(actor: Actor, tenantId: string, filter: OperationFilter, page: Page): Promise<PageOfRows<OperationEntity>> {
    const scope = await this.access.authorize(actor, tenantId, null);
    return this.repository.page(scope.tenantId, filter, page);
  }

  /** @throws AppError NOT_FOUND, FORBIDDEN, NOT_CANCELABLE */
  async cancel(actor: Actor, id: string): Promise<OperationEntity> {
    const { tenantId, kind } = await this.get(actor, id);
    const handler = this.handlers.find(kind);
    if (handler === null) throw new AppError('NOT_CANCELABLE', 'This version of Holdfast does not know this kind of operation');
    await this.authorize(actor, tenantId, handler.permission);
    const operation = await this.operations.cancel(tenantId, id);
    await this.audit.record({ action: 'operation.canceled', tenantId, actor, subject: { type: 'Operation', id }, detail: { kind } });
    return operation;
  }

  async watch(actor: Actor, id: string): Promise<AsyncIterableIterator<OperationEntity>> {
    const { tenantId } = await this.get(actor, id);
    return this.whileAllowed(actor, tenantId, this.feed.watch(id));
  }

  async watchTenant(actor: Actor, tenantId: string): Promise<AsyncIterableIterator<OperationEntity>> {
    const scope = await this.access.authorize(actor, tenantId, null);
    return this.whileAllowed(actor, scope.tenantId, this.feed.watchTenant(scope.tenantId));
  }

  private async authorize(actor: Actor, tenantId: string, permission: Permission | null): Promise<TenantScope> {
    try {
      return await this.access.authorize(actor, tenantId, permission);
    } catch (error) {
      throw error instanceof AppError && error.code === 'NOT_FOUND' ? notFound('Operation') : error;
    }
  }

  /** Completes the stream when the actor no longer sees the tenant. */
  private whileAllowed(actor: Actor, tenantId: string, states: AsyncIterableIterator<OperationEntity>): AsyncIterableIterator<OperationEntity> {
    let checkedAtMs = performance.now();
    const end = async (): Promise<IteratorResult<OperationEntity, undefined>> => {
      await states.return?.();
      return { done: true, value: undefined };
    };
    return {
      next: async () => {
        const result: IteratorResult<OperationEntity, unknown> = await states.next();
        if (result.done === true) return { done: true, value: undefined };
        if (performance.now() - checkedAtMs > authorizeEveryMs) {
          const isAllowed = await this.access.authorize(actor, tenantId, null).then(() => true, (error: unknown) => !(error instanceof AppError));
          if (!isAllowed) return end();
          checkedAtMs = performance.now();
        }
        return result;
      },
      return: end,
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}
