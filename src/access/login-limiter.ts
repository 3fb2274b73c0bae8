import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { networkOf } from './client-network.js';

const windowMs = 15 * 60_000;

interface WindowRow {
  readonly failures: number;
  readonly retry_ms: number | null;
}

/** Where there were too many failures. */
interface Refusal {
  readonly place: string;
  readonly retryAfterMs: number;
}

/** Failed logins alone count, per account and address and per address over all accounts, over all processes. */
@Injectable()
export class LoginLimiter {
  private readonly tries: number;
  private readonly triesPerAddress: number;

  constructor(
    private readonly dataSource: DataSource,
    config: AppConfig,
  ) {
    this.tries = config.limits.loginTries;
    this.triesPerAddress = config.limits.loginTriesPerAddress;
  }

  /**
   * Counts a try before its password is looked at, so that many tries at once cannot slip through; `succeeded` takes it back.
   *
   * @param onRefused called for the first refusal of a window alone: nobody must be able to fill a log by being refused
   * @throws AppError RATE_LIMITED
   */
  async begin(email: string, address: string, onRefused: () => Promise<void> = () => Promise.resolve()): Promise<{ succeeded(): Promise<void> }> {
    const account = email.toLowerCase();
    const network = networkOf(address);
    const begun = await runInTransaction(this.dataSource, async (manager) => {
      await manager.query("select pg_advisory_xact_lock(hashtextextended('login|' || $1, 0))", [network]);
      await manager.query("delete from login_failure where failed_at < now() - interval '1 day'");
      const refusal = (await this.look(network, account, this.tries, manager)) ?? (await this.look(network, null, this.triesPerAddress, manager));
      if (refusal !== null) return refusal;
      const [row]: { id: string }[] = await manager.query('insert into login_failure (email, address) values ($1, $2) returning id', [account, network]);
      return row?.id;
    });
    if (typeof begun === 'object') {
      if (await this.isFirst(begun.place)) await onRefused();
      throw new AppError('RATE_LIMITED', 'Too many failed logins', { retryAfterMs: begun.retryAfterMs });
    }
    return {
      succeeded: async () => {
        await this.dataSource.query('delete from login_failure where id = $1', [begun]);
      },
    };
  }

  /** @param account null: whatever the account was */
  private async look(network: string, account: string | null, tries: number, manager: EntityManager): Promise<Refusal | null> {
    const [window]: WindowRow[] = await manager.query(
      `select count(*)::int as failures,
              (extract(epoch from min(failed_at) - now()) * 1000 + $3::float8)::float8 as retry_ms
       from (select failed_at from login_failure
             where address = $2 and ${account === null ? '$1::text is null' : 'email = $1'} and failed_at > now() - $3 * interval '1 millisecond'
             order by failed_at desc limit $4) as recent`,
      [account, network, windowMs, tries],
    );
    if (window === undefined || window.failures < tries) return null;
    return { place: `${network}|${account ?? ''}`, retryAfterMs: Math.max(1000, Math.ceil(window.retry_ms ?? windowMs)) };
  }

  private async isFirst(place: string): Promise<boolean> {
    await this.dataSource.query("delete from login_refusal where told_at < now() - interval '1 day'");
    const told: unknown[] = await this.dataSource.query(
      `insert into login_refusal (place) values ($1)
       on conflict (place) do update set told_at = now() where login_refusal.told_at < now() - $2 * interval '1 millisecond' returning 1`,
      [place, windowMs],
    );
    return told.length > 0;
  }
}
