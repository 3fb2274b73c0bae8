import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import { accepted, type ControlPlane, type Refusable } from '../control-plane.ts';
import { p95Of, spreadOf } from '../statistics.ts';

export interface ManyTenants {
  readonly tenants: number;
  readonly workers: number;
  /** From the moment they were due to the end of the last backup, by the database's clock. */
  readonly totalMs: number;
  readonly waitMs: { readonly median: number; readonly p95: number; readonly longest: number };
  /** Tenants with another number of scheduled backups than one. */
  readonly notOnce: number;
  /** Of the one tenant whose verifications waited before anybody else's backup was due. */
  readonly noisyQueued: number;
  readonly noisyBegunBeforeTheLast: number;
}

const noisyVerifications = 200;
const pollMs = 250;

/** Small tenants whose schedules are all due at once, and one that has much waiting already. */
export async function measureManyTenants(plane: ControlPlane, mongoUri: string, tenants: number, say: (line: string) => void): Promise<ManyTenants> {
  say(`Making ${tenants} small tenants`);
  const mongo = await MongoClient.connect(mongoUri);
  const database = new pg.Client({ connectionString: plane.databaseUrl });
  await database.connect();
  try {
    const ids: string[] = [];
    for (let number = 0; number < tenants; number += 1) {
      const name = `small_${number}`;
      await mongo.db(name).collection('orders').insertMany(Array.from({ length: 50 }, (_, order) => ({ order, text: 'x'.repeat(200) })));
      ids.push(await plane.createTenant(`small-${number}`, `Small ${number}`, { uri: mongoUri, database: name }));
    }
    const [noisy = '', ...others] = ids;
    for (const tenantId of others) await makeSchedule(plane, tenantId);
    const { backupId, operationId } = await plane.startBackup(noisy, 'gzip');
    await plane.completed(operationId);
    say(`Queueing ${noisyVerifications} verifications of one tenant; then ${others.length} backups are due`);
    await queueVerifications(plane, backupId);
    const { rows: due } = await database.query<{ at: Date }>('update schedule set next_run_at = now(), due_at = now() returning now() as at');
    const dueAt = due[0]?.at ?? new Date();
    for (;;) {
      const { rows } = await database.query<{ unfinished: string; backups: string }>(
        `select (select count(*) from operation where state in ('QUEUED', 'RUNNING')) as unfinished, (select count(*) from backup where trigger = 'SCHEDULE') as backups`,
      );
      if (Number(rows[0]?.backups) >= others.length && Number(rows[0]?.unfinished) === 0) break;
      await delay(pollMs);
    }
    const { rows: ends } = await database.query<{ started_at: Date; finished_at: Date; state: string }>(
      `select o.started_at, o.finished_at, o.state from operation o join backup b on b.id = o.backup_id where b.trigger = 'SCHEDULE' and o.kind = 'BACKUP'`,
    );
    if (ends.some(({ state }) => state !== 'COMPLETED')) throw new Error('Not every backup was completed');
    const { rows: counts } = await database.query<{ backups: string }>(`select count(b.id) as backups from schedule s left join backup b on b.schedule_id = s.id group by s.id`);
    const waits = ends.map(({ started_at }) => started_at.getTime() - dueAt.getTime()).sort((a, b) => a - b);
    const lastBegan = new Date(Math.max(...ends.map(({ started_at }) => started_at.getTime())));
    const { rows: begun } = await database.query<{ count: string }>(`select count(*) from operation where kind = 'VERIFY' and started_at between $1 and $2`, [dueAt, lastBegan]);
    return {
      tenants: others.length,
      workers: plane.workers.length,
      totalMs: Math.max(...ends.map(({ finished_at }) => finished_at.getTime())) - dueAt.getTime(),
      waitMs: { median: spreadOf(waits).median, p95: p95Of(waits), longest: waits.at(-1) ?? 0 },
      notOnce: counts.filter(({ backups }) => Number(backups) !== 1).length,
      noisyQueued: noisyVerifications,
      noisyBegunBeforeTheLast: Number(begun[0]?.count),
    };
  } finally {
    await database.end();
    for (let number = 0; number < tenants; number += 1) await mongo.db(`small_${number}`).dropDatabase();
    await mongo.close();
  }
}

async function makeSchedule(plane: ControlPlane, tenantId: string): Promise<void> {
  const { scheduleCreate } = await plane.client.request<{ scheduleCreate: Refusable }>(
    'mutation ($input: ScheduleCreateInput!) { scheduleCreate(input: $input) { userErrors { code message } } }',
    { input: { tenantId, name: 'Nightly', cadence: 'DAILY_AT', atTime: '01:00' } },
  );
  accepted(scheduleCreate);
}

async function queueVerifications(plane: ControlPlane, backupId: string): Promise<void> {
  for (let queued = 0; queued < noisyVerifications; queued += 1) {
    const { backupVerify } = await plane.client.request<{ backupVerify: Refusable }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { userErrors { code message } } }', { input: { backupId } });
    accepted(backupVerify);
  }
}
