import { BSON, type Db, type Document, Int32, MongoBulkWriteError, MongoServerError, ObjectId } from 'mongodb';
import { findElement } from '../../libs/engines/mongodb/raw-bson.ts';
import { bytesOf, newDocument, valuesOf } from './documents.ts';
import { type Database, isCapped, keyOf, type Namespace, readDefinitions, readDocuments } from './model.ts';
import type { Random } from './random.ts';

const mostDocuments = 120;
const mostCapped = 25;
const mostNamespaces = 12;

const names = ['orders', 'customers', 'log', 'with space', 'ünï-코드', 'a.b.c', 'UPPER', 'q"uote\'s', '%24x', '0digit', 'new\nline', 'x'.repeat(150), 'readings', 'shown', 'shown.too', 'items'] as const;

const indexes: readonly ((random: Random) => readonly [Document, Document])[] = [
  (random) => [{ n: 1, name: -1 }, { sparse: random.chance(0.3) }],
  () => [{ k: 1 }, { unique: true }],
  () => [{ k: -1 }, { unique: true, partialFilterExpression: { n: { $gt: 500 } } }],
  (random) => [{ at: 1 }, { expireAfterSeconds: random.pick([1_000_000_000, new BSON.Long(1_000_000_001), new BSON.Double(1_000_000_002.5)]) }],
  () => [{ text: 'text' }, { default_language: 'none' }],
  () => [{ place: '2dsphere' }, {}],
  () => [{ _id: 'hashed' }, {}],
  () => [{ '$**': 1 }, { wildcardProjection: { odd: 0, text: 0 } }],
  (random) => [{ name: 1 }, { hidden: random.chance(0.5), collation: { locale: 'de', strength: 2 } }],
  () => [{ tags: 1 }, { partialFilterExpression: { n: { $lt: 500 } } }],
];

/** The product whose data Holdfast keeps: writes, and changes of definitions, each done on the server and noted in the model. */
export class Product {
  /** Given to every new version of a document, so that unique keys are. */
  private serial = 1;

  constructor(
    readonly db: Db,
    readonly model: Database,
  ) {}

  /** The model after a restore. */
  adopt(database: Database): void {
    this.model.clear();
    for (const [name, namespace] of database) this.model.set(name, namespace);
  }

  newSerial(): number {
    return this.serial++;
  }

  /** A product that has been in use for a while. */
  async found(random: Random): Promise<void> {
    for (let count = 0; count < 5; count += 1) await this.create(random);
    for (let count = 0; count < 10; count += 1) await this.define(random, 'createIndex');
    for (let count = 0; count < 5; count += 1) await this.write(random);
  }

  /** Some writes into one collection; what was done. */
  async write(random: Random): Promise<string> {
    const writable = [...this.model].filter(([, { kind }]) => kind !== 'view');
    const [name, namespace] = random.find(writable) ?? [null, null];
    if (name === null) return this.create(random);
    if (namespace.kind === 'timeseries') return this.measure(random, name, namespace);
    if (isCapped(namespace)) return this.insert(random, name, namespace, random.int(1, 5));
    const many = namespace.documents.size > mostDocuments;
    switch (random.weighted({ insert: many ? 0 : 5, replace: 3, increase: 2, delete: many ? 5 : 1, double: many ? 0 : 0.3 })) {
      case 'insert':
        return this.insert(random, name, namespace, random.int(1, 20));
      case 'replace':
        return this.replace(random, name, namespace);
      case 'increase':
        return this.increase(random, name, namespace);
      case 'delete':
        return this.delete(random, name, namespace);
      case 'double':
        return this.insertDouble(random, name, namespace);
    }
  }

  /** A change of definitions; a server that refuses it has changed nothing. */
  async define(random: Random, only?: 'createIndex'): Promise<string> {
    const full = this.model.size >= mostNamespaces;
    const act = only ?? random.weighted({ create: full ? 0 : 6, createIndex: 6, dropIndex: 2, modify: 3, drop: full ? 4 : 1.5, rename: 1.5, empty: 0.5, dropDatabase: 0.15 });
    try {
      return await this.change(act, random);
    } catch (error) {
      if (!(error instanceof MongoServerError)) throw error;
      await this.redefine();
      return `${act}, which the server refuses: ${error.message.slice(0, 60)}`;
    }
  }

  private change(act: 'create' | 'createIndex' | 'dropIndex' | 'modify' | 'drop' | 'rename' | 'empty' | 'dropDatabase', random: Random): Promise<string> {
    switch (act) {
      case 'create':
        return this.create(random);
      case 'createIndex':
        return this.createIndex(random);
      case 'dropIndex':
        return this.dropIndex(random);
      case 'modify':
        return this.modify(random);
      case 'drop':
        return this.drop(random);
      case 'rename':
        return this.rename(random);
      case 'empty':
        return this.empty(random);
      case 'dropDatabase':
        return this.dropDatabase();
    }
  }

  private async create(random: Random): Promise<string> {
    const name = random.find(names.filter((free) => !this.model.has(free)));
    if (name === undefined) return this.drop(random);
    const kind = random.weighted({ plain: 5, validated: 1, capped: 1, clustered: 1, collated: 1, view: 1.5, timeseries: 1 });
    await this.db.createCollection(name, this.optionsFor(kind, random));
    await this.redefine();
    const namespace = this.model.get(name);
    const plain = namespace?.kind === 'collection' && kind !== 'capped';
    if (plain) await this.insert(random, name, namespace, random.int(0, 40));
    return `create ${kind} ${JSON.stringify(name)}`;
  }

  private optionsFor(kind: 'plain' | 'validated' | 'capped' | 'clustered' | 'collated' | 'view' | 'timeseries', random: Random): Document {
    switch (kind) {
      case 'plain':
        return {};
      case 'validated':
        return { validator: { n: { $gte: 10 } }, validationAction: random.pick(['warn', 'error']), validationLevel: random.pick(['strict', 'moderate']) };
      case 'capped':
        return { capped: true, size: 1 << 20, max: mostCapped };
      case 'clustered':
        return { clusteredIndex: { key: { _id: 1 }, unique: true } };
      case 'collated':
        return { collation: { locale: 'de', strength: 2 } };
      case 'view':
        return { viewOn: random.find([...this.model.keys()]) ?? 'nothing', pipeline: random.pick([[], [{ $match: { n: { $gt: 10 } } }], [{ $lookup: { from: 'orders', localField: 'k', foreignField: 'k', as: 'o' } }]]) };
      case 'timeseries':
        return { timeseries: { timeField: 'at', ...(random.chance(0.7) ? { metaField: 'sensor' } : {}), granularity: random.pick(['seconds', 'hours']) }, ...(random.chance(0.3) ? { expireAfterSeconds: 1_000_000_000 } : {}) };
    }
  }

  private async createIndex(random: Random): Promise<string> {
    const name = random.find(this.withIndexes());
    if (name === undefined) return this.create(random);
    const [key, options] = this.model.get(name)?.kind === 'timeseries' ? [{ sensor: 1, at: random.pick([1, -1]) }, {}] : random.pick(indexes)(random);
    await this.db.collection(name).createIndex(key, options);
    await this.redefine();
    return `index ${JSON.stringify(key)} on ${JSON.stringify(name)}`;
  }

  private async dropIndex(random: Random): Promise<string> {
    const found = this.withIndexes().flatMap((name) => [...(this.model.get(name)?.indexes.keys() ?? [])].filter((index) => index !== '_id_').map((index) => ({ name, index })));
    const one = random.find(found);
    if (one === undefined) return this.createIndex(random);
    await this.db.collection(one.name).dropIndex(one.index);
    await this.redefine();
    return `drop index ${one.index} of ${JSON.stringify(one.name)}`;
  }

  private async modify(random: Random): Promise<string> {
    const [name, namespace] = random.find([...this.model]) ?? [null, null];
    if (name === null) return this.create(random);
    const ttl = [...namespace.indexes].find(([, bytes]) => 'expireAfterSeconds' in BSON.deserialize(bytes))?.[0];
    if (namespace.kind === 'view') await this.db.command({ collMod: name, viewOn: random.pick([...this.model.keys()]), pipeline: [{ $match: { n: random.int(0, 9) } }] });
    else if (namespace.kind === 'timeseries') await this.db.command({ collMod: name, expireAfterSeconds: random.pick(['off', 1_000_000_000 + random.int(0, 9)]) });
    else if (ttl !== undefined && random.chance(0.5)) await this.db.command({ collMod: name, index: { name: ttl, expireAfterSeconds: 1_000_000_000 + random.int(0, 9) } });
    // Nobody's documents need fit it: a restore keeps them all the same.
    else await this.db.command({ collMod: name, validator: random.pick([{}, { n: { $gte: random.int(0, 900) } }, { name: { $type: 'string' } }]), validationLevel: random.pick(['off', 'strict', 'moderate']) });
    await this.redefine();
    return `collMod ${JSON.stringify(name)}`;
  }

  private async drop(random: Random): Promise<string> {
    const name = random.find([...this.model.keys()]);
    if (name === undefined) return 'nothing to drop';
    await this.db.dropCollection(name);
    this.model.delete(name);
    await this.redefine();
    return `drop ${JSON.stringify(name)}`;
  }

  private async rename(random: Random): Promise<string> {
    const from = random.find([...this.model].filter(([, { kind }]) => kind === 'collection').map(([name]) => name));
    const to = random.find(names.filter((free) => !this.model.has(free)));
    const namespace = from === undefined ? undefined : this.model.get(from);
    if (from === undefined || to === undefined || namespace === undefined) return this.create(random);
    await this.db.renameCollection(from, to);
    this.model.delete(from);
    this.model.set(to, namespace);
    await this.redefine();
    return `rename ${JSON.stringify(from)} to ${JSON.stringify(to)}`;
  }

  private async empty(random: Random): Promise<string> {
    const [name, namespace] = random.find(this.plain()) ?? [null, null];
    if (name === null) return this.create(random);
    await this.db.collection(name).deleteMany({});
    namespace.documents.clear();
    return `empty ${JSON.stringify(name)}`;
  }

  private async dropDatabase(): Promise<string> {
    await this.db.dropDatabase();
    this.model.clear();
    return 'drop the database';
  }

  private async insert(random: Random, name: string, namespace: Namespace, count: number): Promise<string> {
    const documents = Array.from({ length: count }, () => newDocument(random, this.newSerial()));
    if (count > 0) await this.db.collection(name).insertMany(documents, { bypassDocumentValidation: true });
    for (const bytes of documents.map(bytesOf)) namespace.documents.set(keyOf(bytes), bytes);
    if (isCapped(namespace)) for (const key of [...namespace.documents.keys()].slice(0, -mostCapped)) namespace.documents.delete(key);
    return `insert ${count} into ${JSON.stringify(name)}`;
  }

  /** With the key of another one: the server may refuse it, and merges may clash on it. */
  private async insertDouble(random: Random, name: string, namespace: Namespace): Promise<string> {
    const other = random.find([...namespace.documents.values()]);
    if (other === undefined) return this.insert(random, name, namespace, 1);
    const document = { ...newDocument(random, this.newSerial()), k: new Int32(findElement(other, 'k')?.value.readInt32LE(0) ?? 0) };
    try {
      await this.db.collection(name).insertMany([document], { bypassDocumentValidation: true });
    } catch (error) {
      if (error instanceof MongoBulkWriteError && error.code === 11_000) return `insert a double key into ${JSON.stringify(name)}, which is unique`;
      throw error;
    }
    const bytes = bytesOf(document);
    namespace.documents.set(keyOf(bytes), bytes);
    return `insert a double key into ${JSON.stringify(name)}`;
  }

  private async replace(random: Random, name: string, namespace: Namespace): Promise<string> {
    const chosen = random.some([...namespace.documents], 8);
    for (const [key, bytes] of chosen) {
      const document = newDocument(random, this.newSerial(), valuesOf(bytes)['_id']);
      await this.db.collection(name).replaceOne({ _id: document['_id'] }, document, { bypassDocumentValidation: true });
      namespace.documents.set(key, bytesOf(document));
    }
    return `replace ${chosen.length} in ${JSON.stringify(name)}`;
  }

  private async increase(random: Random, name: string, namespace: Namespace): Promise<string> {
    const chosen = random.some([...namespace.documents], 20);
    const by = random.int(1, 9);
    for (const [key, bytes] of chosen) {
      try {
        await this.db.collection(name).updateOne({ _id: valuesOf(bytes)['_id'] }, { $inc: { n: new Int32(by) } }, { bypassDocumentValidation: true });
      } catch (error) {
        // A double key may have come under a partial unique index.
        if (error instanceof MongoServerError && error.code === 11_000) continue;
        throw error;
      }
      namespace.documents.set(key, increased(bytes, by));
    }
    return `increase ${chosen.length} in ${JSON.stringify(name)}`;
  }

  private async delete(random: Random, name: string, namespace: Namespace): Promise<string> {
    const chosen = random.some([...namespace.documents], namespace.documents.size > mostDocuments ? 80 : 20);
    await this.db.collection(name).deleteMany({ _id: { $in: chosen.map(([, bytes]) => valuesOf(bytes)['_id']) } });
    for (const [key] of chosen) namespace.documents.delete(key);
    return `delete ${chosen.length} from ${JSON.stringify(name)}`;
  }

  /** How the server packs measurements into buckets is its own; from then on they must stay as they are. */
  private async measure(random: Random, name: string, namespace: Namespace): Promise<string> {
    const count = random.int(1, 10);
    const measurements = Array.from({ length: count }, () => ({ _id: new ObjectId(random.bytes(12)), at: new Date(1_700_000_000_000 + random.int(0, 86_400_000)), sensor: random.int(0, 3), value: random.next() }));
    if (namespace.documents.size < mostDocuments) await this.db.collection(name).insertMany(measurements);
    namespace.documents = await readDocuments(this.db, name, 'timeseries');
    return `measure ${count} in ${JSON.stringify(name)}`;
  }

  /** Collections into which anything may be written. */
  plain(): [string, Namespace][] {
    return [...this.model].filter(([, namespace]) => namespace.kind === 'collection' && !isCapped(namespace));
  }

  private withIndexes(): string[] {
    return [...this.model].filter(([, { kind }]) => kind !== 'view').map(([name]) => name);
  }

  /** The server's own words for options and indexes; documents are the model's. */
  private async redefine(): Promise<void> {
    for (const [name, { kind, options, indexes: defined }] of await readDefinitions(this.db)) {
      const known = this.model.get(name);
      if (known === undefined) this.model.set(name, { kind, options, indexes: defined, documents: new Map() });
      else Object.assign(known, { kind, options, indexes: defined });
    }
  }
}

/** What `$inc` of `n` makes of a document. */
export function increased(document: Buffer, by: number): Buffer {
  const copy = Buffer.from(document);
  const n = findElement(copy, 'n')?.value;
  n?.writeInt32LE(n.readInt32LE(0) + by);
  return copy;
}
