import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { runInTransaction } from '../platform/database/data-source.js';

const windowMs = 15 * 60_000;

interface WindowRow {
  readonly failures: number;
  readonly retry_ms: number | null;
}

/** Failed logins alone count, per account and address, over all processes. */
@Injectable()
export class LoginLimiter {
  private readonly tries: number;

  constructor(
    private readonly dataSource: DataSource,
    config: AppConfig,
  ) {
    this.tries = config.limits.loginTries;
  }

  /**
   * Counts a try before its password is looked at, so that many tries at once cannot slip through; `succeeded` takes it back.
   *
   * @throws AppError RATE_LIMITED
   */
  async begin(email: string, address: string): Promise<{ succeeded(): Promise<void> }> {
    const account = email.toLowerCase();
    const id = await runInTransaction(this.dataSource, async (manager) => {
      await manager.query("select pg_advisory_xact_lock(hashtextextended('login|' || $1 || '|' || $2, 0))", [account, address]);
      await manager.query("delete from login_failure where failed_at < now() - interval '1 day'");
      const [window]: WindowRow[] = await manager.query(
        `select count(*)::int as failures,
                (extract(epoch from min(failed_at) - now()) * 1000 + $3::float8)::float8 as retry_ms
         from (select failed_at from login_failure
               where email = $1 and address = $2 and failed_at > now() - $3 * interval '1 millisecond'
               order by failed_at desc limit $4) as recent`,
        [account, address, windowMs, this.tries],
      );
      if (window !== undefined && window.failures >= this.tries) {
        throw new AppError('RATE_LIMITED', 'Too many failed logins', { retryAfterMs: Math.max(1000, Math.ceil(window.retry_ms ?? windowMs)) });
      }
      const [row]: { id: string }[] = await manager.query('insert into login_failure (email, address) values ($1, $2) returning id', [account, address]);
      return row?.id;
    });
    return {
      succeeded: async () => {
        await this.dataSource.query('delete from login_failure where id = $1', [id]);
      },
    };
  }
}
