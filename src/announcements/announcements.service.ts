import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, asAppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { MembersService } from '../access/members.service.js';
import { Permission } from '../access/permission.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound, toGlobalId } from '../platform/graphql/global-id.js';
import { Mailer } from '../platform/mail/mailer.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { WebhooksService } from '../webhooks/webhooks.service.js';
import type { AnnouncedWork, AnnouncementEntity, AnnouncingActor } from './announcement.entity.js';
import { AnnouncementsRepository } from './announcements.repository.js';

/** Starts the work in the transaction of `manager` and returns the operation's id. */
export type AnnouncedStarter = (actor: Actor, announcement: AnnouncementEntity, manager: EntityManager) => Promise<string>;

export interface AnnouncedKind {
  readonly start: AnnouncedStarter;
  /** In the transaction that ends the announcement without a start. */
  readonly giveUp: (announcement: AnnouncementEntity, manager: EntityManager) => Promise<void>;
}

const announced = 'maintenance.announced';
const taken = 'maintenance.announcement-canceled';
const permissionOf: Readonly<Record<AnnouncedWork, Permission>> = { RESTORE: Permission.RESTORE_RUN, RESET: Permission.RESET_RUN };
const nouns: Readonly<Record<AnnouncedWork, string>> = { RESTORE: 'restore', RESET: 'reset' };
const shortestLeadMs = 60_000;
const longestLeadMs = 30 * 24 * 3_600_000;
/** Other work may be under way at the very moment. */
const busyForMs = 30 * 60_000;
const atOnce = 20;
/** Each one sends a mail to every member, and so does taking it back. */
const mostPerHour = 10;
const passing: ReadonlySet<string> = new Set(['OPERATION_ALREADY_RUNNING', 'MAINTENANCE', 'INTERNAL', 'UNAVAILABLE']);

/** Work that begins at a time of which the people of a workspace are told beforehand. */
@Injectable()
export class AnnouncementsService {
  private readonly logger = new Logger(AnnouncementsService.name);
  private readonly kinds = new Map<AnnouncedWork, AnnouncedKind>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly alerts: AlertsService,
    private readonly members: MembersService,
    private readonly tenants: TenantsService,
    private readonly webhooks: WebhooksService,
    private readonly mailer: Mailer,
    private readonly rows: AnnouncementsRepository,
  ) {}

  register(work: AnnouncedWork, kind: AnnouncedKind): void {
    this.kinds.set(work, kind);
  }

  /**
   * For callers that have checked permission and confirmation; it holds the tenant's row.
   *
   * @throws AppError START_TIME_INVALID, WORK_ANNOUNCED_ALREADY, RATE_LIMITED
   */
  async announce(actor: Actor, scope: TenantScope, { work, subjectId, startAt }: Pick<AnnouncementEntity, 'work' | 'subjectId' | 'startAt'>, manager: EntityManager): Promise<AnnouncementEntity> {
    // It is started in the announcer's name, when nobody looks whether a key is still good.
    this.access.requirePerson(actor);
    const leadMs = startAt.getTime() - Date.now();
    if (leadMs < shortestLeadMs || leadMs > longestLeadMs) throw new AppError('START_TIME_INVALID', 'The start has to be at least one minute and at most 30 days from now', { field: ['startAt'] });
    const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
    const pending = await this.rows.findPending(scope, manager);
    if (pending !== null) throw new AppError('WORK_ANNOUNCED_ALREADY', `A ${nouns[pending.work]} is announced for ${pending.startAt.toISOString()}`, { field: [toGlobalId('Announcement', pending.id)] });
    const { count, freeInMs } = await this.rows.announcedInLastHour(scope, mostPerHour, manager);
    if (count >= mostPerHour) throw new AppError('RATE_LIMITED', `Work of this workspace was announced ${mostPerHour} times in the last hour`, { retryAfterMs: freeInMs });
    const id = randomUUID();
    const { id: actorId, kind, accountId, email, name, isProvider, memberships } = actor;
    await this.rows.insert({ id, tenantId: scope.tenantId, work, subjectId, startAt, state: 'PENDING', actor: { id: actorId, kind, accountId, email, name, isProvider, memberships: [...memberships] } }, manager);
    const announcement = await this.locked(scope, id, manager);
    const text = `A ${nouns[work]} of the workspace "${tenant.name}" begins at ${startAt.toISOString()}: finish your work and log out before`;
    await this.tell(announcement, announced, `Maintenance announced: ${tenant.name}`, text, manager);
    await this.alerts.raise({ tenantId: scope.tenantId, event: 'WORK_ANNOUNCED', subject: id, text }, manager);
    await this.audit.record({ action: `${nouns[work]}.announced`, tenantId: scope.tenantId, actor, subject: { type: 'Announcement', id }, detail: { startAt: startAt.toISOString() } }, manager);
    return announcement;
  }

  /** @throws AppError NOT_FOUND, FORBIDDEN, ANNOUNCEMENT_OVER */
  async cancel(actor: Actor, globalId: string): Promise<AnnouncementEntity> {
    const found = await this.rows.findAnywhere(fromGlobalId('Announcement', globalId));
    const { id, tenantId, work } = await this.access.authorizeRow(actor, 'Announcement', found, found === null ? null : permissionOf[found.work]);
    return runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, tenantId);
      const announcement = await this.locked({ tenantId }, id, manager);
      if (announcement.state === 'CANCELED') return announcement;
      if (announcement.state !== 'PENDING') throw new AppError('ANNOUNCEMENT_OVER', `The ${nouns[work]} has begun already, or could not begin`);
      await this.end(announcement, { state: 'CANCELED' }, manager);
      await this.audit.record({ action: `${nouns[work]}.announcement-canceled`, tenantId, actor, subject: { type: 'Announcement', id } }, manager);
      return this.locked({ tenantId }, id, manager);
    });
  }

  async list(actor: Actor, tenantId: string): Promise<AnnouncementEntity[]> {
    return this.rows.list(await this.access.authorize(actor, tenantId, null));
  }

  findOf(scope: TenantScope, subjectId: string): Promise<AnnouncementEntity | null> {
    return this.rows.findOf(scope, subjectId);
  }

  /** Any process may do it: the row's lock decides who does. */
  async startDue(): Promise<void> {
    for (const due of await this.rows.findDue(atOnce)) {
      try {
        await runInTransaction(this.dataSource, (manager) => this.start(due, manager));
      } catch (error) {
        await this.refuse(due, asAppError(error));
      }
    }
  }

  async sendMails(): Promise<void> {
    if (!this.mailer.isConfigured) return;
    for (const { id, to, subject, body } of await this.rows.claimMails(atOnce)) {
      try {
        await this.mailer.send({ to, subject, text: body });
        await this.rows.markMailSent(id);
      } catch (error) {
        this.logger.warn({ msg: 'A notice was not taken by the mail server', mailId: id, code: asAppError(error).code });
      }
    }
  }

  private async start({ id, tenantId }: AnnouncementEntity, manager: EntityManager): Promise<void> {
    await this.tenants.getForUpdate(manager, tenantId);
    const announcement = await this.locked({ tenantId }, id, manager);
    if (announcement.state !== 'PENDING') return;
    const actor = absent(announcement.actor);
    // With the permissions of now.
    await this.access.authorizeUnattended(actor, tenantId, permissionOf[announcement.work]);
    const operationId = await this.kindOf(announcement).start(actor, announcement, manager);
    // Where nothing ran at its time, people have come back and work: what they were told of is over. What was started a line above is rolled back.
    if ((await this.tenants.now(manager)).getTime() - announcement.startAt.getTime() > busyForMs) throw new AppError('START_TIME_MISSED', 'Nothing could begin it within half an hour of its time');
    await this.rows.update(announcement, id, { state: 'STARTED', operationId }, manager);
    // A product that did not take it must not miss that the maintenance begins.
    await this.webhooks.supersede(announcement, announced, manager);
    await this.alerts.resolve({ tenantId, event: 'WORK_ANNOUNCED', subject: id }, manager);
  }

  private async refuse({ id, tenantId, startAt }: AnnouncementEntity, reason: AppError): Promise<void> {
    if (passing.has(reason.code) && Date.now() - startAt.getTime() < busyForMs) return;
    await runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, tenantId);
      const announcement = await this.locked({ tenantId }, id, manager);
      if (announcement.state !== 'PENDING') return;
      const { work, actor } = announcement;
      await this.end(announcement, { state: 'REFUSED', failure: { code: reason.code, message: reason.message } }, manager);
      await this.alerts.raise({ tenantId, event: work === 'RESET' ? 'RESET_FAILED' : 'RESTORE_FAILED', subject: id, text: `The announced ${nouns[work]} could not begin: ${reason.message}`, detail: { code: reason.code } }, manager);
      await this.audit.record({ action: `${nouns[work]}.refused`, outcome: 'REFUSED', tenantId, actor: stampOf(absent(actor)), subject: { type: 'Announcement', id }, detail: { code: reason.code } }, manager);
    });
  }

  /** Without a start: everybody who was told is told so. */
  private async end(announcement: AnnouncementEntity, values: Pick<AnnouncementEntity, 'state'> & Partial<Pick<AnnouncementEntity, 'failure'>>, manager: EntityManager): Promise<void> {
    const { id, tenantId, work, startAt } = announcement;
    const { name } = await this.tenants.get(announcement, manager);
    await this.rows.update(announcement, id, values, manager);
    await this.kindOf(announcement).giveUp(announcement, manager);
    await this.webhooks.supersede(announcement, announced, manager);
    await this.tell(announcement, taken, `Maintenance canceled: ${name}`, `The ${nouns[work]} of the workspace "${name}" that was announced for ${startAt.toISOString()} does not take place`, manager);
    await this.alerts.resolve({ tenantId, event: 'WORK_ANNOUNCED', subject: id }, manager);
  }

  /** The product by its webhook, and each member by mail. */
  private async tell(announcement: AnnouncementEntity, event: string, subject: string, text: string, manager: EntityManager): Promise<void> {
    const { id, tenantId, work, startAt } = announcement;
    const { slug, revision, sessionEpoch } = await this.tenants.get(announcement, manager);
    const content = { tenant: { id: toGlobalId('Tenant', tenantId), slug }, revision, sessionEpoch, announcement: { id: toGlobalId('Announcement', id), work, startAt: startAt.toISOString(), message: text } };
    await this.webhooks.enqueue(announcement, 'MAINTENANCE', event, content, manager);
    if (!this.mailer.isConfigured) return;
    for (const to of await this.members.emailsOf(announcement, manager)) await this.rows.insertMail(announcement, { to, subject, body: text }, manager);
  }

  private kindOf({ work }: AnnouncementEntity): AnnouncedKind {
    const kind = this.kinds.get(work);
    if (kind === undefined) throw new AppError('INTERNAL', `Nobody starts announced work of the kind ${work}`);
    return kind;
  }

  private async locked(scope: TenantScope, id: string, manager: EntityManager): Promise<AnnouncementEntity> {
    const announcement = await this.rows.lock(scope, id, manager);
    if (announcement === null) throw notFound('Announcement');
    return announcement;
  }
}

/** Who announced it, at a time when nobody is logged in. */
function absent(actor: AnnouncingActor): Actor {
  return { ...actor, phone: null, timeZone: 'UTC', address: '', tokenId: null, tokenExpiresAt: null, loggedInAt: null, grants: null };
}
