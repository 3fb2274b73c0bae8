import { DataSource } from 'typeorm';
import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { OperationWorker } from '../../src/operations/operation-worker.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, type OperationAnswer } from '../support/backup-calls.ts';
import type { StoreFaults } from '../support/faulty-store.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { faultsOf } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';
import type { Database } from './model.ts';
import type { Picture } from './picture.ts';
import { Product } from './product.ts';

export interface KnownBackup {
  readonly id: string;
  readonly number: number;
  readonly isSafety: boolean;
  /** Of the whole database. */
  readonly isWhole: boolean;
  /** Null where the product wrote while it was taken and nobody looked what it holds. */
  readonly picture: Picture | null;
}

export interface KnownUndo {
  readonly operationId: string;
  readonly number: number;
  /** The last state before the restore. */
  readonly picture: Picture;
  readonly safetyBackupId: string;
}

/** A workspace as the model knows it. */
export interface Tenant extends TestTenant {
  readonly product: Product;
  /** Usable ones, oldest first. */
  readonly backups: KnownBackup[];
  readonly undos: KnownUndo[];
}

const hangsAfterMs = 120_000;

/** The program under test: an API, a worker in this process, whose store and phases may be made to fail, and workers that are killed. */
export class Plant {
  readonly tenants: Tenant[] = [];
  private readonly mongos: MongoClient[] = [];
  private worker!: TestApp;
  faults!: StoreFaults;
  private counted = 0;

  private constructor(
    private readonly databaseUrl: string,
    readonly api: TestApp,
    readonly admin: GraphqlClient,
  ) {}

  static async start(slugs: readonly string[]): Promise<Plant> {
    const databaseUrl = await testDatabaseUrl();
    const api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
    const plant = new Plant(databaseUrl, api, await api.loginAsAdmin());
    try {
      await plant.startWorker();
      for (const slug of slugs) await plant.addTenant(slug);
      return plant;
    } catch (error) {
      await plant.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const mongo of this.mongos) await mongo.close();
    await this.worker?.stop();
    await this.api.stop();
  }

  newNumber(): number {
    this.counted += 1;
    return this.counted;
  }

  sql<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.api.nest.get(DataSource).query(text, values);
  }

  /** Awaited where the worker of this process reaches the point the first time; tells whether it has. */
  at(point: string, work: () => Promise<void>): Hook {
    let isReached = false;
    const off = this.worker.at(point, async () => {
      if (isReached) return;
      isReached = true;
      await work();
    });
    return { off: () => void off(), isReached: () => isReached };
  }

  clearFaults(): void {
    for (const name of Object.keys(this.faults) as (keyof StoreFaults)[]) delete this.faults[name];
  }

  /** The final state; what waits for its next try is tried at once. */
  async finish(operationId: string): Promise<OperationAnswer> {
    const end = ended(this.admin, operationId);
    const from = performance.now();
    for (;;) {
      const answer = await Promise.race([end, delay(250).then(() => null)]);
      if (answer !== null) return answer;
      if (performance.now() - from > hangsAfterMs) throw new Error(`The operation does not end: ${JSON.stringify(await this.sql('select kind, state, phase, committed, recoveries from operation where id = $1', [uuidOf(operationId)]))}`);
      const waiting = await this.sql(
        `with hurried as (update operation set lease_until = clock_timestamp() where id = $1 and state = 'RUNNING' and lease_owner is null and lease_until > clock_timestamp() returning id) select id from hurried`,
        [uuidOf(operationId)],
      );
      if (waiting.length > 0) await this.sweep();
    }
  }

  /** Nobody works until `work` is done, so that what it starts waits for the process that it gets. */
  async withoutWorker(work: () => Promise<void>): Promise<void> {
    await this.worker.stop();
    try {
      await work();
    } finally {
      await this.startWorker();
    }
  }

  async isOver(operationIds: readonly string[]): Promise<boolean> {
    const open = await this.sql(`select id from operation where id = any($1) and state in ('QUEUED', 'RUNNING')`, [operationIds.map(uuidOf)]);
    return open.length === 0;
  }

  /** Resolves when some worker has taken them all. */
  async isBegun(operationIds: readonly string[]): Promise<void> {
    for (;;) {
      const queued = await this.sql(`select id from operation where id = any($1) and state = 'QUEUED'`, [operationIds.map(uuidOf)]);
      if (queued.length === 0) return;
      await delay(50);
    }
  }

  killable(faultPoints: readonly string[]): WorkerProcess {
    return WorkerProcess.start({ databaseUrl: this.databaseUrl, dataDir: this.api.config.dataDir, faultPoints });
  }

  /** The lease of a process that is dead runs out at once: waiting for it is the business of other tests. */
  async buried(pid: number): Promise<void> {
    await this.sql(`update operation set lease_until = clock_timestamp() where state = 'RUNNING' and lease_owner like $1`, [`%:${pid}:%`]);
    await this.sweep();
  }

  private async sweep(): Promise<void> {
    await this.worker.nest.get(OperationWorker, { strict: false }).sweep();
  }

  private async startWorker(): Promise<void> {
    this.worker = await startTestApp({ databaseUrl: this.databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: this.api.config.dataDir } });
    this.faults = faultsOf(this.worker);
  }

  private async addTenant(slug: string): Promise<void> {
    const tenant = await createTestTenant(this.admin, { slug });
    const mongo = await MongoClient.connect(tenant.uri);
    this.mongos.push(mongo);
    const model: Database = new Map();
    this.tenants.push({ ...tenant, product: new Product(mongo.db(tenant.database), model), backups: [], undos: [] });
  }
}

export interface Hook {
  off(): void;
  isReached(): boolean;
}

export function uuidOf(globalId: string): string {
  const uuid = parseGlobalId(globalId)?.uuid;
  if (uuid === undefined) throw new Error(`${globalId} is no id`);
  return uuid;
}
