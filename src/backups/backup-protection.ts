import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { readTogether } from '../platform/database/read-together.js';
import { PoliciesService } from '../policies/policies.service.js';
import type { TenantPolicy } from '../policies/tenant-policy.js';
import { BackupsRepository } from './backups.repository.js';

export interface Protection {
  readonly lastGoodId: string | null;
  /** Backups that unfinished operations read or write. */
  readonly inUse: ReadonlySet<string>;
  /** Safety backups that undo can still read, and until when. */
  readonly undoable: ReadonlyMap<string, Date>;
  readonly policy: TenantPolicy;
}

/** What keeps backups from being deleted, read once for all backups of one answer. */
@Injectable()
export class BackupProtection {
  private readonly underWay = new WeakMap<object, Map<string, Promise<Protection>>>();

  constructor(
    private readonly backups: BackupsRepository,
    private readonly policies: PoliciesService,
  ) {}

  /** Shares a read that is under way with the same `request`: the fields of one answer are resolved side by side. */
  of(request: object, scope: TenantScope): Promise<Protection> {
    const tenants = this.underWay.get(request) ?? new Map<string, Promise<Protection>>();
    this.underWay.set(request, tenants);
    const reading = tenants.get(scope.tenantId) ?? this.read(scope).finally(() => tenants.delete(scope.tenantId));
    tenants.set(scope.tenantId, reading);
    return reading;
  }

  /** Inside a transaction that holds the tenant's row, so that no work begins meanwhile; what somebody has prepared to read counts as read. */
  async ofNow(scope: TenantScope, manager?: EntityManager): Promise<Omit<Protection, 'policy'>> {
    const [facts, askedFor] = await readTogether(manager, [() => this.facts(scope, manager), () => this.backups.askedFor(scope, manager)]);
    return { ...facts, inUse: new Set([...facts.inUse, ...askedFor]) };
  }

  private async read(scope: TenantScope): Promise<Protection> {
    const [facts, policy] = await Promise.all([this.facts(scope), this.policies.of(scope)]);
    return { ...facts, policy };
  }

  private async facts(scope: TenantScope, manager?: EntityManager): Promise<Omit<Protection, 'policy'>> {
    const [lastGoodId, inUse, undoable] = await readTogether(manager, [
      () => this.backups.lastGoodId(scope, manager),
      () => this.backups.inUse(scope, manager),
      () => this.backups.undoable(scope, manager),
    ]);
    return { lastGoodId, inUse, undoable };
  }
}
