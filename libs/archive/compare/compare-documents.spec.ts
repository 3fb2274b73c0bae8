import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Decimal128, type Document, Long, ObjectId, serialize } from 'bson';
import { compareDocuments, type CompareSide, DocumentSums, encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, terminator } from '../index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compare-'));
});
afterAll(() => rm(folder, { recursive: true }));

const live = (): AbortSignal => new AbortController().signal;

function side(documents: readonly Document[], raw: readonly Buffer[] = []): CompareSide {
  const buffers = [...documents.map((document) => Buffer.from(serialize(document))), ...raw];
  async function* payload(): AsyncGenerator<Buffer> {
    const sums = new DocumentSums();
    yield encodePrelude({ concurrentCollections: 1, version: '0.1', serverVersion: '6.0.5', toolVersion: 'test' }, [{ db: 'd', collection: 'c', kind: 'collection', metadata: '{"indexes":[]}' }]);
    for (let at = 0; at < buffers.length; at += 1_000) {
      yield Buffer.concat([encodeNamespaceHeader('d', 'c'), ...buffers.slice(at, at + 1_000), terminator]);
    }
    for (const buffer of buffers) sums.add(buffer);
    yield encodeNamespaceEnd('d', 'c', sums.crc);
  }
  return { payload: payload(), documents: buffers.length };
}

describe('compareDocuments', () => {
  it('matches by _id in whatever order the documents stand', async () => {
    const ids = Array.from({ length: 6 }, () => new ObjectId());
    const first = [0, 1, 2, 3].map((n) => ({ _id: ids[n], n }));
    const second = [{ _id: ids[4], n: 4 }, { _id: ids[3], n: 3 }, { _id: ids[1], n: 'other' }, { _id: ids[0], n: 0 }];
    const told = await compareDocuments(side(first), side(second), { folder, mostExamples: 10, signal: live() });
    const text = (n: number): string => `{"$oid":"${ids[n]!.toHexString()}"}`;
    expect(told).toEqual({ added: 1, removed: 1, changed: 1, same: 2, addedIds: [text(4)], removedIds: [text(2)], changedIds: [text(1)] });
  });

  it('tells ids of every type apart, and names each in Extended JSON', async () => {
    const ids = [1, Long.fromNumber(1), Decimal128.fromString('1'), '1', '', new Date(1), { a: 1 }, { a: 1, b: 1 }, null, true];
    const told = await compareDocuments(side([]), side(ids.map((_id) => ({ _id }))), { folder, mostExamples: 100, signal: live() });
    expect(told.added).toBe(ids.length);
    expect([...told.addedIds].sort()).toEqual(
      ['{"$numberInt":"1"}', '{"$numberLong":"1"}', '{"$numberDecimal":"1"}', '"1"', '""', '{"$date":{"$numberLong":"1"}}', '{"a":{"$numberInt":"1"}}', '{"a":{"$numberInt":"1"},"b":{"$numberInt":"1"}}', 'null', 'true'].sort(),
    );
  });

  it('compares documents with long ids and without any', async () => {
    const long = 'x'.repeat(5_000);
    const told = await compareDocuments(side([{ _id: long, a: 1 }, { a: 1 }, { a: 2 }]), side([{ _id: long, a: 2 }, { a: 2 }]), { folder, mostExamples: 5, signal: live() });
    expect(told).toMatchObject({ added: 0, removed: 1, changed: 1, same: 1, changedIds: ['(an _id of more than 200 bytes)'], removedIds: ['(a document without _id)'] });
  });

  it('says the same with many partitions, tells no more ids than asked for, and leaves no file', async () => {
    const documents = Array.from({ length: 20_000 }, (_, n) => ({ _id: n, text: `document ${n}` }));
    const second = documents.filter(({ _id }) => _id % 10 !== 0).map((document) => (document._id % 7 === 0 ? { ...document, text: 'changed' } : document)).reverse();
    const compare = (partitionDocuments: number) => compareDocuments(side(documents), side(second), { folder, mostExamples: 3, signal: live(), partitionDocuments });
    const [one, many] = [await compare(1_000_000), await compare(100)];
    expect(one).toMatchObject({ added: 0, removed: 2_000, changed: second.filter(({ text }) => text === 'changed').length });
    expect([one.removedIds.length, one.changedIds.length, many.removedIds.length]).toEqual([3, 3, 3]);
    const counts = ({ added, removed, changed, same }: typeof one) => ({ added, removed, changed, same });
    expect(counts(many)).toEqual(counts(one));
    expect(one.same + one.changed).toBe(second.length);
    expect(await readdir(folder)).toEqual([]);
  });

  it('finds a change of one bit in a document', async () => {
    const document = Buffer.from(serialize({ _id: 1, data: Buffer.alloc(1_000, 1) }));
    const changed = Buffer.from(document);
    changed[500]! ^= 1;
    expect(await compareDocuments(side([], [document]), side([], [changed]), { folder, mostExamples: 1, signal: live() })).toMatchObject({ changed: 1, same: 0 });
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const documents = Array.from({ length: 5_000 }, (_, n) => ({ _id: n }));
    const options = { folder, mostExamples: 1, signal: stop.signal, onProgress: () => stop.abort(new Error('told to')) };
    await expect(compareDocuments(side(documents), side(documents), options)).rejects.toThrow('told to');
  });

  it('takes no more memory for more documents', async () => {
    const many = (count: number, offset: number): CompareSide => {
      async function* payload(): AsyncGenerator<Buffer> {
        const sums = new DocumentSums();
        yield encodePrelude({ concurrentCollections: 1, version: '0.1', serverVersion: '6.0.5', toolVersion: 'test' }, [{ db: 'd', collection: 'c', kind: 'collection', metadata: '{"indexes":[]}' }]);
        for (let at = 0; at < count; at += 1_000) {
          const block = Array.from({ length: 1_000 }, (_, n) => Buffer.from(serialize({ _id: `id ${offset + at + n}`, text: 'y'.repeat(500) })));
          for (const document of block) sums.add(document);
          yield Buffer.concat([encodeNamespaceHeader('d', 'c'), ...block, terminator]);
        }
        yield encodeNamespaceEnd('d', 'c', sums.crc);
      }
      return { payload: payload(), documents: count };
    };
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    const told = await compareDocuments(many(300_000, 0), many(300_000, 1_000), { folder, mostExamples: 1, signal: live(), partitionDocuments: 10_000 });
    clearInterval(watch);
    expect(told).toMatchObject({ added: 1_000, removed: 1_000, changed: 0, same: 299_000 });
    // 300 MB of documents went through.
    expect(most - before).toBeLessThan(150 * 1024 * 1024);
  });
});
