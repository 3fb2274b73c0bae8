import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager, QueryDeepPartialEntity } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { EntitiesById, RowsOfEach } from '../platform/database/batched-reads.js';
import { AnnouncementEntity } from './announcement.entity.js';

export interface DueMail {
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly body: string;
}

const mostShown = 50;
const mailAttempts = 6;

/** All SQL of `announcement` and `announcement_mail`. */
@Injectable()
export class AnnouncementsRepository {
  private readonly byId = new EntitiesById(() => this.manager, AnnouncementEntity);
  private readonly newest = new RowsOfEach<{ readonly id: string }>(() => this.manager, `select a.id from announcement a where a.tenant_id = key.id order by a.created_at desc limit ${mostShown}`);

  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  async insert(row: QueryDeepPartialEntity<AnnouncementEntity>, manager: EntityManager): Promise<void> {
    await manager.insert(AnnouncementEntity, row);
  }

  findAnywhere(id: string): Promise<AnnouncementEntity | null> {
    return this.manager.findOneBy(AnnouncementEntity, { id });
  }

  /** Of a plan or a reset. */
  findOf(scope: TenantScope, subjectId: string, manager = this.manager): Promise<AnnouncementEntity | null> {
    return manager.findOneBy(AnnouncementEntity, { tenantId: scope.tenantId, subjectId });
  }

  /** There is one at most. */
  findPending({ tenantId }: TenantScope, manager: EntityManager): Promise<AnnouncementEntity | null> {
    return manager.findOneBy(AnnouncementEntity, { tenantId, state: 'PENDING' });
  }

  /** Of the newest `limit`: how many there were, and when the oldest of them is an hour old. */
  async announcedInLastHour({ tenantId }: TenantScope, limit: number, manager: EntityManager): Promise<{ readonly count: number; readonly freeInMs: number }> {
    const [row]: { count: number; wait: number | null }[] = await manager.query(
      `select count(*)::int as count, (extract(epoch from min(created_at) + interval '1 hour' - clock_timestamp()) * 1000)::float8 as wait
       from (select created_at from announcement where tenant_id = $1 and created_at > clock_timestamp() - interval '1 hour' order by created_at desc limit $2) as newest`,
      [tenantId, limit],
    );
    return { count: row?.count ?? 0, freeInMs: Math.max(1, Math.ceil(row?.wait ?? 0)) };
  }

  /** Newest first. */
  async list({ tenantId }: TenantScope): Promise<AnnouncementEntity[]> {
    const found = await Promise.all((await this.newest.of(tenantId)).map(({ id }) => this.byId.find(id)));
    return found.filter((one) => one !== null);
  }

  lock(scope: TenantScope, id: string, manager: EntityManager): Promise<AnnouncementEntity | null> {
    return manager.findOne(AnnouncementEntity, { where: { tenantId: scope.tenantId, id }, lock: { mode: 'pessimistic_write' } });
  }

  async findDue(limit: number): Promise<AnnouncementEntity[]> {
    return this.manager.createQueryBuilder(AnnouncementEntity, 'one').where(`one.state = 'PENDING' and one.startAt <= clock_timestamp()`).orderBy('one.startAt').limit(limit).getMany();
  }

  async update(scope: TenantScope, id: string, values: QueryDeepPartialEntity<AnnouncementEntity>, manager: EntityManager): Promise<void> {
    await manager.update(AnnouncementEntity, { tenantId: scope.tenantId, id }, values);
  }

  async insertMail(announcement: Pick<AnnouncementEntity, 'id' | 'tenantId'>, { to, subject, body }: Omit<DueMail, 'id'>, manager: EntityManager): Promise<void> {
    await manager.query('insert into announcement_mail (id, announcement_id, tenant_id, recipient, subject, body) values ($1, $2, $3, $4, $5, $6)', [
      randomUUID(), announcement.id, announcement.tenantId, to, subject, body,
    ]);
  }

  /** Held for a while by whoever claimed them; what is not marked then is sent again. */
  async claimMails(limit: number): Promise<DueMail[]> {
    const [rows]: [DueMail[], number] = await this.manager.query(
      `update announcement_mail set attempts = attempts + 1, next_attempt_at = clock_timestamp() + interval '1 minute' * power(2, attempts)
       where id in (select id from announcement_mail where sent_at is null and attempts < ${mailAttempts} and next_attempt_at <= clock_timestamp() order by next_attempt_at limit $1 for update skip locked)
       returning id, recipient as "to", subject, body`,
      [limit],
    );
    return rows;
  }

  async markMailSent(id: string): Promise<void> {
    await this.manager.query('update announcement_mail set sent_at = clock_timestamp() where id = $1', [id]);
  }
}
