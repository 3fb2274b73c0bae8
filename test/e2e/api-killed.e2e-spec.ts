import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { freePort } from '../../scripts/servers/server-process.ts';
import { type OperationAnswer, operationFields } from '../support/backup-calls.ts';
import { type ChangedShop, RestoreBench } from '../support/restore-bench.ts';
import { WorkerProcess } from '../support/worker-process.ts';

/** A place in each phase of a restore, in their order. */
const places = [
  ['VERIFY', 'restore.begun'],
  ['SAFETY_BACKUP', 'backup.dump'],
  ['STAGE', 'restore.staging'],
  ['CHECK', 'restore.checked'],
  ['MAINTENANCE_ON', 'restore.maintenance'],
  ['SWAP', 'restore.swap.1'],
  ['MAINTENANCE_OFF', 'restore.maintenance-off'],
  ['CLEANUP', 'restore.old-dropped'],
] as const;

/** The worker, which survives. It answers requests as well, but those of the product go to the other process. */
let bench: RestoreBench;
let port: number;
let api: WorkerProcess;

const startApi = (): WorkerProcess =>
  WorkerProcess.start({ databaseUrl: bench.app.config.databaseUrl, dataDir: bench.app.config.dataDir, env: { HOLDFAST_ROLE: 'api', HOLDFAST_HOST: '127.0.0.1', HOLDFAST_PORT: String(port) } });

beforeAll(async () => {
  bench = await RestoreBench.start();
  port = await freePort();
  api = startApi();
}, 120_000);

afterAll(async () => {
  await api?.kill();
  await bench?.app.stop();
});

/** What a product sees of the operation through the process that is killed: it connects again by itself, as often as it has to. */
class Watcher {
  readonly seen: OperationAnswer[] = [];
  readonly ended: Promise<void>;
  private news = Promise.withResolvers<void>();

  constructor(id: string) {
    const client = createClient({
      url: `ws://127.0.0.1:${port}/graphql`, webSocketImpl: WebSocket, retryAttempts: Infinity, shouldRetry: () => true, retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
      connectionParams: { authorization: `Bearer ${bench.admin.accessToken}` },
    });
    this.ended = new Promise<void>((resolve, reject) => {
      client.subscribe<{ operationUpdated: OperationAnswer }>(
        { query: `subscription ($id: ID!) { operationUpdated(id: $id) { ${operationFields} } }`, variables: { id } },
        {
          next: ({ data }) => {
            if (data) this.seen.push(data.operationUpdated);
            this.news.resolve();
            this.news = Promise.withResolvers<void>();
          },
          error: reject,
          complete: resolve,
        },
      );
    }).finally(() => client.dispose());
  }

  /** The first one of this phase that came after so many others. */
  async sees(phase: string, after = 0): Promise<OperationAnswer> {
    for (;;) {
      const found = this.seen.slice(after).find((one) => one.phase === phase);
      if (found !== undefined) return found;
      await Promise.race([this.news.promise, this.ended.then(() => Promise.reject(new Error(`The operation ended and was not seen in ${phase}`)))]);
    }
  }
}

async function killApi(): Promise<void> {
  await api.kill('SIGKILL');
  expect(await api.exited()).toBe('SIGKILL');
}

async function requireDone(one: ChangedShop, operation: OperationAnswer): Promise<void> {
  expect(operation).toMatchObject({ state: 'COMPLETED', failure: null, safetyBackup: { state: 'COMPLETED' } });
  await bench.requireOneState(one, operation);
}

describe('a restore during which the API is killed', () => {
  it('in every phase is shown as it is to whoever connects again, and completed', async () => {
    const one = await bench.changedShop();
    const watching = Promise.withResolvers<Watcher>();
    const returned: (readonly [string, string])[] = [];
    const reached = places.map(([phase, point]) =>
      bench.once(point, async () => {
        const watcher = await watching.promise;
        await watcher.sees(phase);
        await killApi();
        const before = watcher.seen.length;
        api = startApi();
        // Nothing moves meanwhile: what comes is what the new process finds.
        returned.push([phase, (await watcher.sees(phase, before)).state]);
      }),
    );
    const id = await bench.begin(one);
    const watcher = new Watcher(id);
    watching.resolve(watcher);
    await watcher.ended;
    expect(reached.map((was) => was())).toEqual(places.map(() => true));
    expect(returned).toEqual(places.map(([phase]) => [phase, 'RUNNING']));
    const revisions = watcher.seen.map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    await requireDone(one, watcher.seen.at(-1)!);
  }, 240_000);

  it('for good is completed without it', async () => {
    const one = await bench.changedShop();
    const watching = Promise.withResolvers<Watcher>();
    const swapped = Promise.withResolvers<void>();
    bench.once('restore.staging', async () => {
      await (await watching.promise).sees('STAGE');
      await killApi();
    });
    bench.once('restore.cleaned', () => Promise.resolve(swapped.resolve()));
    const id = await bench.begin(one);
    const watcher = new Watcher(id);
    watching.resolve(watcher);
    await swapped.promise;
    await requireDone(one, await bench.polled(id));
    api = startApi();
    await watcher.ended;
    expect(watcher.seen.at(-1)).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);
});
