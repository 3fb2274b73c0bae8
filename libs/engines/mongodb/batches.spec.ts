import { describe, expect, it } from '@jest/globals';
import { BSON } from 'mongodb';
import { BatchBuilder } from './batches.js';

const documentOf = (n: number, padding: number): Buffer => Buffer.from(BSON.serialize({ n, pad: 'x'.repeat(padding) }));
const mostBytes = 768 * 1024;

describe('batches of documents', () => {
  it('hold every document in order, at most 768 KiB of them, or one larger', () => {
    const documents = [100, 450_000, 400_000, 1_500_000, 10, 20, 786_344, 5].map((padding, n) => documentOf(n, padding));
    const builder = new BatchBuilder();
    const batches = [Buffer.concat(documents.slice(0, 2)), ...documents.slice(2, 5), Buffer.concat(documents.slice(5))].flatMap((run) => [...builder.add(run)]);
    batches.push(...builder.rest());
    expect(Buffer.concat(batches.map(({ bytes }) => bytes)).equals(Buffer.concat(documents))).toBe(true);
    expect(batches.map((batch) => batch.documents)).toEqual([2, 1, 1, 2, 2]);
    expect(batches.filter(({ bytes }) => bytes.length > mostBytes).map((batch) => batch.documents)).toEqual([1]);
    expect([...builder.rest()]).toEqual([]);
  });

  it('hold 100,000 documents at most', () => {
    const builder = new BatchBuilder();
    const run = Buffer.concat(Array.from({ length: 100_001 }, () => Buffer.from([5, 0, 0, 0, 0])));
    expect([...builder.add(run), ...builder.rest()].map((batch) => batch.documents)).toEqual([100_000, 1]);
  });

  it('keep their documents when the memory of the run is used for something else', () => {
    const document = documentOf(1, 10);
    const builder = new BatchBuilder();
    const run = Buffer.from(document);
    const batches = [...builder.add(run)];
    run.fill(0);
    batches.push(...builder.rest());
    expect(batches.map(({ bytes }) => bytes.equals(document))).toEqual([true]);
  });
});
