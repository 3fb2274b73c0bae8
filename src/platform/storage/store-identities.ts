import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { AppError } from '#errors';
import type { ArchiveStore } from '#storage';
import { GuardedStore } from './guarded-store.js';

/** As `HOLDFAST_STORES` names it; null: the main one. */
export type StoreName = string | null;

/** Keys of archives that lie in a store as far as the catalogue knows, some of them where there are many. */
export type ExpectedKeys = (name: StoreName, manager: EntityManager) => Promise<readonly string[]>;

export interface StoreState {
  readonly name: StoreName;
  /** As PostgreSQL knows it; null: it knows none. */
  readonly known: string | null;
  /** As it stands in the store; null: there is none. */
  readonly found: string | null;
  /** Of the archives that are looked for, how many lie there. */
  readonly archives: { readonly found: number; readonly expected: number };
}

export interface StoreChange {
  readonly from: string | null;
  readonly to: string;
}

const markText = z.object({ version: z.literal(1), id: z.uuid() });
/** For so long a process goes by what it has read of PostgreSQL, where an operator may have said otherwise. */
const knownForMs = 5_000;

/**
 * Whether a store is the one that it was: the mark in it is the identity that PostgreSQL knows. So an empty mount point or another bucket is told apart from a store whose archives are gone. The
 * mark is made first and the row second: what a crash leaves between the two is adopted.
 */
@Injectable()
export class StoreIdentities {
  private readonly stores = new Map<StoreName, ArchiveStore>();
  private readonly known = new Map<StoreName, { readonly id: string; readonly atMs: number }>();
  private expectedKeys: ExpectedKeys = () => Promise.resolve([]);

  constructor(private readonly dataSource: DataSource) {}

  /** A store of which neither side knows an identity is given none where the catalogue has archives in it and it holds none of these. */
  expect(keys: ExpectedKeys): void {
    this.expectedKeys = keys;
  }

  guard(name: StoreName, store: ArchiveStore, freshForMs: number): ArchiveStore {
    this.stores.set(name, store);
    return new GuardedStore(store, (writes) => this.require(name, writes), freshForMs);
  }

  /** @throws AppError STORAGE_UNAVAILABLE, STORE_CHANGED for an identity that cannot be read */
  async state(name: StoreName): Promise<StoreState> {
    const store = this.get(name);
    const known = await this.knownOf(name);
    const found = await readMark(name, store);
    const keys = await this.expectedKeys(name, this.dataSource.manager);
    let there = 0;
    for (const key of keys) if (await liesIn(store, key)) there += 1;
    return { name, known, found, archives: { found: there, expected: keys.length } };
  }

  /**
   * From the commit on the store is the one that is there now.
   *
   * @param found its identity as it was looked at; null: it has none, and is given one
   * @param record is called inside the transaction
   * @throws AppError STORE_CHANGED where it has another one by now
   */
  async accept(name: StoreName, found: string | null, record: (change: StoreChange, manager: EntityManager) => Promise<void>): Promise<StoreChange> {
    const store = this.get(name);
    const change = await this.alone(async (manager) => {
      const from = await this.knownOf(name, manager);
      const now = await readMark(name, store);
      if (now !== found) throw changed(name, now);
      const to = now ?? (await makeMark(name, store));
      await manager.query('insert into store_identity (store, id) values ($1, $2) on conflict (store) do update set id = excluded.id, since = clock_timestamp()', [name ?? '', to]);
      await record({ from, to }, manager);
      return { from, to };
    });
    this.remember(name, change.to);
    return change;
  }

  /** @throws AppError STORE_CHANGED, STORAGE_UNAVAILABLE */
  private async require(name: StoreName, writes: boolean): Promise<void> {
    // PostgreSQL first: the mark was there before the row.
    const remembered = this.remembered(name);
    const known = remembered ?? (await this.knownOf(name));
    const found = await readMark(name, this.get(name));
    if (known === null) {
      if (found === null && !writes) return this.requireExpected(name, this.dataSource.manager);
      return this.remember(name, await this.establish(name));
    }
    if (found === null || (found !== known && found !== (await this.knownOf(name)))) throw changed(name, found);
    if (found !== remembered) this.remember(name, found);
  }

  private establish(name: StoreName): Promise<string> {
    const store = this.get(name);
    return this.alone(async (manager) => {
      const known = await this.knownOf(name, manager);
      const found = await readMark(name, store);
      if (known !== null && known !== found) throw changed(name, found);
      if (known !== null) return known;
      if (found === null) await this.requireExpected(name, manager);
      const id = found ?? (await makeMark(name, store));
      await manager.query('insert into store_identity (store, id) values ($1, $2)', [name ?? '', id]);
      return id;
    });
  }

  /** One process after the other: so a store that ignores conditions is given one identity, too. */
  private alone<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query('lock table store_identity in share row exclusive mode');
      return work(manager);
    });
  }

  private async requireExpected(name: StoreName, manager: EntityManager): Promise<void> {
    const keys = await this.expectedKeys(name, manager);
    for (const key of keys) if (await liesIn(this.get(name), key)) return;
    if (keys.length > 0) throw new AppError('STORE_CHANGED', `${titleOf(name)} has no identity and holds none of the archives that it should`);
  }

  private async knownOf(name: StoreName, manager: EntityManager = this.dataSource.manager): Promise<string | null> {
    const [row]: { id: string }[] = await manager.query('select id from store_identity where store = $1', [name ?? '']);
    return row?.id ?? null;
  }

  private remembered(name: StoreName): string | null {
    const known = this.known.get(name);
    return known === undefined || performance.now() - known.atMs > knownForMs ? null : known.id;
  }

  private remember(name: StoreName, id: string): void {
    this.known.set(name, { id, atMs: performance.now() });
  }

  private get(name: StoreName): ArchiveStore {
    const store = this.stores.get(name);
    if (store === undefined) throw new AppError('STORE_UNKNOWN', `There is no store ${name ?? ''} in the configuration of this server`);
    return store;
  }
}

function titleOf(name: StoreName): string {
  return name === null ? 'The main archive store' : `The archive store ${name}`;
}

function changed(name: StoreName, found: string | null): AppError {
  return new AppError('STORE_CHANGED', `${titleOf(name)} is not the one that was used before: ${found === null ? 'its identity is missing' : 'it has the identity of another one'}`);
}

async function liesIn(store: ArchiveStore, key: string): Promise<boolean> {
  return (await store.stat(key)) !== null;
}

async function readMark(name: StoreName, store: ArchiveStore): Promise<string | null> {
  const text = await store.mark.read();
  if (text === null) return null;
  const parsed = markText.safeParse(jsonOf(text));
  if (!parsed.success) throw new AppError('STORE_CHANGED', `${titleOf(name)} has an identity that cannot be read`);
  return parsed.data.id;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Only what the store gives back counts. */
async function makeMark(name: StoreName, store: ArchiveStore): Promise<string> {
  await store.mark.create(`${JSON.stringify({ version: 1, id: randomUUID() })}\n`);
  const found = await readMark(name, store);
  if (found === null) throw new AppError('STORAGE_UNAVAILABLE', `${titleOf(name)} does not keep the identity that it is given`);
  return found;
}
