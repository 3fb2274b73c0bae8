import { join } from 'node:path';
import { expect } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from './app.ts';
import { type BackupAnswer, seedShop, takeBackup, withDatabase } from './backup-calls.ts';
import type { StoreFaults } from './faulty-store.ts';
import type { GraphqlClient } from './graphql-client.ts';
import { faultsOf, storedFiles, storeFolder } from './store-faults.ts';

export interface ChangedShop {
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  /** Of the live data after they were changed. */
  readonly live: Fingerprint;
}

export const print = (tenant: TestTenant): Promise<Fingerprint> => withDatabase(tenant, fingerprint);

/** Names of a database that Holdfast made for itself. */
export async function ownNames(tenant: TestTenant): Promise<string[]> {
  const listed = await withDatabase(tenant, (db) => db.listCollections({}, { nameOnly: true }).toArray());
  return listed.map(({ name }) => name).filter((name) => name.startsWith('hf_'));
}

/** An application whose store and phases may be made to fail, for tests of restores. */
export class RestoreBench {
  private constructor(
    readonly app: TestApp,
    readonly admin: GraphqlClient,
    readonly faults: StoreFaults,
  ) {}

  static async start(): Promise<RestoreBench> {
    const app = await startTestApp();
    return new RestoreBench(app, await app.loginAsAdmin(), faultsOf(app));
  }

  clearFaults(): void {
    for (const name of Object.keys(this.faults) as (keyof StoreFaults)[]) delete this.faults[name];
  }

  sql(text: string, values: unknown[] = []): Promise<unknown> {
    return this.app.nest.get(DataSource).query(text, values);
  }

  /** Awaited where the operation reaches the point; returns how to take it off again. */
  at(point: string, work: () => Promise<void>): () => void {
    return this.app.nest.get(FaultPoints, { strict: false }).on(point, work);
  }

  /** A workspace with a backup, changed since. */
  async changedShop(): Promise<ChangedShop> {
    const tenant = await createTestTenant(this.admin);
    await withDatabase(tenant, (db) => seedShop(db, 200));
    const backup = await takeBackup(this.admin, tenant.id);
    await withDatabase(tenant, async (db) => {
      await db.collection('orders').deleteMany({ number: { $lt: 100 } });
      await db.collection('later').insertOne({ a: 1 });
    });
    return { tenant, backup, live: await print(tenant) };
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
