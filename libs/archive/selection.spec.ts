import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import {
  type ArchiveSource, ArchiveWriter, deriveTenantKey, DocumentSums, encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, KeyRing, openArchive, parseMongodump, selectPayload, terminator,
  verifySelection,
} from './index.js';
import { bufferSource } from './source.js';

const tenantId = '0b1d9a52-6a3c-4f0e-9d0d-5d1c1f6a7e01';
const keys = KeyRing.parse(`test:${Buffer.alloc(32, 3).toString('base64')}`);
const names = ['first', 'second', 'third'];

const bson = (size: number): Buffer => {
  const document = Buffer.alloc(5 + 2 + 4 + 1 + size);
  document.writeInt32LE(document.length, 0);
  document[4] = 5;
  document.writeInt32LE(size, 6 + 0);
  randomBytes(size).copy(document, 11);
  return document;
};

const prelude = encodePrelude(
  { concurrentCollections: 1, version: '0.1', serverVersion: '6.0.5', toolVersion: 'test' },
  names.map((collection) => ({ db: 'shop', collection, kind: 'collection', metadata: `{"indexes":[],"collectionName":"${collection}","type":"collection"}` })),
);
const documents = names.map(() => Array.from({ length: 20 }, () => bson(9_000)));
const sumsOf = (index: number): DocumentSums => {
  const sums = new DocumentSums();
  for (const document of documents[index]!) sums.add(document);
  return sums;
};
const bodyOf = (index: number): Buffer => Buffer.concat([encodeNamespaceHeader('shop', names[index]!), ...documents[index]!, terminator, encodeNamespaceEnd('shop', names[index]!, sumsOf(index).crc)]);

async function archive(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const sink = new Writable({ write: (chunk: Buffer, _encoding, done) => (pieces.push(Buffer.from(chunk)), done()) });
  const writer = new ArchiveWriter(sink, {
    keyId: 'test', tenantKey: deriveTenantKey(keys.current!, tenantId), context: { tenant: tenantId, backup: 'b', label: 'test', createdAt: '2026-01-01T00:00:00.000Z' }, codec: 'none', payloadType: 'mongodump', segmentSize: 4_096,
  });
  await writer.writeFrame(-1, prelude);
  for (const index of names.keys()) await writer.writeFrame(index, bodyOf(index));
  await writer.finish({
    producer: { name: 'test', version: '1' }, tenant: { id: tenantId, slug: 's', name: 'n' }, backup: { id: 'b', label: 'test', trigger: 'MANUAL', scope: 'ALL', createdAt: '2026-01-01T00:00:00.000Z', collections: names },
    engine: { name: 'mongodb', version: '6.0.5', featureCompatibility: '6.0' }, consistency: { level: 'fuzzy', clusterTime: null },
    namespaces: names.map((name, index) => {
      const sums = sumsOf(index);
      return { name, kind: 'collection' as const, documents: sums.documents, bytes: sums.bytes, crc64: sums.crc64, sum: sums.sum, indexes: 0 };
    }),
  });
  return Buffer.concat(pieces);
}

/** Counts each byte once, however often it is read. */
function counting(bytes: Buffer): { readonly source: ArchiveSource; read(): number } {
  const seen = new Uint8Array(bytes.length);
  const inner = bufferSource(bytes);
  return {
    read: () => seen.reduce((sum, byte) => sum + byte, 0),
    source: {
      ...inner,
      read: (offset, length) => (seen.fill(1, offset, offset + length), inner.read(offset, length)),
      stream: (start = 0, end = bytes.length) => (seen.fill(1, start, end), inner.stream(start, end)),
    },
  };
}

const open = (source: ArchiveSource) => openArchive(source, { keys, tenantId });

async function found(payload: AsyncIterable<Buffer>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for await (const event of parseMongodump(payload)) if (event.type === 'end') counts[event.namespace.collection] = event.documents;
  return counts;
}

describe('a selection of an archive', () => {
  it('is an archive of the chosen collections, and reads their frames alone', async () => {
    const counted = counting(await archive());
    const { source } = counted;
    const opened = await open(source);
    const chosen = new Set(['second', 'nowhere']);
    await verifySelection(opened, chosen);
    expect(await found(opened.selection(chosen))).toEqual({ second: 20 });
    // The header is read with as many bytes as a header may have at most.
    expect(counted.read() - opened.selectionBytes(chosen)).toBeLessThan(5_000);
    expect(opened.selectionBytes(chosen)).toBeLessThan(source.sizeBytes / 2);
    expect(opened.selectionBytes(new Set(names))).toBe(source.sizeBytes);
    expect(opened.manifest.backup.collections).toEqual(names);
  });

  it('is damaged by what happens to its own bytes, and by nothing else', async () => {
    const bytes = await archive();
    const changed = (at: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 1;
      return copy;
    };
    const middle = Math.floor(bytes.length / 2);
    const damaged = await open(bufferSource(changed(middle)));
    await expect(verifySelection(damaged, new Set(['second']))).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    await verifySelection(damaged, new Set(['first']));
  });

  it('is cut out of a plain payload by reading the whole of it', async () => {
    async function* whole(to = Infinity): AsyncGenerator<Buffer> {
      const payload = Buffer.concat([prelude, ...names.map((_, index) => bodyOf(index))]).subarray(0, to);
      for (let at = 0; at < payload.length; at += 7_001) yield payload.subarray(at, at + 7_001);
    }
    expect(await found(selectPayload(whole(), new Set(['first', 'third'])))).toEqual({ first: 20, third: 20 });
    await expect(found(selectPayload(whole(300_000), new Set(['first'])))).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
  });
});
