import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { BackupProtection } from '../backups/backup-protection.js';
import { BackupsService } from '../backups/backups.service.js';
import type { StoredBackup } from '../backups/stored-backup.js';
import { readTogether } from '../platform/database/read-together.js';
import type { RetentionRule } from '../policies/retention-rule.js';
import { policyOf } from '../policies/tenant-policy.js';
import { labelOf } from '../schedules/occurrences.js';
import type { ScheduleOutline } from '../schedules/schedule.entity.js';
import { SchedulesService } from '../schedules/schedules.service.js';
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

/** Reads what the rules look at, and judges by it. Nothing is decided here that `judge` does not. */
@Injectable()
export class TenantJudge {
  constructor(
    private readonly tenants: TenantsService,
    private readonly backups: BackupsService,
    private readonly protection: BackupProtection,
    private readonly schedules: SchedulesService,
  ) {}

  /**
   * With the manager of a transaction that holds the tenant's row no work begins on what it finds.
   *
   * @param now may still be on its way, and is then awaited beside all else
   */
  async judge(scope: TenantScope, now: Date | Promise<Date>, wished: WishedRules = {}, manager?: EntityManager): Promise<Judgement> {
    const [moment, tenant, backups, { lastGoodId, inUse, undoable }, schedules] = await readTogether(manager, [
      () => Promise.resolve(now),
      () => this.tenants.get(scope, manager),
      () => this.backups.stored(scope, manager),
      () => this.protection.ofNow(scope, manager),
      () => this.schedules.ofTenant(scope, manager),
    ]);
    const policy = policyOf(tenant.policy);
    const rules = schedules.map((schedule) => {
      const rule = wished.schedule?.id === schedule.id ? wished.schedule.rule : schedule.retention;
      return { id: schedule.id, rule, labels: labelsOf(schedule, moment) };
    });
    const facts: RetentionFacts = {
      now: moment, timeZone: tenant.timeZone, policyRule: wished.policyRule ?? policy.retention, manualRule: wished.manualRule ?? policy.manualRetention, schedules: rules, lastGoodId, inUse, undoable: new Set(undoable.keys()),
    };
    return { backups, verdicts: judge(backups, facts) };
  }
}

/** Of what it takes now: by its own cadence, and by its bump while that lasts. */
function labelsOf({ cadence, name, bump }: ScheduleOutline, now: Date): string[] {
  const own = labelOf(cadence, name);
  return bump !== null && now < new Date(bump.until) ? [own, labelOf(bump.cadence, name)] : [own];
}
