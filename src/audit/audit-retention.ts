import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { providerChain } from './audit-chain.js';
import { AuditService } from './audit.service.js';

const removedAtOnce = 10_000;

/**
 * Removes events that are older than they have to be kept, of each chain from its beginning and without a gap. The hash of the last one stays as the chain's
 * anchor, and an event tells of it, so that the rest can still be verified.
 */
@Injectable()
export class AuditRetention extends Sweep {
  protected readonly failure = 'Old audit events could not be removed; this is tried again tomorrow';
  protected override readonly everyMs = 24 * 3_600_000;
  private readonly keptYears: number;

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly audit: AuditService,
  ) {
    super(config);
    this.keptYears = config.auditRetentionYears;
  }

  /** Returns how many events were removed. Processes may run it side by side. */
  async prune(): Promise<number> {
    const chains: { chain: string }[] = await this.dataSource.query(
      `select chain from audit_chain c where (
         select at from audit_event e where coalesce(e.tenant_id, '${providerChain}') = c.chain and e.sequence > c.anchor_sequence order by e.sequence limit 1
       ) < now() - $1 * interval '1 year'`,
      [this.keptYears],
    );
    let removed = 0;
    for (const { chain } of chains) {
      for (let batch = removedAtOnce; batch === removedAtOnce; removed += batch) batch = await this.pruneChain(chain);
    }
    if (removed > 0) this.logger.log({ msg: 'Old audit events were removed', events: removed, chains: chains.length });
    return removed;
  }

  protected async look(): Promise<void> {
    await this.prune();
  }

  private pruneChain(chain: string): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const [head]: { anchor_sequence: string }[] = await manager.query('select anchor_sequence from audit_chain where chain = $1 for update', [chain]);
      const [last]: { sequence: string; hash: string; tenant_id: string | null }[] = await manager.query(
        `with oldest as (
           select sequence, at, hash, tenant_id from audit_event
           where coalesce(tenant_id, '${providerChain}') = $1 and sequence > $2 order by sequence limit ${removedAtOnce})
         select sequence, encode(hash, 'hex') as hash, tenant_id from oldest
         where sequence < all (select sequence from oldest where at >= now() - $3 * interval '1 year') order by sequence desc limit 1`,
        [chain, head?.anchor_sequence ?? 0, this.keptYears],
      );
      if (last === undefined) return 0;
      await manager.query(`update audit_chain set anchor_sequence = $2, anchor_hash = decode($3, 'hex') where chain = $1`, [chain, last.sequence, last.hash]);
      await manager.query(`delete from audit_event where coalesce(tenant_id, '${providerChain}') = $1 and sequence <= $2`, [chain, last.sequence]);
      const removed = Number(last.sequence) - Number(head?.anchor_sequence ?? 0);
      await this.audit.record({ action: 'audit.pruned', tenantId: last.tenant_id, actor: null, detail: { removed, upTo: Number(last.sequence), hash: last.hash } }, manager);
      return removed;
    });
  }
}
