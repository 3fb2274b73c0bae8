import { describe, expect, it } from '@jest/globals';
import { type Document, serialize } from 'bson';
import { ExpiryCounter, expiryOf } from './expiry.js';
import type { ArchiveNamespace } from './mongodump/parser.js';

const now = Date.UTC(2026, 0, 1);
const old = new Date(now - 3_600_000);
const young = new Date(now - 1_000);

function countOf(documents: readonly Document[], { options = null, indexes = [] }: { options?: object | null; indexes?: readonly object[] }): number | null {
  const counter = new ExpiryCounter(now);
  const metadata = JSON.stringify({ ...(options === null ? {} : { options }), indexes, collectionName: 'c', type: 'collection' });
  const namespace: ArchiveNamespace = { db: 'db', collection: 'c', index: 0, meta: { db: 'db', collection: 'c', kind: 'collection', metadata } };
  counter.take(namespace, Buffer.concat(documents.map((document) => serialize(document))));
  return counter.documentsOf('c');
}

const ttl = (path: string, expireAfterSeconds: unknown = 60): object => ({ key: { [path]: 1 }, name: `${path}_1`, expireAfterSeconds });

describe('ExpiryCounter', () => {
  it.each([
    ['a date that is old enough', { at: old }, 'at', 1],
    ['one that is not', { at: young }, 'at', 0],
    ['any date of an array', { at: [young, old] }, 'at', 1],
    ['none of an array', { at: [young, 'x', 1] }, 'at', 0],
    ['a date below', { a: { at: old } }, 'a.at', 1],
    ['a date in an array of documents', { a: [{ at: young }, { at: old }] }, 'a.at', 1],
    ['a place of an array', { a: [young, old] }, 'a.1', 1],
    ['a number, which never expires', { at: 0 }, 'at', 0],
    ['nothing', { other: old }, 'at', 0],
    ['a document where a date is looked for', { at: { at: old } }, 'at', 0],
  ])('sees %s', (_, document, path, expected) => {
    expect(countOf([document], { indexes: [ttl(path)] })).toBe(expected);
  });

  it('counts each document once, whatever its number is written as', () => {
    const indexes = [ttl('at', { $numberInt: '60' }), ttl('other', { $numberDouble: '60.0' }), { key: { n: 1 }, name: 'n_1' }];
    expect(countOf([{ at: old, other: old }, { at: young }, { other: old }], { indexes })).toBe(2);
    expect(countOf([{ at: old }], { indexes: [ttl('at', { $numberLong: '3600' })] })).toBe(1);
  });

  it('knows clustered collections, and does not make up what it cannot tell', () => {
    expect(countOf([{ _id: old }, { _id: young }], { options: { clusteredIndex: { key: { _id: 1 }, unique: true }, expireAfterSeconds: 60 } })).toBe(1);
    expect(countOf([{ _id: 1, control: {} }], { options: { timeseries: { timeField: 't' }, expireAfterSeconds: 60 } })).toBeNull();
    expect(countOf([{ at: old }], { indexes: [{ ...ttl('at'), partialFilterExpression: { a: 1 } }] })).toBeNull();
    expect(countOf([{ at: old }], { indexes: [{ key: { at: 1 }, name: 'at_1' }] })).toBe(0);
  });
});

describe('expiryOf', () => {
  it('tells what deletes by age from what does not', () => {
    expect(expiryOf(null, [])).toBeNull();
    expect(expiryOf('{"capped":true}', ['{"key":{"a":1},"name":"expireAfterSeconds"}'])).toBeNull();
    expect(expiryOf('{}', ['{"key":{"a.b":1},"name":"x","expireAfterSeconds":0}'])).toEqual({ rules: [{ path: ['a', 'b'], afterSeconds: 0 }] });
  });
});
