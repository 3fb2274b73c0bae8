import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { BackupProtection, type Protection } from '../backups/backup-protection.js';
import { BackupsService } from '../backups/backups.service.js';
import type { StoredBackup } from '../backups/stored-backup.js';
import { readTogether } from '../platform/database/read-together.js';
import type { RetentionRule } from '../policies/retention-rule.js';
import { policyOf } from '../policies/tenant-policy.js';
import { labelOf } from '../schedules/occurrences.js';
import type { ScheduleOutline } from '../schedules/schedule.entity.js';
import { SchedulesService } from '../schedules/schedules.service.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { judge, type RetentionFacts, type Verdict } from './judgement.js';

/** Rules in the place of those that are stored; what is left out stays. */
export interface WishedRules {
  readonly policyRule?: RetentionRule;
  readonly manualRule?: RetentionRule;
  readonly schedule?: { readonly id: string; readonly rule: RetentionRule };
}

export interface Judgement {
  readonly backups: readonly StoredBackup[];
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

/** What the rules look at. */
interface Known {
  readonly tenant: TenantEntity;
  readonly backups: readonly StoredBackup[];
  readonly protection: Omit<Protection, 'policy'>;
  readonly schedules: readonly ScheduleOutline[];
}

/** Reads what the rules look at, and judges by it. Nothing is decided here that `judge` does not. */
@Injectable()
export class TenantJudge {
  constructor(
    private readonly tenants: TenantsService,
    private readonly backups: BackupsService,
    private readonly protection: BackupProtection,
    private readonly schedules: SchedulesService,
  ) {}

  /** With the manager of a transaction that holds the tenant's row no work begins on what it finds. */
  async judge(scope: TenantScope, now: Date, wished: WishedRules = {}, manager?: EntityManager): Promise<Judgement> {
    return judgementOf(await this.read(scope, manager), now, wished);
  }

  /** `judge` of this moment, outside a transaction. */
  async judgeNow(scope: TenantScope, now: Promise<Date>, wished: WishedRules = {}): Promise<Judgement> {
    const [known, moment] = await Promise.all([this.read(scope), now]);
    return judgementOf(known, moment, wished);
  }

  private async read(scope: TenantScope, manager?: EntityManager): Promise<Known> {
    const [tenant, backups, protection, schedules] = await readTogether(manager, [
      () => this.tenants.get(scope, manager),
      () => this.backups.stored(scope, manager),
      () => this.protection.ofNow(scope, manager),
      () => this.schedules.ofTenant(scope, manager),
    ]);
    return { tenant, backups, protection, schedules };
  }
}

function judgementOf({ tenant, backups, protection: { lastGoodId, inUse, undoable }, schedules }: Known, now: Date, wished: WishedRules): Judgement {
  const policy = policyOf(tenant.policy);
  const facts: RetentionFacts = {
    now, timeZone: tenant.timeZone, policyRule: wished.policyRule ?? policy.retention, manualRule: wished.manualRule ?? policy.manualRetention,
    schedules: schedules.map((schedule) => ({ id: schedule.id, rule: wished.schedule?.id === schedule.id ? wished.schedule.rule : schedule.retention, labels: labelsOf(schedule, now) })),
    lastGoodId, inUse, undoable: new Set(undoable.keys()),
  };
  return { backups, verdicts: judge(backups, facts) };
}

/** Of what it takes now: by its own cadence, and by its bump while that lasts. */
function labelsOf({ cadence, name, bump }: ScheduleOutline, now: Date): string[] {
  const own = labelOf(cadence, name);
  return bump !== null && now < new Date(bump.until) ? [own, labelOf(bump.cadence, name)] : [own];
}
