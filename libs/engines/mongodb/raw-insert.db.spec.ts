import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BSON, type Binary } from 'mongodb';
import { testMongo } from '../../../test/support/servers.ts';
import { connect, type MongodbContext } from './connection.js';
import { findNamespace, toUuid } from './find-namespaces.js';
import { decodeAll, DocumentSequence, RawWriter, type RawWriteOptions } from './raw-insert.js';

const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));

it('finds the internal class of the driver that raw inserts go through', () => {
  // If this fails after an upgrade of the driver, restores still work, but decode every document: look for the class's new place.
  expect(DocumentSequence).not.toBeNull();
});

it('decodes whole batches where the class is missing', () => {
  const documents = decodeAll(Buffer.concat([bson({ _id: 1, a: 1.5 }), bson({ _id: 2 })]));
  expect(BSON.serialize(documents[0] ?? {})).toEqual(BSON.serialize({ _id: 1, a: 1.5 }));
  expect(documents).toHaveLength(2);
});

describe('RawWriter', () => {
  let context: MongodbContext;
  let writer: RawWriter;
  let uuid: Binary;
  const options = (): RawWriteOptions => ({
    uuid, ordered: false, numbered: true, bypassDocumentValidation: true, bypassEmptyTsReplacement: false, maxTimeMS: 5_000, signal: new AbortController().signal,
  });

  beforeAll(async () => {
    context = await connect(await testMongo());
    writer = new RawWriter(context.client, context.db);
  });
  beforeEach(async () => {
    await context.db.dropCollection('a').catch(() => false);
    await context.db.createCollection('a', { validator: { never: true } });
    uuid = toUuid((await findNamespace(context, 'a'))?.uuid ?? '');
  });
  afterAll(async () => {
    await writer.close();
    await context.db.dropDatabase();
    await context.client.close();
  });

  it('writes bytes as they are, even twice the same field', async () => {
    // {_id: 1, a: 1, a: 2}
    const twice = Buffer.from('1a000000105f69640001000000106100010000001061000200000000', 'hex');
    twice.writeInt32LE(twice.length, 0);
    writer.begin();
    const reply = await writer.insert('a', { pieces: [twice, Buffer.concat([bson({ _id: 2 }), bson({ _id: 3 })])], documents: 3 }, options());
    expect(reply['n']).toBe(3);
    const found = await context.db.collection('a').find({}, { raw: true }).toArray();
    expect(Buffer.from(found[0] as unknown as Uint8Array)).toEqual(twice);
  });

  it('writes a batch once, however often it is sent', async () => {
    writer.begin();
    const batch = { pieces: [bson({ _id: 1 }), bson({ _id: 2 })], documents: 2 };
    for (let sent = 0; sent < 3; sent += 1) {
      const reply = await writer.insert('a', batch, options());
      expect({ n: reply['n'], errors: reply['writeErrors'] }).toEqual({ n: 2, errors: undefined });
    }
    writer.begin();
    expect((await writer.insert('a', batch, options()))['writeErrors']).toHaveLength(2);
    expect(await context.db.collection('a').countDocuments()).toBe(2);
  });

  it('writes a batch without a number once too, where others of its kind are still at work', async () => {
    const batch = { pieces: [Buffer.concat(Array.from({ length: 3_000 }, (_, n) => bson({ _id: n })))], documents: 3_000 };
    const writers = Array.from({ length: 4 }, () => new RawWriter(context.client, context.db));
    const replies = await Promise.all(writers.map((each) => each.insert('a', batch, { ...options(), numbered: false })));
    await Promise.all(writers.map((each) => each.close()));
    const refused = replies.flatMap((reply) => (reply['writeErrors'] ?? []) as { readonly code: number }[]);
    expect(refused.filter(({ code }) => code !== 11_000)).toEqual([]);
    expect(replies.reduce((sum, reply) => sum + Number(reply['n']), 0)).toBe(3_000);
    expect(refused).toHaveLength(3 * 3_000);
    expect(await context.db.collection('a').countDocuments()).toBe(3_000);
  });

  it('does not write to a collection that took the place of another', async () => {
    await context.db.dropCollection('a');
    await context.db.createCollection('a');
    writer.begin();
    const reply = await writer.insert('a', { pieces: [bson({ _id: 1 })], documents: 1 }, options());
    expect(reply['writeErrors']).toEqual([expect.objectContaining({ code: 361 })]);
    expect(await context.db.collection('a').countDocuments()).toBe(0);
  });

  it('leaves the sessions of others usable', async () => {
    for (let n = 0; n < 3; n += 1) {
      const other = new RawWriter(context.client, context.db);
      other.begin();
      await other.insert('a', { pieces: [bson({ _id: 10 + n })], documents: 1 }, options());
      await other.close();
      await context.db.collection<{ _id: number }>('a').updateOne({ _id: 10 + n }, { $set: { seen: true } }, { bypassDocumentValidation: true });
    }
    expect(await context.db.collection('a').countDocuments({ seen: true })).toBe(3);
  });
});
