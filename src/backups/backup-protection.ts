import { Injectable } from '@nestjs/common';
import type { TenantScope } from '../access/access.service.js';
import { BackupsRepository } from './backups.repository.js';

export interface Protection {
  readonly lastGoodId: string | null;
  /** Backups that unfinished operations read or write. */
  readonly inUse: ReadonlySet<string>;
}

const freshForMs = 250;

/** What keeps backups from being deleted, read once for all backups of one answer. */
@Injectable()
export class BackupProtection {
  private readonly known = new WeakMap<object, Map<string, { readonly at: number; readonly value: Promise<Protection> }>>();

  constructor(private readonly backups: BackupsRepository) {}

  /** @param request any object that lives as long as the request; a subscription's lives longer, so what it knows grows old */
  of(request: object, scope: TenantScope): Promise<Protection> {
    const tenants = this.known.get(request) ?? new Map<string, { readonly at: number; readonly value: Promise<Protection> }>();
    this.known.set(request, tenants);
    const kept = tenants.get(scope.tenantId);
    if (kept !== undefined && performance.now() - kept.at < freshForMs) return kept.value;
    const value = this.read(scope);
    tenants.set(scope.tenantId, { at: performance.now(), value });
    return value;
  }

  private async read(scope: TenantScope): Promise<Protection> {
    const [lastGood, inUse] = await Promise.all([this.backups.lastGood(scope), this.backups.inUse(scope)]);
    return { lastGoodId: lastGood?.id ?? null, inUse };
  }
}
