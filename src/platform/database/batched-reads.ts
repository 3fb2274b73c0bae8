import DataLoader from 'dataloader';
import { Any, type EntityManager, type EntityTarget, type FindOptionsWhere } from 'typeorm';

/** Keys of one statement. */
const mostAtOnce = 1_000;

/**
 * Reads that are asked for at the same moment and become one: the fields of a page's rows are resolved side by side, and each asks for what it needs by itself. Nothing is kept: what is
 * asked for later is read anew, and a read never begins before it is asked for. Not for transactions, whose reads belong to them.
 */
export class BatchedReads<Key, Value> {
  private readonly loader: DataLoader<Key, Value | undefined>;

  /** @param read what is known of each of these keys, which differ */
  constructor(read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>) {
    this.loader = new DataLoader(
      async (keys) => {
        const found = await read([...new Set(keys)]);
        return keys.map((key) => found.get(key));
      },
      // After all that has come in is looked at: what a thousand sockets ask for at once is then one read, not a thousand.
      { cache: false, maxBatchSize: mostAtOnce, batchScheduleFn: setImmediate },
    );
  }

  async find(key: Key): Promise<Value | null> {
    return (await this.loader.load(key)) ?? null;
  }
}

/**
 * The rows of one key, by `sql`, which calls that key `key.id`. For many keys it is one statement that looks for each of them as it would for one, by the same index.
 *
 * @param manager asked for anew at each read
 */
export class RowsOfEach<Row extends object> {
  private readonly reads: BatchedReads<string, Row[]>;

  constructor(
    manager: () => EntityManager,
    private readonly sql: string,
  ) {
    this.reads = new BatchedReads(async (keys) => Map.groupBy(await this.read(manager(), keys), ({ keyId }) => keyId));
  }

  /** @param manager of a transaction, whose reads belong to it */
  async of(id: string, manager?: EntityManager): Promise<readonly Row[]> {
    return manager === undefined ? ((await this.reads.find(id)) ?? []) : this.read(manager, [id]);
  }

  private read(manager: EntityManager, keys: readonly string[]): Promise<(Row & { readonly keyId: string })[]> {
    return manager.query(`select key.id as "keyId", found.* from unnest($1::uuid[]) as key (id), lateral (${this.sql}) found`, [keys]);
  }
}

/** Entities by their ids. */
export class EntitiesById<Entity extends { id: string }> {
  private readonly reads: BatchedReads<string, Entity>;

  constructor(manager: () => EntityManager, entity: EntityTarget<Entity>) {
    this.reads = new BatchedReads(async (ids) => {
      const rows = await manager().findBy(entity, { id: Any([...ids]) } as FindOptionsWhere<Entity>);
      return new Map(rows.map((row) => [row.id, row]));
    });
  }

  find(id: string): Promise<Entity | null> {
    return this.reads.find(id);
  }
}

/** Entities of tenants by their ids: another tenant's answers like one that does not exist. */
export class TenantEntitiesById<Entity extends { id: string; tenantId: string }> {
  private readonly reads: BatchedReads<string, Entity>;

  constructor(manager: () => EntityManager, entity: EntityTarget<Entity>) {
    this.reads = new BatchedReads(async (keys) => {
      const pairs = keys.map((key) => key.split('/'));
      const where = { tenantId: Any([...new Set(pairs.map(([tenantId]) => tenantId))]), id: Any(pairs.map(([, id]) => id)) } as FindOptionsWhere<Entity>;
      const rows = await manager().findBy(entity, where);
      return new Map(rows.map((row) => [keyOf(row.tenantId, row.id), row]));
    });
  }

  find(tenantId: string, id: string): Promise<Entity | null> {
    return this.reads.find(keyOf(tenantId, id));
  }
}

const keyOf = (tenantId: string, id: string): string => `${tenantId}/${id}`;
