import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { freePort } from '../../scripts/servers/server-process.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { backupCreate, ended, idOf } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let api: TestApp;
let admin: GraphqlClient;
const processes: WorkerProcess[] = [];
const other = createServer();

beforeAll(async () => {
  api = await startTestApp({ env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
});

afterAll(async () => {
  other.close();
  for (const process of processes) await process.kill();
  await api?.stop();
});

const operations = (): Promise<unknown> => api.nest.get(DataSource).query('select id, state, revision, fencing_token, lease_owner, steps from operation');

/** No process starts up past its migrations meanwhile. */
async function whileStartsWait(work: (oneWaits: () => Promise<void>) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: api.config.databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query('lock table migration in access exclusive mode');
    await work(async () => {
      while ((await client.query(`select 1 from pg_locks where relation = 'migration'::regclass and not granted`)).rowCount === 0) await delay(20);
    });
  } finally {
    await client.end();
  }
}

describe.each(['worker', 'all'])('a process of the role %s that loses its port to another program while it starts', (role) => {
  it('claims nothing and says in one line why it ends', async () => {
    const id = idOf(await backupCreate(admin, (await createTestTenant(admin)).id));
    const before = await operations();
    const port = await freePort();
    const options = { databaseUrl: api.config.databaseUrl, dataDir: api.config.dataDir };
    let loser: WorkerProcess | undefined;
    await whileStartsWait(async (oneWaits) => {
      loser = WorkerProcess.start({ ...options, env: { HOLDFAST_ROLE: role, HOLDFAST_HOST: '127.0.0.1', HOLDFAST_PORT: String(port) } });
      processes.push(loser);
      await oneWaits();
      await new Promise<void>((resolve, reject) => other.once('error', reject).listen(port, '127.0.0.1', resolve));
    });
    expect(await loser!.exited()).toBe('1');
    expect(loser!.complained.trimEnd().split('\n')).toEqual([expect.stringMatching(/^holdfast: HOLDFAST_PORT: the port is taken by another program/)]);
    expect(await operations()).toEqual(before);
    const worker = WorkerProcess.start(options);
    processes.push(worker);
    expect(await ended(admin, id)).toMatchObject({ state: 'COMPLETED' });
    await worker.kill();
    await new Promise((closed) => other.close(closed));
  }, 120_000);
});
