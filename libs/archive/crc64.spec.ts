import { describe, expect, it } from '@jest/globals';
import { Crc64, DocumentSums } from './crc64.js';

/** The definition, bit by bit: slow, and independent of the tables. */
function definition(bytes: Uint8Array): bigint {
  let register = 0xffffffffffffffffn;
  for (const byte of bytes) {
    register ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) register = (register & 1n) === 1n ? (register >> 1n) ^ 0xc96c5795d7870f42n : register >> 1n;
  }
  return register ^ 0xffffffffffffffffn;
}
const hex = (value: bigint): string => value.toString(16).padStart(16, '0');
const document = (length: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let index = 4; index < length - 1; index += 1) bytes[index] = (index * 31 + seed * 97 + (index >> 3)) & 0xff;
  bytes.writeInt32LE(length, 0);
  return bytes;
};
/** As a server answers a batch: length, then type, decimal name and value of each element, then a zero byte. */
const arrayOf = (documents: readonly Buffer[]): Buffer => {
  const elements = documents.flatMap((one, index) => [Buffer.from(`\x03${index}\0`), one]);
  const array = Buffer.concat([Buffer.alloc(4), ...elements, Buffer.alloc(1)]);
  array.writeInt32LE(array.length, 0);
  return array;
};

describe('CRC-64/XZ', () => {
  it('gives the published check values', () => {
    expect(new Crc64().update(Buffer.from('123456789')).hex()).toBe('995dc9bbdf1939fa');
    expect(new Crc64().hex()).toBe('0000000000000000');
  });

  it('agrees with the definition for every length and split', () => {
    for (let length = 0; length < 70; length += 1) {
      const bytes = document(Math.max(5, length), length).subarray(0, length);
      const expected = hex(definition(bytes));
      for (let split = 0; split <= length; split += 3) {
        expect(new Crc64().update(bytes, 0, split).update(bytes, split).hex()).toBe(expected);
      }
    }
  });

  it('sums documents: CRC of all in order, and a sum free of order', () => {
    const documents = [5, 6, 7, 8, 15, 16, 17, 255, 256, 1000, 4097, 70_001].map((length, seed) => document(length, seed));
    const all = Buffer.concat(documents);
    const sums = new DocumentSums();
    expect(sums.addAll(all)).toBe(documents.length);
    expect(sums.bytes).toBe(all.length);
    expect(sums.crc64).toBe(hex(definition(all)));
    const sum = documents.reduce((total, one) => (total + definition(one)) & 0xffffffffffffffffn, 0n);
    expect(sums.sum).toBe(hex(sum));

    const reversed = new DocumentSums();
    for (const one of [...documents].reverse()) reversed.add(one);
    expect(reversed.sum).toBe(sums.sum);
    expect(reversed.crc64).not.toBe(sums.crc64);

    const left = new DocumentSums();
    const right = new DocumentSums();
    documents.forEach((one, index) => (index % 2 === 0 ? left : right).add(one));
    left.mergeUnordered(right);
    expect([left.sum, left.documents, left.bytes]).toEqual([sums.sum, sums.documents, sums.bytes]);
  });

  it('sums documents that are larger than what is read at once, as one of 16 MiB is', () => {
    const documents = [300_000, 40, 16 * 1024 * 1024, 262_143, 1_000].map((length, seed) => document(length, seed));
    const sums = new DocumentSums();
    expect(sums.addAll(Buffer.concat(documents))).toBe(documents.length);
    const whole = new Crc64();
    for (const one of documents) whole.update(one);
    expect(sums.crc64).toBe(whole.hex());
    const sum = documents.reduce((total, one) => (total + BigInt(`0x${new Crc64().update(one).hex()}`)) & 0xffffffffffffffffn, 0n);
    expect(sums.sum).toBe(hex(sum));
  });

  it('sums the documents of a BSON array as those of a run', () => {
    const documents = Array.from({ length: 12_345 }, (_, seed) => document(5 + (seed % 50), seed));
    const sums = new DocumentSums();
    sums.addAll(Buffer.concat(documents));
    const arrays = new DocumentSums();
    expect(arrays.addArray(arrayOf(documents))).toBe(documents.length);
    expect(arrays).toEqual(sums);
    expect(new DocumentSums().addArray(arrayOf([]))).toBe(0);

    const other = arrayOf([document(20, 1), document(30, 2)]);
    other[4 + 3 + 20] = 2;
    expect(() => new DocumentSums().addArray(other)).toThrow(RangeError);
    expect(() => new DocumentSums().addArray(arrayOf([document(20, 1)]).subarray(0, 26))).toThrow(RangeError);
  });

  it('refuses a run that is no whole documents', () => {
    const run = Buffer.concat([document(20, 1), document(30, 2)]);
    expect(() => new DocumentSums().addAll(run.subarray(0, 49))).toThrow(RangeError);
    expect(() => new DocumentSums().addAll(Buffer.from([4, 0, 0, 0]))).toThrow(RangeError);
  });
});
