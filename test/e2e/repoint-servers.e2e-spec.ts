import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StageLeftOvers } from '../../src/restore/stage-left-overs.ts';
import type { OperationAnswer } from '../support/backup-calls.ts';
import { type ChangedShop, databasesOf, RestoreBench } from '../support/restore-bench.ts';
import { type OwnMongod, type OwnPostgres, startMongod, startPostgres } from '../support/servers.ts';

let postgres: OwnPostgres;
let alone: OwnMongod;
let three: OwnMongod;
let bench: RestoreBench;
let made = 0;

beforeAll(async () => {
  [postgres, alone, three] = await Promise.all([startPostgres(), startMongod(), startMongod({ members: 3 })]);
  bench = await RestoreBench.start({ databaseUrl: await postgres.databaseUrl() });
}, 120_000);

afterAll(async () => {
  await bench?.app.stop();
  await Promise.all([postgres?.stop(), alone?.stop(), three?.stop()]);
});

const shopOn = ({ uri }: OwnMongod, orders = 200): Promise<ChangedShop> => bench.changedShop({ uri, database: `repoint_${(made += 1)}` }, orders);
const repoint = async (one: ChangedShop): Promise<OperationAnswer> => bench.polled(await bench.begin(one, { cutover: 'REPOINT' }));

/** While it stages, at both sides of the switch, in the renames that follow it, and in cleanup. The last state before the switch that one may be in is the old one. */
const borders = [
  ['restore.staging', /^(COMPLETED|FAILED)$/],
  ['restore.planned', /^COMPLETED$/],
  ['restore.committed', /^COMPLETED$/],
  ['restore.swap.1', /^COMPLETED$/],
  ['restore.old-dropped', /^COMPLETED$/],
] as const;

/** The failure, if there was one, is of the target: nothing else went wrong. */
async function requireEnding(one: ChangedShop, operation: OperationAnswer, state: RegExp): Promise<void> {
  expect({ state: operation.state, failure: operation.failure }).toEqual({
    state: expect.stringMatching(state),
    failure: operation.state === 'COMPLETED' ? null : expect.objectContaining({ code: expect.stringMatching(/^TARGET_/) }),
  });
  await bench.requireOnePointer(one, operation);
}

describe('a REPOINT during which', () => {
  it.each(borders)('MongoDB is killed at %s leaves the workspace with one whole database, and the next one works', async (point, state) => {
    const one = await shopOn(alone);
    let restarted: Promise<void> | undefined;
    const reached = bench.once(point, async () => {
      await alone.kill('SIGKILL');
      restarted = alone.restart();
    });
    const operation = await repoint(one);
    expect(reached()).toBe(true);
    await restarted;
    await requireEnding(one, operation, state);
    expect(await repoint(one)).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);

  it.each(borders.map(([point]) => point))('PostgreSQL is killed at %s and soon comes back is finished', async (point) => {
    const one = await shopOn(alone);
    let restarted: Promise<void> | undefined;
    const reached = bench.once(point, async () => {
      await postgres.kill('SIGKILL');
      restarted = delay(1_000).then(() => postgres.restart());
    });
    const operation = await repoint(one);
    expect(reached()).toBe(true);
    await restarted;
    await requireEnding(one, operation, /^COMPLETED$/);
  }, 120_000);

  it.each(borders)('the primary steps down at %s leaves the workspace with one whole database', async (point, state) => {
    // More than one frame, so that there is a middle.
    const one = await shopOn(three, 12_000);
    const reached = bench.once(point, () => three.stepDown());
    const operation = await repoint(one);
    expect(reached()).toBe(true);
    await requireEnding(one, operation, state);
  }, 120_000);

  it('MongoDB is killed and stays away fails, and what is left of it goes once it is back', async () => {
    const one = await shopOn(alone);
    bench.once('restore.staged', () => alone.kill('SIGKILL'));
    const operation = await repoint(one);
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^TARGET_/) } });
    await alone.restart();
    expect(await databasesOf(one.tenant)).toHaveLength(2);
    await bench.app.nest.get(StageLeftOvers, { strict: false }).tick();
    await bench.requireOnePointer(one, operation);
    expect(await bench.sql('select * from stage_left_over')).toEqual([]);
  }, 120_000);
});
