import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { collectBytes, makeArchive, smallPayload } from '../../test/support/archives.js';
import { binaryFixture } from '../../test/support/fixtures.js';
import { decompressStream } from './dbk1/codec.js';
import { openPlainArchive, sniffArchive } from './plain.js';
import { scanPayload } from './scan.js';
import { bufferSource } from './source.js';

const { payload, namespaces } = smallPayload();
const open = (bytes: Buffer) => openPlainArchive(bufferSource(bytes));
const read = async (bytes: Buffer): Promise<Buffer> => collectBytes((await open(bytes)).payload());
const cut = (bytes: Buffer, pieces: number): Buffer[] => Array.from({ length: pieces }, (_, index) => bytes.subarray(Math.floor((index * bytes.length) / pieces), Math.floor(((index + 1) * bytes.length) / pieces)));
async function* slowly(bytes: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    await new Promise((resolve) => setImmediate(resolve));
    yield bytes.subarray(start, start + chunkBytes);
  }
}

describe('plain archives', () => {
  it('scans the real mongodump --archive --gzip', async () => {
    const file = binaryFixture('mongodump/every-shape.archive.gz');
    const archive = await open(file);
    const progress: number[] = [];
    const result = await scanPayload(archive.payload(), ({ bytesDone }) => progress.push(bytesDone));
    expect(result.namespaces).toHaveLength(22);
    expect(result.bytes).toBe(gunzipSync(file).length);
    expect(progress.at(-1)).toBe(result.bytes);
    expect((await scanPayload((await open(gunzipSync(file))).payload())).namespaces).toEqual(result.namespaces);
  });

  it.each([
    ['uncompressed', payload],
    ['gzip', gzipSync(payload)],
    ['gzip in several members', Buffer.concat(cut(payload, 7).map((piece) => gzipSync(piece)))],
    ['zstd', zstdCompressSync(payload)],
    ['zstd in several frames', Buffer.concat(cut(payload, 7).map((piece) => zstdCompressSync(piece)))],
  ])('reads %s', async (_name, file) => {
    expect((await read(file)).equals(payload)).toBe(true);
    expect((await scanPayload((await open(file)).payload())).namespaces).toEqual(namespaces);
  });

  it.each(['gzip', 'zstd'] as const)('reads members of %s however the input is cut', async (codec) => {
    const compress = codec === 'gzip' ? gzipSync : zstdCompressSync;
    const file = Buffer.concat(cut(payload, 5).map((piece) => compress(piece)));
    for (const chunkBytes of [13, 100, 1000]) expect((await collectBytes(decompressStream(codec, slowly(file, chunkBytes)))).equals(payload)).toBe(true);
  });

  it('says of a cut file that it is incomplete', async () => {
    const gz = gzipSync(payload);
    const zst = zstdCompressSync(payload);
    for (const file of [gz, zst, payload]) {
      for (const length of [9, Math.floor(file.length / 2), file.length - 1]) {
        await expect((async () => scanPayload((await open(file.subarray(0, length))).payload()))()).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
      }
    }
    await expect(open(Buffer.alloc(0))).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
  });

  it('refuses damaged data, garbage behind them, and other files', async () => {
    const gz = gzipSync(payload);
    const flipped = Buffer.from(gz);
    flipped[gz.length - 6]! ^= 1;
    await expect(read(flipped)).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    await expect(read(Buffer.concat([gz, Buffer.alloc(20)]))).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    await expect(read(Buffer.concat([gz, Buffer.from('garbage')]))).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    await expect(read(Buffer.concat([zstdCompressSync(payload), Buffer.from('garbage')]))).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
    for (const bytes of [Buffer.from('PK\u0003\u0004 a zip'), Buffer.from('PGDMP dump'), (await makeArchive([[-1, payload]], {})).file]) {
      await expect(open(bytes)).rejects.toMatchObject({ code: 'ARCHIVE_UNSUPPORTED' });
    }
  });

  it('stops a bomb at its limit', async () => {
    const bomb = gzipSync(Buffer.alloc(64 << 20));
    expect((64 << 20) / bomb.length).toBeGreaterThan(1000);
    const archive = await openPlainArchive(bufferSource(bomb), { maxPayloadBytes: 4 << 20 });
    let bytes = 0;
    await expect(
      (async () => {
        for await (const chunk of archive.payload()) bytes += chunk.length;
      })(),
    ).rejects.toMatchObject({ code: 'ARCHIVE_TOO_LARGE' });
    expect(bytes).toBeLessThanOrEqual(4 << 20);
  });

  it('lets go of the source when the consumer stops', async () => {
    let isClosed = false;
    const file = gzipSync(createHash('sha512').update('x').digest('hex').repeat(50_000));
    const source = {
      ...bufferSource(file),
      async *stream() {
        try {
          for (let start = 0; start < file.length; start += 100) yield file.subarray(start, start + 100);
        } finally {
          isClosed = true;
        }
      },
    };
    for await (const chunk of (await openPlainArchive(source)).payload()) if (chunk.length > 0) break;
    expect(isClosed).toBe(true);
  });

  it('tells files by their first bytes', () => {
    expect([payload, gzipSync(payload), zstdCompressSync(payload), Buffer.from('DBK1'), Buffer.from('PGDMP'), Buffer.from('SELECT 1'), Buffer.alloc(0)].map(sniffArchive)).toEqual([
      'mongodump', 'gzip', 'zstd', 'dbk1', 'pgdump', 'unknown', 'unknown',
    ]);
  });
});
