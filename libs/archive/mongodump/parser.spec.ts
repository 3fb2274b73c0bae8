import { describe, expect, it } from '@jest/globals';
import { AppError } from '#errors';
import { Int32, Long, serialize, type Document } from 'bson';
import { gunzipSync } from 'node:zlib';
import { binaryFixture } from '../../../test/support/fixtures.js';
import { Crc64 } from '../crc64.js';
import { extendedJsonToBson } from './extended-json-to-bson.js';
import { parseCollectionMetadata, type CollectionMeta } from './format.js';
import { MongodumpParser, type MongodumpEvent, type PreludeEvent } from './parser.js';
import { encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, terminator } from './writer.js';

const everyShape = gunzipSync(binaryFixture('mongodump/every-shape.archive.gz'));

function parse(payload: Buffer, chunkBytes = payload.length): MongodumpEvent[] {
  const parser = new MongodumpParser();
  const events: MongodumpEvent[] = [];
  for (let start = 0; start < payload.length; start += chunkBytes) {
    for (const event of parser.push(payload.subarray(start, start + chunkBytes))) events.push(event);
  }
  parser.end();
  return events;
}

const header = { concurrentCollections: 1, version: '0.1', serverVersion: '6.0.5', toolVersion: 'test' };
const meta = (collection: string, more: Partial<CollectionMeta> = {}): CollectionMeta => ({ db: 'd', collection, metadata: '', kind: 'collection', ...more });
const bson = (value: Document): Buffer => Buffer.from(serialize(value));
const crcOf = (...documents: Buffer[]) => documents.reduce((crc, one) => crc.update(one), new Crc64()).value;
const magic = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
const rawHeader = { concurrent_collections: new Int32(1), version: '0.1', server_version: '6.0.5', tool_version: 't' };
const one = bson({ _id: 1, text: 'a' });
const two = bson({ _id: 2, text: 'b' });
const prelude = (...collections: CollectionMeta[]): Buffer => encodePrelude(header, collections);
const begin = (collection: string): Buffer => encodeNamespaceHeader('d', collection);
const close = (collection: string, ...documents: Buffer[]): Buffer => encodeNamespaceEnd('d', collection, crcOf(...documents));
const block = (collection: string, ...documents: Buffer[]): Buffer => Buffer.concat([begin(collection), ...documents, terminator]);

function failure(payload: Buffer, chunkBytes?: number): AppError {
  try {
    parse(payload, chunkBytes);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('Nothing was refused');
}

describe('mongodump archive parser', () => {
  it('reads what the real tool wrote, however it is cut', () => {
    const whole = summary(parse(everyShape));
    expect(whole.get('orders')).toEqual({ documents: 3000, bytes: 1_063_927, crc: '988f8c6ec321e2eb', sum: '07a2851d39133515', kind: 'collection' });
    expect(whole.get('metrics')).toEqual({ documents: 3, bytes: 38_334, crc: '2b8e3e3e27508911', sum: 'bb24ddb07ac63ba9', kind: 'timeseries' });
    expect(whole.size).toBe(22);
    for (const chunkBytes of [1021, 4096, 65_536, 1_000_003]) expect(summary(parse(everyShape, chunkBytes))).toEqual(whole);
  });

  it('gives whole documents, in order, that are views of the input', () => {
    const documents = parse(everyShape, 65_536).flatMap((event) => (event.type === 'documents' && event.namespace.collection === 'orders' ? [event.documents] : []));
    const all = Buffer.concat(documents);
    let count = 0;
    for (let position = 0; position < all.length; position += all.readInt32LE(position)) count += 1;
    expect(count).toBe(3000);
    expect(new Crc64().update(all).hex()).toBe('988f8c6ec321e2eb');
  });

  it('reads one byte at a time', () => {
    const payload = Buffer.concat([prelude(meta('a'), meta('b')), block('a', one), block('b', two), block('a', two), close('a', one, two), close('b', two)]);
    expect(parse(payload, 1).filter((event) => event.type === 'end')).toEqual(parse(payload).filter((event) => event.type === 'end'));
  });

  it('keeps the definitions: options, indexes and uuid as text, and as BSON', () => {
    const [event] = parse(everyShape) as [PreludeEvent];
    expect(event.header).toEqual({ concurrentCollections: 4, version: '0.1', serverVersion: '6.0.5', toolVersion: 'built-without-version-string' });
    const definition = (name: string) => parseCollectionMetadata(event.collections.find(({ collection }) => collection === name)!.metadata);
    expect(definition('logs_capped').options).toBe('{"capped":true,"size":{"$numberInt":"1048576"},"max":{"$numberInt":"500"}}');
    expect(definition('orders').indexes).toHaveLength(9);
    expect(definition('orders').uuid).toMatch(/^[0-9a-f]{32}$/);
    expect(definition('paid_orders')).toMatchObject({ indexes: [], uuid: null });
    for (const { metadata } of event.collections) {
      const { options, indexes } = parseCollectionMetadata(metadata);
      for (const text of [...(options === null ? [] : [options]), ...indexes]) expect(extendedJsonToBson(text).readInt32LE(0)).toBe(extendedJsonToBson(text).length);
    }
  });

  it('accepts an empty collection in both spellings, and an archive without collections', () => {
    const ends = parse(Buffer.concat([prelude(meta('a'), meta('b')), begin('a'), terminator, close('a'), close('b')])).filter((event) => event.type === 'end');
    expect(ends.map(({ documents, crc, sum }) => [documents, crc, sum])).toEqual([[0, '0000000000000000', '0000000000000000'], [0, '0000000000000000', '0000000000000000']]);
    expect(parse(prelude())).toHaveLength(1);
  });

  it('finds the kind of a namespace that the 4.1-era tools left out', () => {
    const definition = (name: string, metadata: string): Buffer => bson({ db: 'd', collection: name, metadata, size: 0 });
    const payload = Buffer.concat([
      magic, bson(rawHeader), definition('c', ''), definition('v', '{"options":{"viewOn":"c","pipeline":[]},"indexes":[]}'), definition('t', '{"options":{"timeseries":{"timeField":"t"}},"indexes":null}'), terminator,
      close('c'), close('v'), encodeNamespaceEnd('d', 'system.buckets.t', crcOf()),
    ]);
    expect((parse(payload)[0] as PreludeEvent).collections.map(({ kind }) => kind)).toEqual(['collection', 'view', 'timeseries']);
  });

  it('accepts a time series under its own name, as servers from 8.3 have it', () => {
    const payload = Buffer.concat([prelude(meta('t', { kind: 'timeseries' })), block('t', one), close('t', one)]);
    expect(parse(payload).at(-1)).toMatchObject({ type: 'end', documents: 1, namespace: { collection: 't', index: 0 } });
  });

  const head = prelude(meta('a'));
  const data = block('a', one, two);
  const end = close('a', one, two);
  const custom = (fields: Document): Buffer => Buffer.concat([head, data, bson(fields), terminator]);
  const crc = Long.fromBits(crcOf(one, two).low, crcOf(one, two).high);
  it('counts without summing where the bytes were checked before, and keeps every other rule', () => {
    const ends = (payload: Buffer): unknown[] => {
      const parser = new MongodumpParser({ sums: false });
      const events = [...parser.push(payload)];
      parser.end();
      return events.flatMap((event) => (event.type === 'end' ? [[event.documents, event.bytes, event.crc, event.sum]] : []));
    };
    const counted = [2, one.length + two.length, '', ''];
    expect(ends(Buffer.concat([head, data, end]))).toEqual([counted]);
    expect(ends(Buffer.concat([head, data, close('a', one)]))).toEqual([counted]);
    expect(() => ends(Buffer.concat([head, data]))).toThrow(/ends before collection/);
  });

  const patched = (payload: Buffer, at: number, value: number): Buffer => {
    const copy = Buffer.from(payload);
    copy[at] = value;
    return copy;
  };

  it.each<[string, Buffer, RegExp]>([
    ['another magic number', Buffer.concat([Buffer.from('nope'), head.subarray(4)]), /magic/],
    ['a prelude without header', Buffer.concat([magic, terminator]), /no header/],
    ['a header whose version is unknown', Buffer.concat([magic, bson({ ...rawHeader, server_version: 'unknown' }), terminator]), /server_version/],
    ['a header with a double for a count', Buffer.concat([magic, bson({ ...rawHeader, concurrent_collections: 1.5 }), terminator]), /concurrent_collections/],
    ['a header without a tool version', Buffer.concat([magic, bson({ concurrent_collections: 1, version: '0.1', server_version: '6.0.5' }), terminator]), /tool_version/],
    ['a definition without collection', Buffer.concat([magic, bson(rawHeader), bson({ db: 'd', metadata: '', size: 0, type: 'collection' }), terminator]), /no string collection/],
    ['a definition of an unknown type', Buffer.concat([magic, bson(rawHeader), bson({ db: 'd', collection: 'a', metadata: '', size: 0, type: 'graph' }), terminator]), /unknown type/],
    ['a collection that is defined twice', Buffer.concat([prelude(meta('a'), meta('a')), data, end]), /defined twice/],
    ['a collection without a data section', prelude(meta('a')), /no data section/],
    ['data without a definition', Buffer.concat([prelude(), data, end]), /no definition/],
    ['buckets of a plain collection', Buffer.concat([head, data, end, close('system.buckets.a')]), /no definition/],
    ['two data sections of one time series', Buffer.concat([prelude(meta('t', { kind: 'timeseries' })), close('t'), close('system.buckets.t')]), /two data sections/],
    ['a view that holds documents', Buffer.concat([prelude(meta('a', { kind: 'view' })), data, end]), /view .* holds documents/],
    ['a wrong CRC', Buffer.concat([head, data, close('a', one)]), /CRC of collection "d.a"/],
    ['a CRC for documents in another order', Buffer.concat([head, data, close('a', two, one)]), /CRC/],
    ['a CRC on a data block', Buffer.concat([head, bson({ db: 'd', collection: 'a', EOF: false, CRC: Long.fromNumber(5) }), terminator, end]), /before its end/],
    ['an int32 CRC', custom({ db: 'd', collection: 'a', EOF: true, CRC: 0 }), /int64 CRC/],
    ['a missing CRC', custom({ db: 'd', collection: 'a', EOF: true }), /int64 CRC/],
    ['EOF that is no boolean', custom({ db: 'd', collection: 'a', EOF: 1, CRC: crc }), /boolean EOF/],
    ['an unknown field of a namespace header', custom({ db: 'd', collection: 'a', EOF: true, CRC: crc, more: 1 }), /unknown field/],
    ['a namespace header without db', custom({ collection: 'a', EOF: true, CRC: crc }), /no string db/],
    ['two terminators in a row', Buffer.concat([head, data, terminator, end]), /terminator stands/],
    ['a document after the end of its namespace', Buffer.concat([head, data, end.subarray(0, -4), one, terminator]), /document after its end/],
    ['a namespace that goes on after its end', Buffer.concat([head, data, end, data]), /goes on after its end/],
    ['a namespace that ends twice', Buffer.concat([head, data, end, end]), /goes on after its end/],
    ['a length of 4', Buffer.concat([head, begin('a'), Buffer.from([4, 0, 0, 0])]), /claims 4 bytes/],
    ['a negative length', Buffer.concat([head, begin('a'), Buffer.from([0xfe, 0xff, 0xff, 0xff])]), /claims -2 bytes/],
    ['a length of 2 GiB', Buffer.concat([head, begin('a'), Buffer.from([0xff, 0xff, 0xff, 0x7f])]), /more than 16 MiB/],
    ['a length one above 16 MiB', Buffer.concat([head, begin('a'), Buffer.from([1, 0, 0, 1])]), /more than 16 MiB/],
    ['a document that does not end with zero', Buffer.concat([head, begin('a'), patched(one, one.length - 1, 1), terminator]), /zero byte/],
    ['a header document that does not end with zero', patched(Buffer.concat([head, data, end]), head.length + begin('a').length - 1, 1), /zero byte/],
    ['a string that claims more than its document', patched(head, 4 + 4 + 1 + 'concurrent_collections'.length + 1 + 4 + 1 + 'version'.length + 1 + 2, 1), /claims/],
    ['a value of an unknown type', patched(head, 8, 0x42), /unknown type/],
    ['a name that is not UTF-8', patched(head, head.indexOf('\x02collection\0') + 'collection'.length + 2 + 4, 0xff), /UTF-8/],
  ])('refuses %s', (_name, payload, message) => {
    for (const chunkBytes of [payload.length, 7]) {
      const error = failure(payload, chunkBytes);
      expect(error.code).toBe('ARCHIVE_CORRUPT');
      expect(error.message).toMatch(message);
    }
  });

  it('says of every early end that the archive is cut off', () => {
    const payload = Buffer.concat([head, data, end]);
    expect(parse(payload)).toHaveLength(3);
    for (let length = 0; length < payload.length; length += 1) {
      const error = failure(payload.subarray(0, length));
      // Cut exactly after the prelude, the archive looks like one whose collection has no data.
      expect(error.code).toBe(length === head.length ? 'ARCHIVE_CORRUPT' : 'ARCHIVE_TRUNCATED');
    }
  });
});

function summary(events: MongodumpEvent[]): Map<string, object> {
  const ends = events.filter((event) => event.type === 'end');
  return new Map(ends.map(({ namespace, documents, bytes, crc, sum }) => [namespace.meta.collection, { documents, bytes, crc, sum, kind: namespace.meta.kind }]));
}
