import { BSON, type Db } from 'mongodb';
import { findElement } from '../../libs/engines/mongodb/raw-bson.ts';

export type Kind = 'collection' | 'view' | 'timeseries';

/** One namespace as it must be, byte for byte. Changed only by who made it; what is handed on is a copy. */
export interface Namespace {
  kind: Kind;
  /** Raw BSON, as listCollections tells it. */
  options: Buffer;
  /** Raw BSON by name. */
  indexes: Map<string, Buffer>;
  /** Raw BSON by `_id`; of a capped collection in its order, of a time series its buckets. */
  documents: Map<string, Buffer>;
}

/** A database: a plain picture in memory, of the product's or of what a backup must bring back. */
export type Database = Map<string, Namespace>;

const bucketsOf = (name: string): string => `system.buckets.${name}`;
const isListed = (name: string): boolean => name !== 'system.views' && !name.startsWith('system.buckets.');

export function keyOf(document: Buffer): string {
  const id = findElement(document, '_id');
  if (id === undefined) throw new Error('A document has no _id');
  return `${id.type} ${id.value.toString('latin1')}`;
}

export function isCapped({ options }: Namespace): boolean {
  return BSON.deserialize(options)['capped'] === true;
}

export function copyNamespace({ kind, options, indexes, documents }: Namespace): Namespace {
  // The bytes themselves never change.
  return { kind, options, indexes: new Map(indexes), documents: new Map(documents) };
}

export function copyDatabase(database: Database): Database {
  return new Map([...database].map(([name, namespace]) => [name, copyNamespace(namespace)]));
}

/** What the server says of definitions alone; documents are empty. */
export async function readDefinitions(db: Db): Promise<Database> {
  const listed = await db.listCollections({}, { promoteValues: false }).toArray();
  const found = listed.filter(({ name }) => isListed(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(
    await Promise.all(
      found.map(async (info): Promise<[string, Namespace]> => {
        const indexes = info.type === 'view' ? [] : ((await db.collection(info.name).listIndexes({ raw: true }).toArray()) as unknown as Buffer[]);
        return [
          info.name,
          {
            kind: info.type as Kind,
            options: Buffer.from(BSON.serialize('options' in info ? (info.options ?? {}) : {})),
            indexes: new Map(indexes.map((index) => [String(BSON.deserialize(index)['name']), Buffer.from(index)])),
            documents: new Map(),
          },
        ];
      }),
    ),
  );
}

export async function readDocuments(db: Db, name: string, kind: Kind): Promise<Map<string, Buffer>> {
  if (kind === 'view') return new Map();
  const found = (await db.collection(kind === 'timeseries' ? bucketsOf(name) : name).find({}, { raw: true, batchSize: 5000 }).toArray()) as unknown as Buffer[];
  return new Map(found.map((document) => [keyOf(document), Buffer.from(document)]));
}

/** The whole live database, as the server gives it back. */
export async function readDatabase(db: Db): Promise<Database> {
  const database = await readDefinitions(db);
  await Promise.all([...database].map(async ([name, namespace]) => void (namespace.documents = await readDocuments(db, name, namespace.kind))));
  return database;
}

/** Every way in which the second is not the first, as lines for people. */
export function differences(expected: Database, actual: Database): string[] {
  const names = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return names.flatMap((name) => {
    const [wanted, found] = [expected.get(name), actual.get(name)];
    if (found === undefined) return [`${JSON.stringify(name)} is missing`];
    if (wanted === undefined) return [`${JSON.stringify(name)} should not be there: a ${found.kind} of ${found.documents.size} documents`];
    return namespaceDifferences(wanted, found).map((line) => `${JSON.stringify(name)}: ${line}`);
  });
}

function namespaceDifferences(wanted: Namespace, found: Namespace): string[] {
  if (wanted.kind !== found.kind) return [`is a ${found.kind}, not a ${wanted.kind}`];
  const lines: string[] = [];
  if (!wanted.options.equals(found.options)) lines.push(`options are ${text(found.options)}, not ${text(wanted.options)}`);
  lines.push(...mapDifferences('index', wanted.indexes, found.indexes), ...mapDifferences('document', wanted.documents, found.documents));
  if (lines.length === 0 && isCapped(wanted) && [...wanted.documents.keys()].join() !== [...found.documents.keys()].join()) lines.push('the order of a capped collection is another one');
  return lines;
}

function mapDifferences(what: string, wanted: ReadonlyMap<string, Buffer>, found: ReadonlyMap<string, Buffer>): string[] {
  const missing = [...wanted].filter(([key]) => !found.has(key)).map(([, bytes]) => bytes);
  const extra = [...found].filter(([key]) => !wanted.has(key)).map(([, bytes]) => bytes);
  const changed = [...wanted].flatMap(([key, bytes]) => {
    const other = found.get(key);
    return other === undefined || other.equals(bytes) ? [] : [`${text(other)}, not ${text(bytes)}`];
  });
  return [...counted(`${what} is missing`, missing.map(text)), ...counted(`${what} should not be there`, extra.map(text)), ...counted(`${what} is another one`, changed)];
}

function counted(what: string, which: readonly string[]): string[] {
  return which[0] === undefined ? [] : [`${which.length} times a${/^[aeiou]/.test(what) ? 'n' : ''} ${what}, the first: ${which[0]}`];
}

function text(bytes: Buffer): string {
  const shown = BSON.EJSON.stringify(BSON.deserialize(bytes, { promoteValues: false }), { relaxed: false });
  return shown.length > 300 ? `${shown.slice(0, 300)}…` : shown;
}
