import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { AlertEntity, type AlertDetail } from './alert.entity.js';
import { type AlertEvent, alertEvents, type AlertSeverity } from './alert-event.js';

export interface NewAlert {
  /** Null: of the installation. */
  readonly tenantId: string | null;
  readonly event: AlertEvent;
  /** An operation's id, or the name of a condition: as long as it is not resolved the same alert is raised only once. */
  readonly subject: string;
  /** Default: the event's. */
  readonly severity?: AlertSeverity;
  /** Sentences for people: no secrets, no documents. */
  readonly text: string;
  readonly detail?: AlertDetail;
}

/** Told of a new alert inside its transaction. */
export type AlertListener = (alert: AlertEntity, manager: EntityManager) => Promise<void>;

/** Where features say what somebody has to be told. Who is told, and how, `src/notifications` knows. */
@Injectable()
export class AlertsService {
  private readonly listeners: AlertListener[] = [];

  constructor(private readonly dataSource: DataSource) {}

  onRaised(listener: AlertListener): void {
    this.listeners.push(listener);
  }

  /** Idempotent. With the manager of a transaction it is raised if and only if that commits. */
  async raise(alert: NewAlert, manager?: EntityManager): Promise<void> {
    const work = async (inside: EntityManager): Promise<void> => {
      const id = randomUUID();
      const { tenantId, event, subject, severity = alertEvents[event].severity, text, detail = {} } = alert;
      const inserted: unknown[] = await inside.query(
        `insert into alert (id, tenant_id, event, severity, subject, text, detail) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'), event, subject) where resolved_at is null do nothing returning id`,
        [id, tenantId, event, severity, subject, text, detail],
      );
      if (inserted.length === 0) return;
      const row = await inside.findOneByOrFail(AlertEntity, { id });
      for (const listener of this.listeners) await listener(row, inside);
    };
    await (manager === undefined ? runInTransaction(this.dataSource, work) : work(manager));
  }

  /** The condition is over: when it comes back it is raised anew. */
  async resolve({ tenantId, event, subject }: Pick<NewAlert, 'tenantId' | 'event' | 'subject'>, manager: EntityManager = this.dataSource.manager): Promise<void> {
    await manager.query('update alert set resolved_at = now() where tenant_id is not distinct from $1 and event = $2 and subject = $3 and resolved_at is null', [tenantId, event, subject]);
  }

  /** The subjects of those that last. */
  async unresolved({ tenantId, event }: Pick<NewAlert, 'tenantId' | 'event'>): Promise<string[]> {
    const rows: { subject: string }[] = await this.dataSource.query('select subject from alert where tenant_id is not distinct from $1 and event = $2 and resolved_at is null', [tenantId, event]);
    return rows.map(({ subject }) => subject);
  }

  list({ tenantId }: TenantScope, page: Page): Promise<PageOfRows<AlertEntity>> {
    return findPage(this.dataSource.manager.createQueryBuilder(AlertEntity, 'alert').where('alert.tenantId = :tenantId', { tenantId }), 'createdAt', page);
  }

  /** Of every tenant and of the installation. */
  listAll(page: Page): Promise<PageOfRows<AlertEntity>> {
    return findPage(this.dataSource.manager.createQueryBuilder(AlertEntity, 'alert'), 'createdAt', page);
  }
}
