import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { findMongod } from '../scripts/servers/find-mongod.ts';
import { initiate, Mongod } from '../scripts/servers/mongod.ts';
import { fill, fingerprint, type DataPlan, type DataSet } from './data-set.ts';
import type { JobTarget } from './job.ts';
import { processorMsOf } from './process-figures.ts';

export interface BenchServer {
  readonly target: JobTarget;
  readonly dataSet: DataSet;
  readonly plan: DataPlan;
  readonly version: string;
  /** Of the data as it was filled in. */
  readonly original: string;
}

const database = 'bench';
/**
 * Thousands of collections have more files than a process may have open on many machines. The server closes those that hold nothing that no checkpoint has and that no session has used for a while;
 * it takes how often it looks from its start alone.
 */
const fewOpenFiles = [
  ...['--wiredTigerEngineConfigString', 'file_manager=(close_idle_time=3,close_scan_interval=1,close_handle_minimum=500)'],
  ...['--syncdelay', '5', '--setParameter', 'wiredTigerSessionCloseIdleTimeSecs=1'],
];

/** One mongod of our own with the data set, and a folder for archives; both are gone when it ends. */
export class BenchEnvironment {
  readonly folder: string;
  readonly server: BenchServer;
  private readonly mongod: Mongod;
  private readonly client: MongoClient;
  private readonly owned: (() => Promise<void>)[] = [];

  private constructor(folder: string, mongod: Mongod, client: MongoClient, server: BenchServer) {
    this.folder = folder;
    this.mongod = mongod;
    this.client = client;
    this.server = server;
  }

  static async start(plan: DataPlan, cacheMegabytes: number, env: NodeJS.ProcessEnv, say: (line: string) => void, signal: AbortSignal): Promise<BenchEnvironment> {
    const binary = await findMongod({ env, cacheDir: env['HOLDFAST_CACHE_DIR'] ?? join(homedir(), '.cache', 'holdfast'), say });
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'));
    for (const name of ['mongod', 'store']) await mkdir(join(folder, name), { mode: 0o700 });
    const mongod = await Mongod.start({ binary, dataDir: join(folder, 'mongod'), replSet: 'bench', args: plan.shape === 'many' ? fewOpenFiles : [] });
    let client: MongoClient | null = null;
    // Whatever is under way then fails.
    const giveUp = (): void => void Promise.allSettled([client?.close(), mongod.stop()]);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      signal.throwIfAborted();
      await initiate('bench', [mongod]);
      await mongod.command({ setParameter: 1, wiredTigerEngineRuntimeConfig: `cache_size=${cacheMegabytes}M` });
      const uri = `mongodb://${mongod.address}/?replicaSet=bench`;
      client = await MongoClient.connect(uri);
      const dataSet = await fill(client.db(database), plan);
      // From here on, as filling in would take minutes so: the files of cached cursors stay open too.
      if (plan.shape === 'many') await mongod.command({ setParameter: 1, wiredTigerCursorCacheSize: 1 });
      const { version } = await client.db('admin').command({ buildInfo: 1 });
      const original = await fingerprint(client.db(database), plan);
      return new BenchEnvironment(folder, mongod, client, { target: { uri, database, folder: join(folder, 'store') }, dataSet, plan, version: String(version), original });
    } catch (error) {
      await client?.close();
      await mongod.stop();
      await rm(folder, { recursive: true, force: true });
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** What one contestant left to be written must not slow the next one down. */
  async settle(): Promise<void> {
    await this.client.db('admin').command({ fsync: 1 });
  }

  /** Processor time that mongod has used so far. */
  get serverCpuMs(): number | null {
    return processorMsOf(this.mongod.identity.pid);
  }

  /** A restore that is fast and wrong is no restore. `restored` is where it put the data. */
  async requireUnchanged(who: string, restored = database): Promise<void> {
    if ((await fingerprint(this.client.db(restored), this.server.plan)) !== this.server.original) throw new Error(`After the restore by ${who} the database is not what it was`);
  }

  /** Whatever is started beside the server: stopped before it, once, however the run ends. Gives back what stops it earlier. */
  own(stop: () => Promise<void>): () => Promise<void> {
    const stopOnce = once(stop);
    this.owned.unshift(stopOnce);
    return stopOnce;
  }

  async stop(): Promise<void> {
    for (const stop of this.owned) await stop();
    await this.client.close();
    await this.mongod.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | null = null;
  return () => (result ??= work());
}
