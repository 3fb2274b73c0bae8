import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import { type EntityManager, IsNull, type QueryDeepPartialEntity } from 'typeorm';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import type { SealedSecret } from '../platform/stored-secrets/stored-secrets.js';
import { AlertDeliveryEntity } from './alert-delivery.entity.js';
import { NotifierEntity } from './notifier.entity.js';

/** Whose notifiers: a tenant's, or (null) the provider's own. */
export type NotifierOwner = string | null;

/** All SQL of the `notifier` table. */
@Injectable()
export class NotifiersRepository {
  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  async insert(row: QueryDeepPartialEntity<NotifierEntity>, manager: EntityManager): Promise<void> {
    await manager.insert(NotifierEntity, row);
  }

  async update(owner: NotifierOwner, id: string, patch: QueryDeepPartialEntity<NotifierEntity>, manager: EntityManager): Promise<void> {
    await manager.update(NotifierEntity, { tenantId: owner ?? IsNull(), id }, { ...patch, updatedAt: () => 'now()' });
  }

  /** What still waits for it is not sent. */
  async delete(owner: NotifierOwner, id: string, manager: EntityManager): Promise<void> {
    await manager.query(`update alert_delivery set state = 'FAILED', last_error = 'The notifier was removed', finished_at = now() where notifier_id = $1 and state = 'PENDING'`, [id]);
    await manager.delete(NotifierEntity, { tenantId: owner ?? IsNull(), id });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string, manager = this.manager): Promise<NotifierEntity | null> {
    return manager.findOneBy(NotifierEntity, { id });
  }

  count(owner: NotifierOwner, manager: EntityManager): Promise<number> {
    return manager.countBy(NotifierEntity, { tenantId: owner ?? IsNull() });
  }

  list(owner: NotifierOwner, page: Page): Promise<PageOfRows<NotifierEntity>> {
    return findPage(this.manager.createQueryBuilder(NotifierEntity, 'notifier').where('notifier.tenantId is not distinct from :owner', { owner }), 'createdAt', page);
  }

  /** The sealed addresses of all notifiers. */
  sealed(after: string | null, limit: number): Promise<SealedSecret[]> {
    return this.manager.query('select id as owner, address_cipher as sealed from notifier where $1::uuid is null or id > $1 order by id limit $2', [after, limit]);
  }

  deliveries(notifierId: string, page: Page): Promise<PageOfRows<AlertDeliveryEntity>> {
    return findPage(this.manager.createQueryBuilder(AlertDeliveryEntity, 'delivery').where('delivery.notifierId = :notifierId', { notifierId }), 'createdAt', page);
  }
}
