import { BSON } from 'mongodb';
import { findElement } from '../../libs/engines/mongodb/raw-bson.ts';
import { copyDatabase, copyNamespace, type Database, isCapped, type Namespace } from './model.ts';

/** What a backup holds: a whole database, or what it says of these names, of which some may not have existed. */
export interface Picture {
  readonly only: readonly string[] | null;
  readonly database: Database;
}

export function pictureOf(database: Database, only: readonly string[] | null): Picture {
  return { only, database: copyDatabase(only === null ? database : new Map([...database].filter(([name]) => only.includes(name)))) };
}

/** Names that a restore may choose. */
export function namesIn({ only, database }: Picture): string[] {
  return [...new Set([...(only ?? []), ...database.keys()])].sort();
}

/** REPLACE. `chosen` null: all that the backup was taken of. */
export function replaced(live: Database, { only, database }: Picture, chosen: readonly string[] | null): Database {
  const names = chosen ?? only;
  if (names === null) return copyDatabase(database);
  const after = copyDatabase(live);
  for (const name of names) {
    const archived = database.get(name);
    if (archived === undefined) after.delete(name);
    else after.set(name, copyNamespace(archived));
  }
  return after;
}

export function isMergeable(namespace: Namespace | undefined, name: string): boolean {
  return namespace !== undefined && namespace.kind === 'collection' && !isCapped(namespace) && !name.startsWith('system.');
}

export type Conflict = 'KEEP_LIVE' | 'TAKE_ARCHIVE';

/** MERGE of these collections, as if no unique key clashed. */
export function merged(live: Database, { database }: Picture, chosen: readonly string[], conflict: Conflict): Database {
  const after = copyDatabase(live);
  for (const name of chosen) {
    const archived = database.get(name);
    const there = after.get(name);
    if (archived === undefined) continue;
    if (there === undefined) after.set(name, copyNamespace(archived));
    else for (const [key, document] of archived.documents) if (!there.documents.has(key) || conflict === 'TAKE_ARCHIVE') there.documents.set(key, document);
  }
  return after;
}

export interface Clashes {
  /** Two documents that a merge may meet at once have one unique key. */
  readonly possible: boolean;
  /** Two documents that would be there after it have one. */
  readonly certain: boolean;
}

export function clashesOf(live: Database, picture: Picture, chosen: readonly string[], conflict: Conflict): Clashes {
  const after = merged(live, picture, chosen, conflict);
  const unique = chosen.filter((name) => live.has(name)).map((name) => ({ name, indexes: uniqueIndexes(live.get(name)) })).filter(({ indexes }) => indexes.length > 0);
  const certain = unique.some(({ name, indexes }) => indexes.some(({ partial }) => !partial) && hasDouble([...(after.get(name)?.documents.values() ?? [])]));
  const possible = unique.some(({ name }) => {
    const both = [live, picture.database].flatMap((side) => [...(side.get(name)?.documents ?? [])].map(([key, document]) => `${keyNumber(document)} of ${key}`));
    const keys = [...new Set(both)].map((pair) => pair.split(' ', 1)[0]).filter((key) => key !== 'undefined');
    return new Set(keys).size < keys.length;
  });
  return { possible, certain };
}

/** The product makes them on `k` alone. */
function uniqueIndexes(namespace: Namespace | undefined): { readonly partial: boolean }[] {
  return [...(namespace?.indexes.values() ?? [])]
    .map((bytes) => BSON.deserialize(bytes))
    .filter((index) => index['unique'] === true && 'k' in (index['key'] as object))
    .map((index) => ({ partial: index['partialFilterExpression'] !== undefined || index['sparse'] === true }));
}

function hasDouble(documents: readonly Buffer[]): boolean {
  const keys = documents.map(keyNumber).filter((key) => key !== undefined);
  return new Set(keys).size < keys.length;
}

function keyNumber(document: Buffer): number | undefined {
  return findElement(document, 'k')?.value.readInt32LE(0);
}
