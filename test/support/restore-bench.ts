import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp, type TestAppOptions, type TestTenant, type TestTenantOptions } from './app.ts';
import { type BackupAnswer, idOf, makePlan, type OperationAnswer, operationFields, restoreStart, seedShop, takeBackup, withDatabase } from './backup-calls.ts';
import type { StoreFaults } from './faulty-store.ts';
import type { GraphqlClient } from './graphql-client.ts';
import { faultsOf, storedFiles, storeFolder } from './store-faults.ts';

export interface ChangedShop {
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  readonly archived: Fingerprint;
  /** Of the live data after they were changed. */
  readonly live: Fingerprint;
}

export const print = (tenant: TestTenant): Promise<Fingerprint> => withDatabase(tenant, fingerprint);

/** The workspace's first database and those that restores have made beside it. Not those of `system.views` alone, which stays behind empty once a view was tried. */
export async function databasesOf(tenant: TestTenant): Promise<string[]> {
  return withDatabase(tenant, async (db) => {
    const { databases } = await db.admin().listDatabases({ nameOnly: true });
    const own = databases.map(({ name }) => name).filter((name) => name === tenant.database || name.startsWith(`${tenant.database}_r`));
    const held = await Promise.all(own.map((name) => db.client.db(name).listCollections({}, { nameOnly: true }).toArray()));
    return own.filter((_, index) => held[index]!.some(({ name }) => name !== 'system.views')).sort();
  });
}

/** Names of a database that Holdfast made for itself. */
export async function ownNames(tenant: TestTenant): Promise<string[]> {
  const listed = await withDatabase(tenant, (db) => db.listCollections({}, { nameOnly: true }).toArray());
  return listed.map(({ name }) => name).filter((name) => name.startsWith('hf_'));
}

/** An application whose store and phases may be made to fail, for tests of restores. */
export class RestoreBench {
  private constructor(
    public app: TestApp,
    public admin: GraphqlClient,
    public faults: StoreFaults,
  ) {}

  static async start(options: TestAppOptions = {}): Promise<RestoreBench> {
    const app = await startTestApp(options);
    return new RestoreBench(app, await app.loginAsAdmin(), faultsOf(app));
  }

  /** The same control plane and archives, in a program of another role. */
  async handOver(role: 'api' | 'all'): Promise<void> {
    const { databaseUrl, dataDir } = this.app.config;
    await this.app.stop();
    this.app = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: role, HOLDFAST_DATA_DIR: dataDir } });
    this.admin = await this.app.loginAsAdmin();
    this.faults = faultsOf(this.app);
  }

  clearFaults(): void {
    for (const name of Object.keys(this.faults) as (keyof StoreFaults)[]) delete this.faults[name];
  }

  sql<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.app.nest.get(DataSource).query(text, values);
  }

  /** Awaited where the operation reaches the point; returns how to take it off again. */
  at(point: string, work: () => Promise<void>): () => void {
    return this.app.at(point, work);
  }

  /** Once, the first time that the place is reached; returns whether it was. */
  once(point: string, work: () => Promise<void>): () => boolean {
    let reached = false;
    const off = this.at(point, async () => {
      off();
      reached = true;
      await work();
    });
    return () => reached;
  }

  /** A workspace with a backup, changed since. */
  async changedShop(target: TestTenantOptions = {}, orders = 200): Promise<ChangedShop> {
    const tenant = await createTestTenant(this.admin, target);
    await withDatabase(tenant, (db) => seedShop(db, orders));
    const archived = await print(tenant);
    const backup = await takeBackup(this.admin, tenant.id);
    await withDatabase(tenant, async (db) => {
      await db.collection('orders').deleteMany({ number: { $lt: 100 } });
      await db.collection('later').insertOne({ a: 1 });
    });
    return { tenant, backup, archived, live: await print(tenant) };
  }

  /** Plans a restore and starts it. */
  async begin({ tenant, backup }: ChangedShop, plan: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const { id, confirmName } = await makePlan(this.admin, tenant.id, backup.id, plan);
    return idOf(await restoreStart(this.admin, id, confirmName));
  }

  /** Its final state, asked for again and again: a subscription would end with a server that is killed. */
  async polled(id: string): Promise<OperationAnswer> {
    for (;;) {
      const answer = await this.admin.run<{ operation: OperationAnswer }>(`query ($id: ID!) { operation(id: $id) { ${operationFields} } }`, { id }).catch(() => null);
      if (answer !== null && !['QUEUED', 'RUNNING'].includes(answer.operation.state)) return answer.operation;
      await delay(100);
    }
  }

  /** The database that the workspace has now; it has to be in use. */
  async databaseOf({ id }: TestTenant): Promise<string> {
    const { tenant } = await this.admin.run<{ tenant: { status: string; maintenance: { on: boolean }; database: { name: string } } }>('query ($id: ID!) { tenant(id: $id) { status maintenance { on } database { name } } }', { id });
    expect(tenant).toMatchObject({ status: 'ACTIVE', maintenance: { on: false } });
    return tenant.database.name;
  }

  /** All new where the restore is COMPLETED, else all old, and nothing beside it. */
  async requireOneState({ tenant, archived, live }: ChangedShop, { state }: OperationAnswer): Promise<void> {
    expect(differences(state === 'COMPLETED' ? archived : live, await print(tenant))).toEqual([]);
    expect(await this.databaseOf(tenant)).toBe(tenant.database);
  }

  /** The same of a restore with `cutover: REPOINT`, which leaves the former database as it is. */
  async requireOnePointer({ tenant, archived, live }: ChangedShop, { id, state }: OperationAnswer): Promise<void> {
    const database = await this.databaseOf(tenant);
    expect([state, database === tenant.database]).toEqual([state, state !== 'COMPLETED']);
    expect(differences(live, await print(tenant))).toEqual([]);
    if (state === 'COMPLETED') expect(differences(archived, await print({ ...tenant, database }))).toEqual([]);
    expect(await this.sql(`select database, purpose from database_claim where operation_id = $1 and purpose <> 'KEPT'`, [parseGlobalId(id)!.uuid])).toEqual([]);
    expect(await databasesOf(tenant)).toEqual([...new Set([tenant.database, database])].sort());
  }

  /** Nothing of the live data has changed, nothing is left beside them, and the workspace is in use. */
  async expectUntouched({ tenant, live }: ChangedShop): Promise<void> {
    expect(differences(live, await print(tenant))).toEqual([]);
    expect(await ownNames(tenant)).toEqual([]);
    const { tenant: state } = await this.admin.run<{ tenant: { status: string; maintenance: { on: boolean } } }>('query ($id: ID!) { tenant(id: $id) { status maintenance { on } } }', { id: tenant.id });
    expect(state).toEqual({ status: 'ACTIVE', maintenance: { on: false } });
  }

  async pathOf(backup: BackupAnswer): Promise<string> {
    const file = (await storedFiles(this.app)).find((path) => path.endsWith(backup.fileName!));
    return join(storeFolder(this.app), file!);
  }

  async cancel(id: string): Promise<void> {
    await this.admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { operation { id } userErrors { code } } }', { input: { operationId: id } });
  }

  async listed(tenant: TestTenant, triggers: readonly string[]): Promise<string[]> {
    const answer = await this.admin.run<{ tenant: { backups: { edges: { node: { id: string } }[] } } }>('query ($id: ID!, $triggers: [BackupTrigger!]) { tenant(id: $id) { backups(filter: {triggers: $triggers}) { edges { node { id } } } } }', { id: tenant.id, triggers });
    return answer.tenant.backups.edges.map(({ node }) => node.id);
  }
}
