import { afterEach, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { PassThrough, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzipSync, gzip, gzipSync, zstdDecompressSync } from 'node:zlib';
import { collectBytes, makeArchive, manifestInput, smallPayload, tenantId, testKeys, writerOptions } from '../../../test/support/archives.js';
import { binaryFixture, jsonFixture } from '../../../test/support/fixtures.js';
import { deriveTenantKey, KeyRing } from '../keys.js';
import { scanPayload, verifyArchive } from '../scan.js';
import { bufferSource, type ArchiveSource } from '../source.js';
import { decompressStream } from './codec.js';
import type { Codec } from './header.js';
import { readArchiveHeader } from './layout.js';
import { openArchive } from './reader.js';
import { StreamedArchive } from './stream-reader.js';
import { ArchiveWriter } from './writer.js';

interface Vector {
  readonly tenantId: string;
  readonly keyId: string;
  readonly masterKeyBase64: string;
  readonly payloadSha256: string;
  readonly payloadBytes: number;
  readonly segments: number;
  readonly frames: number;
  readonly archiveSha256: string;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('the archive of another implementation', () => {
  const vector = jsonFixture<Vector>('dbk1/every-shape.json');
  const file = binaryFixture('dbk1/every-shape.gz.enc');
  const keys = KeyRing.parse(`${vector.keyId}:${vector.masterKeyBase64}`);
  const open = () => openArchive(bufferSource(file), { keys, tenantId: vector.tenantId });

  it('opens with its key and is what its description says', async () => {
    expect(sha256(file)).toBe(vector.archiveSha256);
    const archive = await open();
    expect(archive.manifest.frames).toHaveLength(vector.frames);
    expect(archive.manifest.payload).toEqual({ segments: vector.segments, compressedBytes: 262_575, bytes: vector.payloadBytes, sha256: vector.payloadSha256 });
    expect(archive.header).toMatchObject({ codec: 'gzip', payloadType: 'mongodump', segmentSize: 65_536, keyId: 'k-test' });
    expect(archive.manifest.tenant).toEqual({ id: vector.tenantId, slug: 'vector', name: 'Vector & Sons' });
    const payload = await collectBytes(archive.payload());
    expect(sha256(payload)).toBe(vector.payloadSha256);
    // The frames regroup the tool's blocks, so the body's order differs from the original file; the documents do not.
    const original = (await scanPayload(bufferSource(gunzipSync(binaryFixture('mongodump/every-shape.archive.gz'))).stream())).namespaces;
    expect((await scanPayload(archive.payload())).namespaces).toEqual(original);
  });

  it('has, in every namespace, the counts and sums of its manifest', async () => {
    const archive = await open();
    expect((await verifyArchive(archive)).namespaces).toEqual(archive.manifest.namespaces);
  });

  it('takes the memory of a lent chunk back when the next one is asked for', async () => {
    const archive = await open();
    const hash = createHash('sha256');
    let before: Buffer | null = null;
    let takenBack = 0;
    for await (const chunk of archive.payload({ lent: true })) {
      if (before?.length === 0) takenBack += 1;
      hash.update(chunk);
      before = chunk;
    }
    expect(hash.digest('hex')).toBe(vector.payloadSha256);
    expect(takenBack).toBeGreaterThan(0);
    const kept: Buffer[] = [];
    for await (const chunk of archive.payload()) kept.push(chunk);
    expect(sha256(Buffer.concat(kept))).toBe(vector.payloadSha256);
  });

  it('gives by random access the same bytes as in a stream, frame by frame', async () => {
    const archive = await open();
    const payload = await collectBytes(archive.payload({ parallelism: 1 }));
    const offsets = archive.manifest.frames.map(([, offset]) => offset);
    expect((await archive.prelude()).equals(payload.subarray(0, offsets[1]))).toBe(true);
    for (let namespace = -1; namespace < archive.manifest.namespaces.length; namespace += 1) {
      const expected = archive.manifest.frames.flatMap((frame, index) => (frame[2] === namespace ? [payload.subarray(offsets[index], offsets[index + 1] ?? payload.length)] : []));
      const found: Buffer[] = [];
      for await (const frame of archive.frames([namespace])) {
        expect(frame.namespaceIndex).toBe(namespace);
        found.push(frame.payload);
      }
      expect(found.map(sha256)).toEqual(expected.map(sha256));
    }
  });

  it('reads only the segments of the frames that it was asked for', async () => {
    let bytesRead = 0;
    const memory = bufferSource(file);
    const source: ArchiveSource = {
      ...memory,
      async *stream(start, end) {
        for await (const chunk of memory.stream(start, end)) {
          bytesRead += chunk.length;
          yield chunk;
        }
      },
    };
    const archive = await openArchive(source, { keys, tenantId: vector.tenantId });
    const last = archive.manifest.frames.at(-1)![2];
    for await (const frame of archive.frames([last])) expect(frame.payload.length).toBeGreaterThan(0);
    expect(bytesRead).toBeGreaterThan(0);
    expect(bytesRead).toBeLessThanOrEqual(2 * (65_536 + 20));
  });

  it('is one valid .gz once decrypted, from a file and from a stream', async () => {
    const archive = await open();
    const compressed = await collectBytes(archive.compressed());
    expect(sha256(gunzipSync(compressed))).toBe(vector.payloadSha256);
    const streamed = await StreamedArchive.begin(bufferSource(file).stream());
    expect((await collectBytes(streamed.compressed({ keys, tenantId: vector.tenantId }))).equals(compressed)).toBe(true);
    expect(streamed.manifest).toEqual(archive.manifest);
  });

  it('tells its header without a key', async () => {
    expect((await readArchiveHeader(bufferSource(file))).context).toEqual({ tenant: vector.tenantId, backup: 'b-1', label: 'manual', createdAt: '2026-01-02T03:04:05Z' });
  });
});

describe.each<Codec>(['none', 'gzip', 'zstd'])('an archive written with codec %s', (codec) => {
  it('comes back byte for byte, with its summary and manifest', async () => {
    const { payload, frames, namespaces } = smallPayload();
    const { file, summary } = await makeArchive(frames, { codec, segmentSize: 4096 }, namespaces);
    expect(summary).toMatchObject({ sizeBytes: file.length, sha256: sha256(file), payloadBytes: payload.length, payloadSha256: sha256(payload) });
    const archive = await openArchive(bufferSource(file), { keys: testKeys, tenantId, expected: { backupId: 'b-test', salt: summary.salt } });
    expect(archive.header).toMatchObject({ salt: summary.salt, sha256: summary.headerSha256, codec });
    expect(archive.manifest.payload).toEqual({ segments: summary.segments, compressedBytes: summary.compressedBytes, bytes: payload.length, sha256: summary.payloadSha256 });
    expect((await collectBytes(archive.payload())).equals(payload)).toBe(true);
    expect((await verifyArchive(archive)).namespaces).toEqual(namespaces);
    const compressed = await collectBytes(archive.compressed());
    expect(compressed.length).toBe(summary.compressedBytes);
    const inflate = { none: (bytes: Buffer) => bytes, gzip: (bytes: Buffer) => gunzipSync(bytes), zstd: (bytes: Buffer) => zstdDecompressSync(bytes) }[codec];
    expect((await collectBytes(decompressStream(codec, archive.compressed()))).equals(payload)).toBe(true);
    for (const [index, [compressedOffset, payloadOffset]] of archive.manifest.frames.entries()) {
      const [compressedEnd, payloadEnd] = archive.manifest.frames[index + 1] ?? [compressed.length, payload.length];
      expect(inflate(compressed.subarray(compressedOffset, compressedEnd)).equals(payload.subarray(payloadOffset, payloadEnd))).toBe(true);
    }
  });

  it.each([0, 1, 4095, 4096, 4097, 8192, 100_000])('handles a compressed stream around segment boundaries (%i random bytes)', async (length) => {
    const frames: [number, Buffer][] = [[-1, randomBytes(Math.max(1, length))]];
    const { file } = await makeArchive(length === 0 ? [] : frames, { codec, segmentSize: 4096 });
    const archive = await openArchive(bufferSource(file), { keys: testKeys, tenantId });
    expect(archive.manifest.payload.bytes).toBe(length);
    expect((await collectBytes(archive.payload())).equals(length === 0 ? Buffer.alloc(0) : frames[0]![1])).toBe(true);
    const streamed = await StreamedArchive.begin(bufferSource(file).stream());
    expect((await collectBytes(streamed.compressed({ keys: testKeys, tenantId }))).length).toBe(archive.manifest.payload.compressedBytes);
  });
});

describe('ArchiveWriter', () => {
  const destinations: Writable[] = [];
  afterEach(() => {
    for (const destination of destinations.splice(0)) destination.destroy();
  });

  it('stores frames in the order of the calls, however long each takes to compress', async () => {
    const frames: [number, Buffer][] = [[-1, Buffer.from('prelude')]];
    for (let index = 0; index < 40; index += 1) frames.push([0, index % 2 === 0 ? randomBytes(300_000) : Buffer.from(`small ${index}`)]);
    const { file } = await makeArchive(frames, { codec: 'gzip' }, [{ name: 'a', kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), sum: '0'.repeat(16), indexes: 0 }]);
    const archive = await openArchive(bufferSource(file), { keys: testKeys, tenantId });
    expect((await collectBytes(archive.payload())).equals(Buffer.concat(frames.map(([, payload]) => payload)))).toBe(true);
    expect(archive.manifest.frames.map(([, offset]) => offset)).toEqual(frames.map((_, index) => frames.slice(0, index).reduce((sum, [, payload]) => sum + payload.length, 0)));
  });

  it('lets the caller reuse a buffer once its call has settled', async () => {
    const { file } = await makeArchive(
      [[-1, Buffer.from('p')]],
      { codec: 'gzip' },
      [{ name: 'a', kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), sum: '0'.repeat(16), indexes: 0 }],
      async (writer) => {
        const shared = Buffer.alloc(100_000);
        for (let round = 0; round < 10; round += 1) {
          shared.fill(round);
          await writer.writeFrame(0, shared);
        }
        shared.fill(99);
      },
    );
    const archive = await openArchive(bufferSource(file), { keys: testKeys, tenantId });
    const payload = await collectBytes(archive.payload());
    for (let round = 0; round < 10; round += 1) expect(payload[1 + round * 100_000 + 50_000]).toBe(round);
  });

  it('waits for a slow destination with a bounded number of frames in memory', async () => {
    let release: (() => void) | null = null;
    let taken = 0;
    const destination = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, callback) {
        taken += chunk.length;
        release = () => callback();
      },
    });
    destinations.push(destination);
    const writer = new ArchiveWriter(destination, writerOptions({ codec: 'gzip', parallelism: 2 }));
    let settled = 0;
    const calls = [writer.writeFrame(-1, Buffer.from('p'))];
    for (let index = 0; index < 30; index += 1) calls.push(writer.writeFrame(0, randomBytes(1 << 20)));
    for (const call of calls) void call.then(() => (settled += 1));
    await Promise.all(calls.slice(0, 3));
    // The header is stuck in the destination, so no slot comes free. The thread pool works in turn: had more frames
    // been handed to it, they would be done before these.
    await Promise.all(Array.from({ length: 8 }, () => promisify(gzip)(randomBytes(1 << 20))));
    expect([settled, taken]).toEqual([3, await readHeaderLength()]);
    const pump = setInterval(() => {
      const callback = release;
      release = null;
      callback?.();
    }, 0);
    await Promise.all(calls);
    clearInterval(pump);
    expect(settled).toBe(31);
  });

  it('rejects every call with the error of the destination', async () => {
    const failure = new Error('disk full');
    const destination = new Writable({ write: (chunk: Buffer, _encoding, callback) => callback(chunk.length > 1000 ? failure : null) });
    const writer = new ArchiveWriter(destination, writerOptions({ codec: 'none' }));
    await writer.writeFrame(-1, Buffer.from('p'));
    const results = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => writer.writeFrame(0, randomBytes(1 << 20))));
    expect(results.at(-1)).toEqual({ status: 'rejected', reason: failure });
    await expect(writer.writeFrame(0, Buffer.from('x'))).rejects.toBe(failure);
    await expect(writer.finish(manifestInput([]))).rejects.toBe(failure);
  });

  it('rejects calls under way when it is aborted, even while the destination hangs', async () => {
    const destination = new Writable({ write: () => undefined, highWaterMark: 1 });
    destinations.push(destination);
    const writer = new ArchiveWriter(destination, writerOptions({ codec: 'none' }));
    const calls = [writer.writeFrame(-1, Buffer.from('p')), ...[1, 2, 3].map(() => writer.writeFrame(0, randomBytes(2 << 20)))];
    const reason = new Error('cancelled');
    // Now the first large frame waits for the header, which the destination never takes.
    await calls[0];
    await new Promise((resolve) => setImmediate(resolve));
    writer.abort(reason);
    const results = await Promise.allSettled(calls);
    expect(results.slice(1)).toEqual(Array(3).fill({ status: 'rejected', reason }));
    await expect(writer.finish(manifestInput([]))).rejects.toBe(reason);
  });

  it('does not end its destination', async () => {
    const destination = new PassThrough();
    destination.resume();
    const writer = new ArchiveWriter(destination, writerOptions({ codec: 'gzip' }));
    await writer.writeFrame(-1, Buffer.from('p'));
    await writer.finish(manifestInput([]));
    expect([destination.writableEnded, destination.destroyed, destination.listenerCount('error')]).toEqual([false, false, new PassThrough().listenerCount('error')]);
    destination.destroy();
  });

  it('refuses what no archive can hold', async () => {
    const destination = new PassThrough();
    destination.resume();
    expect(() => new ArchiveWriter(destination, writerOptions({ segmentSize: 4095 }))).toThrow(RangeError);
    expect(() => new ArchiveWriter(destination, writerOptions({ keyId: 'ü' }))).toThrow(RangeError);
    expect(() => new ArchiveWriter(destination, { ...writerOptions({}), context: { tenant: tenantId, backup: 'b', label: 'x'.repeat(5000), createdAt: '' } })).toThrow(RangeError);
    const writer = new ArchiveWriter(destination, writerOptions({}));
    await expect(writer.writeFrame(0, Buffer.from('x'))).rejects.toThrow(/prelude/);
    await writer.writeFrame(-1, Buffer.from('p'));
    await expect(writer.writeFrame(-1, Buffer.from('p'))).rejects.toThrow(/prelude/);
    await expect(writer.writeFrame(0, Buffer.alloc(0))).rejects.toThrow(RangeError);
    await expect(writer.writeFrame(0, Buffer.alloc(64 * 1024 * 1024 + 1))).rejects.toMatchObject({ code: 'ARCHIVE_TOO_LARGE' });
    await writer.writeFrame(0, Buffer.from('x'));
    await expect(writer.finish(manifestInput([]))).rejects.toThrow(/does not list/);
    destination.destroy();
  });

  it('keeps the ratio of gzip -6', async () => {
    const text = Buffer.concat(Array.from({ length: 4000 }, (_, index) => Buffer.from(`order ${index} of customer ${index % 97}, ${createHash('md5').update(String(index)).digest('hex')}\n`)));
    const { summary } = await makeArchive([[-1, text]], { codec: 'gzip' });
    expect(summary.compressedBytes).toBeLessThanOrEqual(gzipSync(text, { level: 6 }).length + 64);
  });

  it('uses a new salt for every archive', async () => {
    const salts = new Set<string>();
    for (let index = 0; index < 50; index += 1) salts.add((await makeArchive([[-1, Buffer.from('p')]], {})).summary.salt);
    expect(salts.size).toBe(50);
    expect(deriveTenantKey(testKeys.current!, 'a').equals(deriveTenantKey(testKeys.current!, 'b'))).toBe(false);
  });
});

async function readHeaderLength(): Promise<number> {
  return (await readArchiveHeader((await makeArchive([], { codec: 'gzip' })).file)).sizeBytes;
}
