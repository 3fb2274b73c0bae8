import { describe, expect, it } from '@jest/globals';
import { BSON, Long, Timestamp, type Document } from 'mongodb';
import { documentsWithZeroTimestamp } from './zero-timestamps.js';

const bson = (document: Document): Buffer => Buffer.from(BSON.serialize(document));
const zero = Timestamp.fromBits(0, 0);
const found = (...documents: Document[]): unknown[] => documentsWithZeroTimestamp(Buffer.concat(documents.map(bson))).map((document) => BSON.deserialize(document)['_id']);

describe('documentsWithZeroTimestamp', () => {
  it('finds the documents that the server would change, among others', () => {
    expect(found({ _id: 1, a: 1 }, { _id: 2, at: zero }, { _id: 3 }, { _id: 4, more: 'text', '': zero })).toEqual([2, 4]);
  });

  it('leaves out what the server keeps: _id, embedded ones, and real timestamps', () => {
    expect(documentsWithZeroTimestamp(bson({ _id: zero }))).toEqual([]);
    expect(found({ _id: 1, inner: { at: zero } }, { _id: 2, list: [zero] }, { _id: 3, at: Timestamp.fromBits(1, 0) }, { _id: 4, at: Timestamp.fromBits(0, 1) })).toEqual([]);
  });

  it('is not misled by zeros of other types', () => {
    expect(found({ _id: 1, a: 0, b: Long.ZERO, c: 0.0, d: new Date(0), e: Buffer.alloc(40) })).toEqual([]);
  });

  it('finds one behind bytes that look like its type', () => {
    expect(found({ _id: 1, text: '\x11'.repeat(1000), at: zero })).toEqual([1]);
    expect(found({ _id: 2, text: '\x11\x11', number: 0x1111, bytes: Buffer.from([0x11, 0, 0, 0x11]), '\x11': zero })).toEqual([2]);
  });

  it('does not look for the end of the same text again and again', () => {
    expect(found({ _id: 1, text: '\x11'.repeat(2 * 1024 * 1024) })).toEqual([]);
  }, 20_000);
});
