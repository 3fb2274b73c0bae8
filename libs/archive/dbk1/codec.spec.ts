import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import { compressFrame, decompressFrame } from './codec.js';

afterEach(() => {
  jest.restoreAllMocks();
});

describe('compressFrame', () => {
  it('gives gzip no more at a time than a thread can do while others wait for its core', async () => {
    const sizes: number[] = [];
    const prototype = Object.getPrototypeOf(zlib.createGzip()) as Transform;
    const original = Reflect.get(prototype, '_transform') as (...args: Parameters<Transform['_transform']>) => void;
    jest.spyOn(prototype, '_transform').mockImplementation(function (this: Transform, chunk: Buffer, encoding, callback) {
      sizes.push(chunk.length);
      original.call(this, chunk, encoding, callback);
    });
    await compressFrame('gzip', randomBytes(1_000_000), undefined);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(1_000_000);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32 * 1024);
  });

  it.each(['none', 'gzip', 'zstd'] as const)('makes of %s what decompressFrame undoes, of one byte as of three slices and a bit', async (codec) => {
    for (const size of [1, 32 * 1024, 100_000]) {
      const payload = randomBytes(size);
      const pieces = (await compressFrame(codec, payload, undefined)).map((piece) => Buffer.from(piece));
      expect((await decompressFrame(codec, Buffer.concat(pieces), size)).equals(payload)).toBe(true);
    }
  });
});
