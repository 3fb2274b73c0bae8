import pg from 'pg';
import { DataSource, MigrationExecutor, type EntityManager } from 'typeorm';
import type { DataSourceOptions } from 'typeorm';
import { migrations } from './migrations/index.js';

/** Any number will do as long as it never changes: it keeps two processes from migrating at once. */
const migrationLock = 0x686f_6c64;

/**
 * The pool takes its listener off a new connection a moment before TypeORM puts its own on. A server that dies in that moment would end
 * the process; whoever asked for the connection hears of it by the query that fails.
 */
class PooledClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

export function dataSourceOptions(databaseUrl: string): DataSourceOptions {
  return {
    type: 'postgres',
    url: databaseUrl,
    applicationName: 'holdfast',
    synchronize: false,
    migrationsRun: false,
    migrations,
    migrationsTableName: 'migration',
    connectTimeoutMS: 10_000,
    poolSize: 20,
    extra: { Client: PooledClient, keepAlive: true, idle_in_transaction_session_timeout: 60_000 },
  };
}

/**
 * Runs what is pending in one transaction under a lock of that transaction, so that processes may start side by side,
 * and one that dies half-way leaves neither a lock nor half a schema.
 */
async function migrate(dataSource: DataSource): Promise<void> {
  const runner = dataSource.createQueryRunner();
  try {
    await runner.startTransaction();
    await runner.query('select pg_advisory_xact_lock($1)', [migrationLock]);
    const executor = new MigrationExecutor(dataSource, runner);
    await executor.executePendingMigrations();
    await runner.commitTransaction();
  } catch (error) {
    if (runner.isTransactionActive) await runner.rollbackTransaction();
    throw error;
  } finally {
    await runner.release();
  }
}

/** Connects and migrates. The caller destroys the data source. */
export async function openDataSource(options: DataSourceOptions): Promise<DataSource> {
  const dataSource = await new DataSource(options).initialize();
  try {
    await migrate(dataSource);
    return dataSource;
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
}

const retryable = new Set(['40001', '40P01']);

/**
 * Runs `work` in one transaction and returns what it returns. A deadlock or a serialization failure runs it again, at most three
 * times in all, so `work` touches nothing but the database through `manager`.
 */
export async function runInTransaction<T>(dataSource: DataSource, work: (manager: EntityManager) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await dataSource.transaction(work);
    } catch (error) {
      if (attempt === 3 || !retryable.has(sqlState(error) ?? '')) throw error;
    }
  }
}

/** The SQLSTATE of a failed query, such as `23505` for a unique violation, or null for any other error. */
export function sqlState(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : null;
}

/** The name of the unique constraint or index that refused a row, or null. */
export function violatedUnique(error: unknown): string | null {
  if (sqlState(error) !== '23505') return null;
  return error instanceof Error && 'constraint' in error && typeof error.constraint === 'string' ? error.constraint : '';
}
