import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, type ErrorCode, redact } from '#errors';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { AuditEventEntity, type AuditOutcome } from './audit-event.entity.js';

export interface AuditRecord {
  /** `<subject>.<what happened>`: `account.login`, `tenant.target-changed`, `backup.created`, `restore.started`, `download.created`. */
  readonly action: string;
  readonly outcome?: AuditOutcome;
  /** Null for what concerns no tenant, a login for example. */
  readonly tenantId: string | null;
  /** Whoever did it; a stamp where a worker finishes what an actor began; null where nobody is logged in. */
  readonly actor: Actor | ActorStamp | null;
  /** Default: the actor's. */
  readonly address?: string | null;
  readonly subject?: { readonly type: string; readonly id: string };
  /** Small facts for people: no secrets, no documents. */
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>;
}

export interface AuditFilterValues {
  readonly action?: string | null | undefined;
  readonly outcome?: AuditOutcome | null | undefined;
  /** An e-mail address in any case, or the id of an actor. */
  readonly actor?: string | null | undefined;
  readonly since?: Date | null | undefined;
  readonly until?: Date | null | undefined;
}

@Injectable()
export class AuditService {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Appends an event. With the manager of a transaction it is kept if and only if what it tells of is; a refusal is recorded without one, because its
   * transaction is rolled back.
   */
  async record(event: AuditRecord, manager: EntityManager = this.dataSource.manager): Promise<void> {
    const { actor } = event;
    await manager.insert(AuditEventEntity, {
      id: randomUUID(),
      tenantId: event.tenantId,
      at: () => 'clock_timestamp()',
      action: event.action,
      outcome: event.outcome ?? 'OK',
      actor: actor === null ? null : isActor(actor) ? stampOf(actor) : actor,
      address: event.address ?? (actor !== null && isActor(actor) ? actor.address : null),
      subjectType: event.subject?.type ?? null,
      subjectId: event.subject?.id ?? null,
      detail: Object.fromEntries(Object.entries(event.detail ?? {}).map(([name, value]) => [name, typeof value === 'string' ? redact(value) : value])),
    });
  }

  /** What `work` returns. An error of the catalogue is recorded first, as a refusal with its code. @param codes those that are recorded; without it all */
  async recordRefusals<T>(event: Omit<AuditRecord, 'outcome'>, work: () => Promise<T>, codes?: ReadonlySet<ErrorCode>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof AppError && (codes?.has(error.code) ?? true)) await this.record({ ...event, outcome: 'REFUSED', detail: { ...event.detail, code: error.code } });
      throw error;
    }
  }

  /** One page of a tenant's events, newest first; the caller has checked AUDIT_READ. Without a tenant: what concerns none, for the provider. */
  async list(scope: { readonly tenantId: string | null }, filter: AuditFilterValues, page: Page): Promise<PageOfRows<AuditEventEntity>> {
    const query = this.dataSource.manager.createQueryBuilder(AuditEventEntity, 'event');
    if (scope.tenantId === null) query.where('event.tenantId is null');
    else query.where('event.tenantId = :tenantId', { tenantId: scope.tenantId });
    if (filter.action != null) query.andWhere('event.action = :action', { action: filter.action });
    if (filter.outcome != null) query.andWhere('event.outcome = :outcome', { outcome: filter.outcome });
    if (filter.actor != null) query.andWhere(`(lower(event.actor->>'email') = lower(:actor) or event.actor->>'id' = :actor)`, { actor: filter.actor });
    if (filter.since != null) query.andWhere('event.at >= :since', { since: filter.since });
    if (filter.until != null) query.andWhere('event.at < :until', { until: filter.until });
    return findPage(query, 'at', page);
  }
}

function isActor(actor: Actor | ActorStamp): actor is Actor {
  return 'memberships' in actor;
}
