import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Db, MongoClient } from 'mongodb';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, restore, restoreUndo, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

const written = ['orders', 'customers', 'later'];

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(() => app?.stop());

interface Row {
  readonly _id: string;
  readonly round: number;
  readonly name: string;
}

/** A product that never heard of maintenance: it notes the newest round of each row that the server acknowledged. */
class Product {
  readonly acknowledged = new Map<string, number>();
  private readonly client: MongoClient;
  private readonly writers: Promise<void>[];
  private stopped = false;

  constructor(tenant: TestTenant) {
    this.client = new MongoClient(tenant.uri, { w: 'majority' });
    const db = this.client.db(tenant.database);
    this.writers = written.map((name) => this.write(db, name));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.writers);
    await this.client.close();
  }

  private async write(db: Db, name: string): Promise<void> {
    for (let round = 0; !this.stopped; round += 1) {
      const _id = `${name}-${round}`;
      // A name of its own, as the customers' are unique.
      await db.collection<Row>(name).insertOne({ _id, round, name: _id });
      this.acknowledged.set(_id, round);
    }
  }
}

/** The product's rows wherever they lie: in live collections, and in what was kept aside. */
async function rowsIn(tenant: TestTenant): Promise<Set<string>> {
  return withDatabase(tenant, async (db) => {
    const found = new Set<string>();
    for (const { name, type } of await db.listCollections({}, { nameOnly: true }).toArray()) {
      if (type !== 'collection' || name.startsWith('system.') || !(written.includes(name) || name.includes('_late_'))) continue;
      for await (const { _id } of db.collection<Row>(name).find({ round: { $exists: true } })) found.add(_id);
    }
    return found;
  });
}

describe('a product that writes during the whole restore', () => {
  it('loses nothing that was acknowledged', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 100));
    const backup = await takeBackup(admin, tenant.id);
    await withDatabase(tenant, (db) => db.createCollection('later'));
    const product = new Product(tenant);
    const operation = await restore(admin, tenant.id, backup.id);
    await product.stop();
    expect(operation).toMatchObject({ state: 'COMPLETED' });
    expect(product.acknowledged.size).toBeGreaterThan(50);
    const after = await rowsIn(tenant);
    // What is only in the last state before the swap comes back with undo.
    expect([...product.acknowledged.keys()].some((id) => !after.has(id))).toBe(true);
    expect(await ended(admin, idOf(await restoreUndo(admin, operation.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    const undone = await rowsIn(tenant);
    expect([...product.acknowledged.keys()].filter((id) => !after.has(id) && !undone.has(id))).toEqual([]);
  }, 120_000);
});
