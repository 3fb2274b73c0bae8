import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { BackupsService } from '../backups/backups.service.js';
import type { StoredBackup } from '../backups/stored-backup.js';
import type { Actor } from '../platform/auth/actor.js';
import { BatchedReads } from '../platform/database/batched-reads.js';
import { runInTransaction } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { parseRetentionRule } from '../policies/retention-rule.js';
import { SchedulesService } from '../schedules/schedules.service.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { decideHold, findingsOf } from './bulk-hold.js';
import { ClockGuard } from './clock-guard.js';
import type { RetentionPreviewInput } from './dto/retention.inputs.js';
import type { Verdict } from './judgement.js';
import { RetentionClock } from './retention-clock.js';
import { RetentionRepository } from './retention.repository.js';
import { type Judgement, TenantJudge, type WishedRules } from './tenant-judge.js';

export interface Preview extends TenantScope {
  readonly judgement: Judgement;
  readonly due: readonly StoredBackup[];
  readonly isHeldBack: boolean;
}

export interface PreviewRow {
  readonly backup: BackupEntity;
  readonly verdict: Verdict;
}

/** What people ask about retention: what keeps a backup, what a rule would do, and that what is held back may go. */
@Injectable()
export class RetentionService {
  private readonly underWay = new WeakMap<object, Map<string, Promise<Judgement>>>();
  /** The judgements of a page are of one moment. */
  private readonly moments = new BatchedReads<'now', Date>(async (keys) => {
    const { database } = await this.clock.read(this.dataSource.manager);
    return new Map(keys.map((key) => [key, database]));
  });

  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly schedules: SchedulesService,
    private readonly backups: BackupsService,
    private readonly clock: RetentionClock,
    private readonly guard: ClockGuard,
    private readonly rows: RetentionRepository,
    private readonly judge: TenantJudge,
  ) {}

  /** Null of what is not stored. Shares a judgement that is under way with the same `request`: the fields of one answer are resolved side by side. */
  async verdictOf(request: object, { tenantId, uuid }: { readonly tenantId: string; readonly uuid: string }): Promise<Verdict | null> {
    const tenants = this.underWay.get(request) ?? new Map<string, Promise<Judgement>>();
    this.underWay.set(request, tenants);
    const judging = tenants.get(tenantId) ?? this.judgeNow({ tenantId }).finally(() => tenants.delete(tenantId));
    tenants.set(tenantId, judging);
    return (await judging).verdicts.get(uuid) ?? null;
  }

  /** @throws AppError BAD_USER_INPUT, NOT_FOUND */
  async preview(actor: Actor, input: RetentionPreviewInput): Promise<Preview> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', input.tenantId), Permission.BACKUP_READ);
    const judgement = await this.judgeNow(scope, await this.wishOf(actor, scope, input));
    const due = judgement.backups.filter(({ id }) => judgement.verdicts.get(id)?.due === true);
    const { database: now } = await this.clock.read(this.dataSource.manager);
    const record = await this.rows.run(scope, this.dataSource.manager);
    return { ...scope, judgement, due, isHeldBack: decideHold(record, findingsOf(judgement, record), now).heldSince !== null };
  }

  /** Newest first. */
  async page(scope: TenantScope, { backups, verdicts }: Judgement, due: boolean | null, { after, limit }: Page): Promise<PageOfRows<PreviewRow>> {
    const wanted = backups.filter(({ id }) => due === null || verdicts.get(id)?.due === due).sort((a, b) => (isAfter(a, { at: b.createdAt, id: b.id }) ? 1 : -1));
    const chosen = wanted.filter((backup) => after === null || isAfter(backup, after)).slice(0, limit + 1);
    const rows = new Map((await this.backups.findAll(scope, chosen.map(({ id }) => id))).map((row) => [row.id, row]));
    const found = chosen.flatMap(({ id }) => {
      const [backup, verdict] = [rows.get(id), verdicts.get(id)];
      return backup === undefined || verdict === undefined ? [] : [{ backup, verdict }];
    });
    return { rows: found, totalCount: wanted.length };
  }

  /** Null: of the clock. False where nothing is held back. @throws AppError FORBIDDEN to all but the provider, NOT_FOUND */
  async confirm(actor: Actor, tenantGlobalId: string | null): Promise<{ readonly confirmed: boolean; readonly tenant: TenantEntity | null }> {
    this.access.requireProvider(actor);
    const scope = tenantGlobalId === null ? null : await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), null);
    const confirmed = await runInTransaction(this.dataSource, async (manager) => {
      const isConfirmed = scope === null ? await this.guard.confirm(manager) : await this.rows.confirm(scope, (await this.clock.read(manager)).database, manager);
      if (isConfirmed) await this.audit.record({ action: scope === null ? 'retention.clock-confirmed' : 'retention.confirmed', tenantId: scope?.tenantId ?? null, actor }, manager);
      return isConfirmed;
    });
    return { confirmed, tenant: scope && (await this.tenants.get(scope)) };
  }

  private judgeNow(scope: TenantScope, wished?: WishedRules): Promise<Judgement> {
    return this.judge.judge(scope, this.now(), wished);
  }

  private async now(): Promise<Date> {
    const now = await this.moments.find('now');
    if (now === null) throw new Error('The database did not tell the time');
    return now;
  }

  private async wishOf(actor: Actor, scope: TenantScope, input: RetentionPreviewInput): Promise<WishedRules> {
    const rule = input.rule == null ? null : parseRetentionRule(input.rule, 'rule');
    const manual = input.manualRule == null ? {} : { manualRule: parseRetentionRule(input.manualRule, 'manualRule') };
    if (input.scheduleId == null) return rule === null ? manual : { ...manual, policyRule: rule };
    const schedule = await this.schedules.get(actor, input.scheduleId);
    if (schedule.tenantId !== scope.tenantId) throw notFound('Schedule');
    return rule === null ? manual : { ...manual, schedule: { id: schedule.id, rule } };
  }
}

function isAfter({ createdAt, id }: StoredBackup, key: { readonly at: Date; readonly id: string }): boolean {
  const apart = createdAt.getTime() - key.at.getTime();
  return apart < 0 || (apart === 0 && id < key.id);
}
