import { setTimeout as delay } from 'node:timers/promises';
import { Binary, BSON, type Db, type Document, type IndexDescription, ObjectId } from 'mongodb';
import { inParallel } from '../libs/engines/mongodb/in-parallel.ts';

/** What a run's database holds. */
export interface DataSet {
  readonly documents: number;
  readonly bytes: number;
  readonly collections: number;
  /** Without those of `_id`. */
  readonly indexes: number;
  /** Brought back alone by a selective restore. */
  readonly selected: string;
}

/** mixed: what a product has. many: as many documents in thousands of collections. one: in one collection. large: as many bytes in documents of nearly 16 MiB. */
export const dataShapes = ['mixed', 'many', 'one', 'large'] as const;
export type DataShape = (typeof dataShapes)[number];

/** What sizes in bytes are reckoned by, on the average of a data set. Of `large`, so many bytes stand for a document. */
export const bytesPerDocument: Readonly<Record<DataShape, number>> = { mixed: 535, many: 405, one: 204, large: 535 };

export interface DataPlan {
  readonly documents: number;
  readonly shape: DataShape;
  /** Of the shape `many`. */
  readonly collections: number;
}

interface CollectionShape {
  readonly name: string;
  /** Share of all documents. */
  readonly share: number;
  readonly indexes: readonly IndexDescription[];
  make(random: Random, index: number): Document;
}

const selectedCollection = 'articles';
/** mongod keeps the files of a new collection open until a checkpoint holds them, and a little longer. */
const collectionsPerCheckpoint = 400;
const mostFilesOpen = 4_000;
const betweenLooksMs = 100;
const mostLooks = 3_000;
const collectionsPerHash = 400;
/** Of many collections, one in so many has an index. */
const indexedEvery = 10;
const largeBytes = 16 * 2 ** 20 - 1_024;
const collectionsAtOnce = 8;
const seed = 0x5eed;
const batchDocuments = 2_000;
const batchBytes = 16_000_000;
const batchesAtOnce = 4;
const firstDay = Date.UTC(2024, 0, 1);
const dayMs = 86_400_000;

/** Mulberry32: the same documents on every machine and in every run. */
class Random {
  private readonly seed: number;
  private state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.state = seed;
  }

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** As in a language, a few words make up most of it. */
  text(words: number): string {
    let text = '';
    for (let index = 0; index < words; index += 1) text += (index === 0 ? '' : ' ') + (vocabulary[Math.floor(vocabulary.length * this.next() ** 3)] ?? '');
    return text;
  }

  /** Contracts and notes are put together from clauses, names and figures. */
  prose(clauseCount: number): string {
    let prose = '';
    for (let index = 0; index < clauseCount; index += 1) prose += `${this.of(clauses)} ${this.text(2)} ${this.below(10_000)}. `;
    return prose;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at += 1) bytes[at] = this.below(256);
    return bytes;
  }

  /** As drivers make them: seconds, the process, a counter. */
  id(index: number): ObjectId {
    const id = Buffer.alloc(12);
    id.writeUInt32BE(firstDay / 1000 + index * 90 + this.below(90));
    id.writeUIntBE(this.seed * 7_919 + this.below(4), 4, 5);
    id.writeUIntBE(index % 0x1000000, 9, 3);
    return new ObjectId(id);
  }

  date(): Date {
    return new Date(firstDay + this.below(700 * dayMs));
  }
}

/** Every letter as often as in English, roughly. */
const letters = 'eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnssssssrrrrrrhhhhhhllllddddccuummffppggwyybvk';
const vocabulary = vocabularyOf(new Random(seed));
const cities = vocabulary.slice(0, 200);
const products = productsOf(new Random(seed));
const clauses = clausesOf(new Random(seed));
const countries = ['NO', 'SE', 'DK', 'DE', 'FR', 'PT', 'IT', 'PL', 'NL', 'AT'];
const states = ['open', 'paid', 'packed', 'shipped', 'delivered', 'returned'];
const agents = ['Mozilla/5.0 (X11; Linux x86_64) Firefox/141.0', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Safari/605.1.15', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/139.0'];
const kinds = ['page.viewed', 'cart.changed', 'order.placed', 'invoice.sent', 'login', 'search'];

function vocabularyOf(random: Random): readonly string[] {
  return Array.from({ length: 1500 }, () => Array.from({ length: 2 + random.below(9) }, () => random.of([...letters])).join(''));
}

function clausesOf(random: Random): readonly string[] {
  return Array.from({ length: 600 }, () => random.text(8 + random.below(12)));
}

function productsOf(random: Random): readonly Document[] {
  return Array.from({ length: 400 }, (_, index) => ({ sku: `SKU-${10_000 + index}`, title: random.text(3), price: Math.round(random.next() * 1e5) / 100 }));
}

const mixed: readonly CollectionShape[] = [
  {
    name: 'orders',
    share: 0.375,
    indexes: [
      { key: { customerId: 1, placedAt: -1 }, name: 'by_customer' },
      { key: { state: 1, total: 1 }, name: 'by_state' },
      { key: { number: 1 }, name: 'by_number', unique: true },
    ],
    make: (random, index) => ({
      _id: random.id(index),
      number: `SO-${String(index).padStart(9, '0')}`,
      customerId: random.below(60_000),
      state: random.of(states),
      placedAt: random.date(),
      total: Math.round(random.next() * 1e6) / 100,
      lines: Array.from({ length: 1 + random.below(7) }, () => ({ ...random.of(products), quantity: 1 + random.below(9), discount: 0, taxRate: 0.25 })),
      delivery: { street: random.text(2), city: random.of(cities), country: random.of(countries), carrier: 'standard' },
    }),
  },
  {
    name: 'events',
    share: 0.45,
    indexes: [
      { key: { at: 1 }, name: 'by_time' },
      { key: { kind: 1, at: -1 }, name: 'by_kind' },
    ],
    make: (random, index) => ({
      _id: random.id(index),
      kind: random.of(kinds),
      at: random.date(),
      userId: random.below(60_000),
      session: `s-${random.below(100_000)}`,
      details: { path: `/${random.of(cities)}/${random.below(500)}`, durationMs: random.below(9_000), agent: random.of(agents) },
    }),
  },
  {
    name: 'customers',
    share: 0.15,
    indexes: [{ key: { email: 1 }, name: 'by_email' }],
    make: (random, index) => ({
      _id: index,
      name: random.text(2),
      email: `${random.of(vocabulary)}.${index}@example.com`,
      since: random.date(),
      address: { street: random.text(3), postcode: String(10_000 + random.below(89_999)), country: random.of(countries) },
      tags: Array.from({ length: random.below(5) }, () => random.of(vocabulary)),
      credit: random.next() < 0.2 ? null : random.below(5_000),
      notes: random.prose(random.below(4)),
    }),
  },
  {
    name: 'contracts',
    share: 0.024_75,
    indexes: [],
    make: (random, index) => ({ _id: random.id(index), customerId: random.below(60_000), signedAt: random.date(), body: random.prose(22 + random.below(27)) }),
  },
  {
    // One hundredth of all bytes: what a selective restore brings back.
    name: selectedCollection,
    share: 0.002,
    indexes: [],
    make: (random, index) => ({ _id: random.id(index), title: random.text(4), body: random.prose(26) }),
  },
  {
    // Scans and pictures: large, and nothing that a codec could do about them.
    name: 'attachments',
    share: 0.000_25,
    indexes: [],
    make: (random, index) => ({ _id: random.id(index), name: `${random.of(vocabulary)}.jpg`, content: new Binary(random.bytes(40_000 + random.below(40_000))) }),
  },
];

function shapesOf({ shape, collections }: Pick<DataPlan, 'shape' | 'collections'>): readonly CollectionShape[] {
  const [, events, customers] = mixed as [CollectionShape, CollectionShape, CollectionShape];
  switch (shape) {
    case 'mixed':
      return mixed;
    case 'many':
      return Array.from({ length: collections }, (_, index) => ({ ...customers, name: `part_${index}`, share: 1 / collections, indexes: index % indexedEvery === 0 ? customers.indexes : [] }));
    case 'one':
      return [{ ...events, share: 1 }];
    case 'large':
      return [{ name: 'scans', share: bytesPerDocument.large / largeBytes, indexes: [], make: (random, index) => ({ _id: random.id(index), content: new Binary(random.bytes(largeBytes)) }) }];
  }
}

/** Fills an empty database. The same plan gives the same database, byte for byte. */
export async function fill(db: Db, plan: DataPlan): Promise<DataSet> {
  const shapes = shapesOf(plan);
  const filled: Pick<DataSet, 'documents' | 'bytes'>[] = [];
  for (let at = 0; at < shapes.length; at += collectionsPerCheckpoint) {
    if (at > 0) {
      await db.admin().command({ fsync: 1 });
      await untilFilesAreClosed(db);
    }
    const some = shapes.slice(at, at + collectionsPerCheckpoint);
    filled.push(...(await inParallel(some, collectionsAtOnce, (one, place) => fillOne(db, one, new Random(seed + 1 + at + place), Math.max(1, Math.round(plan.documents * one.share))))));
  }
  return {
    documents: filled.reduce((sum, one) => sum + one.documents, 0),
    bytes: filled.reduce((sum, one) => sum + one.bytes, 0),
    collections: shapes.length,
    indexes: shapes.reduce((sum, { indexes }) => sum + indexes.length, 0),
    selected: plan.shape === 'mixed' ? selectedCollection : (shapes[0]?.name ?? ''),
  };
}

async function untilFilesAreClosed(db: Db): Promise<void> {
  for (let looks = 0; looks < mostLooks; looks += 1) {
    const status = await db.admin().command({ serverStatus: 1 });
    const { connection } = status['wiredTiger'] as { readonly connection: Readonly<Record<string, unknown>> };
    if (Number(connection['files currently open']) < mostFilesOpen) return;
    await delay(betweenLooksMs);
  }
  throw new Error(`mongod still has more than ${mostFilesOpen} files open after ${(mostLooks * betweenLooksMs) / 60_000} minutes`);
}

async function fillOne(db: Db, shape: CollectionShape, random: Random, wanted: number): Promise<{ readonly documents: number; readonly bytes: number }> {
  let bytes = 0;
  const collection = db.collection(shape.name);
  const running = new Set<Promise<void>>();
  for (let index = 0; index < wanted; ) {
    const batch: Document[] = [];
    let size = 0;
    for (; batch.length < batchDocuments && size < batchBytes && index < wanted; index += 1) {
      const document = shape.make(random, index);
      size += BSON.calculateObjectSize(document);
      batch.push(document);
    }
    bytes += size;
    if (running.size >= batchesAtOnce) await Promise.race(running);
    const inserted: Promise<void> = collection.insertMany(batch, { ordered: false }).then(() => {
      running.delete(inserted);
    });
    running.add(inserted);
  }
  await Promise.all(running);
  if (shape.indexes.length > 0) await collection.createIndexes([...shape.indexes]);
  return { documents: wanted, bytes };
}

/** Tells whether a database is still what it was: documents, and the names of the indexes. */
export async function fingerprint(db: Db, plan: DataPlan): Promise<string> {
  const names = shapesOf(plan).map(({ name }) => name);
  const hashes: string[] = [];
  // One command keeps open the files of all that it reads.
  for (let at = 0; at < names.length; at += collectionsPerHash) {
    if (at > 0) await untilFilesAreClosed(db);
    const { md5 } = await db.command({ dbHash: 1, collections: names.slice(at, at + collectionsPerHash) });
    hashes.push(String(md5));
  }
  const indexes = await inParallel(names, collectionsAtOnce, async (name) => `${name}: ${(await db.collection(name).indexes()).map((index) => index.name).sort().join(' ')}`);
  return [...hashes, ...indexes].join('\n');
}
