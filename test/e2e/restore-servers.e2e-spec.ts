import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../../scripts/servers/server-process.ts';
import { differences } from '../../scripts/demo/fingerprint.ts';
import { print, RestoreBench } from '../support/restore-bench.ts';
import { type OwnMongod, type OwnPostgres, startMongod, startPostgres } from '../support/servers.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let postgres: OwnPostgres;
let mongod: OwnMongod;
let bench: RestoreBench;
let made = 0;
const processes: WorkerProcess[] = [];

beforeAll(async () => {
  [postgres, mongod] = await Promise.all([startPostgres(), startMongod()]);
  bench = await RestoreBench.start({ databaseUrl: await postgres.databaseUrl() });
}, 120_000);

afterAll(async () => {
  for (const process of processes) await process.kill();
  await bench?.app.stop();
  await Promise.all([postgres?.stop(), mongod?.stop()]);
});

const onOwnMongod = () => ({ uri: mongod.uri, database: `outage_${(made += 1)}` });

describe('a restore during which', () => {
  it.each([
    ['restore.staging', /^(COMPLETED|FAILED)$/],
    ['restore.maintenance', /^(COMPLETED|FAILED)$/],
    ['restore.swap.2', /^COMPLETED$/],
    ['restore.old-dropped', /^COMPLETED$/],
  ])('MongoDB is killed at %s ends in one state or the other, and the next one works', async (point, state) => {
    const one = await bench.changedShop(onOwnMongod());
    let restarted: Promise<void> | undefined;
    bench.once(point, async () => {
      await mongod.kill('SIGKILL');
      restarted = mongod.restart();
    });
    const operation = await bench.polled(await bench.begin(one));
    expect(restarted).toBeDefined();
    await restarted;
    expect(operation.state).toMatch(state);
    if (operation.state === 'FAILED') expect(operation.failure!.code).toMatch(/^TARGET_/);
    await bench.requireOneState(one, operation);
    expect(await bench.polled(await bench.begin(one))).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);

  it.each([
    ['restore.staging', /^COMPLETED$/],
    ['restore.swap.1', /^COMPLETED$/],
    ['restore.old-dropped', /^COMPLETED$/],
  ])('PostgreSQL is killed at %s and soon comes back is finished', async (point, state) => {
    const one = await bench.changedShop();
    let restarted: Promise<void> | undefined;
    bench.once(point, async () => {
      await postgres.kill('SIGKILL');
      restarted = delay(1_000).then(() => postgres.restart());
    });
    const operation = await bench.polled(await bench.begin(one));
    expect(restarted).toBeDefined();
    await restarted;
    expect(operation.state).toMatch(state);
    await bench.requireOneState(one, operation);
  }, 120_000);

  it('PostgreSQL stays away in SWAP goes on forward without it', async () => {
    const one = await bench.changedShop();
    const swapped = Promise.withResolvers<void>();
    bench.once('restore.swap.1', () => postgres.kill('SIGKILL'));
    bench.once('restore.swapped', () => Promise.resolve(swapped.resolve()));
    const id = await bench.begin(one);
    await swapped.promise;
    // Everything but the dropping of what was set aside, which waits until the swap is noted.
    const now = await print(one.tenant);
    expect(differences(one.archived, now).filter((name) => !name.startsWith('hf_'))).toEqual([]);
    expect([...now.keys()].some((name) => name.startsWith('hf_'))).toBe(true);
    await postgres.restart();
    const operation = await bench.polled(id);
    expect(operation).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED' } });
    await bench.requireOneState(one, operation);
  }, 120_000);

  it('the one process that is API and worker is killed while it stages leaves live data and nothing else', async () => {
    await bench.handOver('all');
    const one = await bench.changedShop();
    await bench.handOver('api');
    const id = await bench.begin(one);
    const whole = WorkerProcess.start({ databaseUrl: bench.app.config.databaseUrl, dataDir: bench.app.config.dataDir, faultPoints: ['restore.staging=hang'], env: { HOLDFAST_ROLE: 'all', HOLDFAST_PORT: String(await freePort()) } });
    processes.push(whole);
    await whole.reached(['restore.staging']);
    await whole.kill();
    await bench.handOver('all');
    const operation = await bench.polled(id);
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' } });
    await bench.requireOneState(one, operation);
    expect(await bench.polled(await bench.begin(one))).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);
});
