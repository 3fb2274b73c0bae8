import { describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { AppError } from '#errors';
import { collectBytes, makeArchive, manifestInput, smallPayload, tenantId, testKeys } from '../../../test/support/archives.js';
import { binaryFixture, jsonFixture } from '../../../test/support/fixtures.js';
import { assemble, footerOf, forge, type Forgery } from '../../../test/support/forge.js';
import { KeyRing } from '../keys.js';
import { verifyArchive } from '../scan.js';
import { bufferSource } from '../source.js';
import { nonceOf, nonceType } from './cipher.js';
import type { Codec } from './header.js';
import type { NamespaceSummary } from './manifest.js';
import type { ExpectedArchive } from './open.js';
import { openArchive } from './reader.js';
import { StreamedArchive } from './stream-reader.js';

interface Expectations {
  readonly keys?: KeyRing;
  readonly tenant?: string;
  readonly expected?: ExpectedArchive;
}

const options = ({ keys = testKeys, tenant = tenantId, expected = {} }: Expectations) => ({ keys, tenantId: tenant, expected });

async function readWhole(file: Buffer, how: Expectations = {}): Promise<Buffer> {
  return collectBytes((await openArchive(bufferSource(file), options(how))).payload());
}

async function readStreamed(file: Buffer, how: Expectations = {}): Promise<void> {
  const archive = await StreamedArchive.begin(bufferSource(file).stream());
  for await (const segment of archive.compressed(options(how))) void segment;
}

async function codeOf(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return 'read';
}

const codesOf = async (file: Buffer, how: Expectations = {}): Promise<[string, string]> => [await codeOf(readWhole(file, how)), await codeOf(readStreamed(file, how))];
const both = (code: string): [string, string] => [code, code];

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function flipLast(bytes: Buffer): Buffer {
  bytes[bytes.length - 6]! ^= 1;
  return bytes;
}

function namespace(name: string): NamespaceSummary {
  return { name, kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), sum: '0'.repeat(16), indexes: 0 };
}

const small = smallPayload(2);
const { file: smallFile } = await makeArchive(small.frames, { codec: 'gzip', segmentSize: 4096 }, small.namespaces);
const { file: tinyFile } = await makeArchive([[-1, Buffer.from('p')]], { codec: 'none', segmentSize: 4096 });

describe('a small archive', () => {
  it.each<Codec>(['none', 'gzip', 'zstd'])('is incomplete wherever it is cut (codec %s)', async (codec) => {
    const { file } = await makeArchive(small.frames, { codec, segmentSize: 4096 }, small.namespaces);
    expect(await codesOf(file)).toEqual(both('read'));
    for (let length = 0; length < file.length; length += 1) expect([length, await codesOf(file.subarray(0, length))]).toEqual([length, both('ARCHIVE_TRUNCATED')]);
  });

  it.each([
    ['every bit of a tiny archive', tinyFile, 1],
    ['one bit of every byte', smallFile, 8],
  ])('is refused with %s flipped', async (_name, file, step) => {
    const headerBytes = file.indexOf('"}') + 2;
    const seen = new Set<string>();
    for (let bit = 0; bit < file.length * 8; bit += step) {
      const copy = Buffer.from(file);
      copy[bit >> 3]! ^= step === 1 ? 1 << (bit & 7) : 1 << ((bit >> 3) & 7);
      const [whole, streamed] = await codesOf(copy);
      seen.add(whole).add(streamed);
      if (bit >> 3 < headerBytes) {
        expect([bit, whole, streamed]).not.toContain('read');
      } else {
        expect([bit, whole]).toEqual([bit, 'ARCHIVE_CORRUPT']);
        // A length that grew makes a stream end too early.
        expect([bit, streamed]).toEqual([bit, expect.stringMatching(/^ARCHIVE_(?:CORRUPT|TRUNCATED)$/)]);
      }
    }
    expect([...seen].sort()).toEqual(['ARCHIVE_CORRUPT', 'ARCHIVE_FOREIGN', 'ARCHIVE_TRUNCATED', 'ARCHIVE_UNSUPPORTED', 'KEY_MISMATCH', 'KEY_UNKNOWN']);
  });

  it('is refused with bytes behind it: garbage, a second footer, itself', async () => {
    for (const tail of [Buffer.from('x'), randomBytes(11), randomBytes(12), randomBytes(5000), smallFile.subarray(-12), smallFile]) {
      expect(await codesOf(Buffer.concat([smallFile, tail]))).toEqual(both('ARCHIVE_CORRUPT'));
    }
  });
});

describe('segments', () => {
  const plain = randomBytes(4096 * 4 + 100);
  const cut = [0, 1, 2, 3, 4].map((index) => plain.subarray(index * 4096, (index + 1) * 4096));
  const manifest = {
    ...manifestInput([]),
    formatVersion: 1,
    payload: { segments: 5, compressedBytes: plain.length, bytes: plain.length, sha256: sha256(plain) },
    frames: [[0, 0, -1]],
  };
  const base: Forgery = { masterKey: testKeys.current!.key, keyId: testKeys.current!.id, tenantId, segments: cut, manifest };
  const { header, records, trailer, file } = forge(base);

  it('read as they were written by the format page alone', async () => {
    expect((await readWhole(file)).equals(plain)).toBe(true);
    await readStreamed(file);
  });

  const [a, b, c, d, e] = records as [Buffer, Buffer, Buffer, Buffer, Buffer];
  it.each<[string, Buffer[]]>([
    ['the first dropped', [b, c, d, e]],
    ['one in the middle dropped', [a, b, d, e]],
    ['the last dropped', [a, b, c, d]],
    ['all dropped', []],
    ['one repeated', [a, b, b, c, d, e]],
    ['the last repeated', [a, b, c, d, e, e]],
    ['two swapped', [a, c, b, d, e]],
    ['the last one moved', [e, a, b, c, d]],
    ['a short one more', [a, b, c, d, e, e.subarray(0, 40)]],
    ['one of another archive', [a, forge({ ...base, salt: Buffer.alloc(32, 4) }).records[1]!, c, d, e]],
    ['an empty one more', [a, b, c, d, e, Buffer.concat([Buffer.from([0, 0, 0, 16]), e.subarray(-16)])]],
  ])('%s: refused, whether the footer was mended or not', async (_name, changed) => {
    expect(await codesOf(assemble(header, changed, trailer))).toEqual(both('ARCHIVE_CORRUPT'));
    const unmended = Buffer.concat([header, ...changed, trailer, file.subarray(-12)]);
    expect(await codesOf(unmended)).toEqual(both('ARCHIVE_CORRUPT'));
  });

  it('end with the file: cut between segments it is incomplete', async () => {
    for (let kept = 0; kept < 5; kept += 1) {
      expect(await codesOf(Buffer.concat([header, ...records.slice(0, kept)]))).toEqual(both('ARCHIVE_TRUNCATED'));
      expect(await codesOf(Buffer.concat([header, ...records.slice(0, kept), trailer.subarray(0, 30)]))).toEqual(both('ARCHIVE_TRUNCATED'));
    }
  });

  it.each<[string, Partial<Forgery>, string]>([
    ['a short segment before the last', { segments: [cut[0]!, cut[1]!.subarray(0, 50), ...cut.slice(2)] }, 'ARCHIVE_CORRUPT'],
    ['a short segment before the last that is counted', { segments: [cut[0]!, cut[1]!.subarray(0, 50), ...cut.slice(2)], manifest: { ...manifest, payload: { ...manifest.payload, compressedBytes: plain.length - 4046, bytes: plain.length - 4046 } } }, 'ARCHIVE_CORRUPT'],
    ['an oversized segment', { segments: [Buffer.concat([cut[0]!, cut[1]!]), ...cut.slice(2)] }, 'ARCHIVE_CORRUPT'],
    ['a count of segments that differs', { manifest: { ...manifest, payload: { ...manifest.payload, segments: 6 } } }, 'ARCHIVE_CORRUPT'],
    ['a compressed length that differs', { manifest: { ...manifest, payload: { ...manifest.payload, compressedBytes: plain.length - 1 } } }, 'ARCHIVE_CORRUPT'],
    ['another payload length', { manifest: { ...manifest, payload: { ...manifest.payload, bytes: plain.length + 1 } } }, 'ARCHIVE_CORRUPT'],
    ['another tenant in the manifest', { manifest: { ...manifest, tenant: { ...manifest.tenant, id: 'else' } } }, 'ARCHIVE_CORRUPT'],
    ['another backup in the manifest', { manifest: { ...manifest, backup: { ...manifest.backup, id: 'else' } } }, 'ARCHIVE_CORRUPT'],
    ['a manifest of another version', { manifest: { ...manifest, formatVersion: 2 } }, 'ARCHIVE_UNSUPPORTED'],
    ['no frames', { manifest: { ...manifest, frames: [] } }, 'ARCHIVE_CORRUPT'],
    ['frames that start elsewhere', { manifest: { ...manifest, frames: [[1, 1, -1]] } }, 'ARCHIVE_CORRUPT'],
    ['frames that stand still', { manifest: { ...manifest, frames: [[0, 0, -1], [0, 0, -1]] } }, 'ARCHIVE_CORRUPT'],
    ['a frame beyond the end', { manifest: { ...manifest, frames: [[0, 0, -1], [plain.length, plain.length, -1]] } }, 'ARCHIVE_CORRUPT'],
    ['a frame of a namespace that is not there', { manifest: { ...manifest, frames: [[0, 0, -1], [10, 10, 0]] } }, 'ARCHIVE_CORRUPT'],
    ['a second prelude', { manifest: { ...manifest, frames: [[0, 0, -1], [10, 10, -1]] } }, 'ARCHIVE_CORRUPT'],
    ['frames that differ between payload and stream, uncompressed', { manifest: { ...manifest, namespaces: [namespace('a')], frames: [[0, 0, -1], [10, 11, 0]] } }, 'ARCHIVE_CORRUPT'],
    ['a namespace that stands twice', { manifest: { ...manifest, namespaces: [namespace('a'), namespace('a')] } }, 'ARCHIVE_CORRUPT'],
    ['a CRC that is no hex', { manifest: { ...manifest, namespaces: [{ ...namespace('a'), crc64: 'x'.repeat(16) }] } }, 'ARCHIVE_CORRUPT'],
    ['a count beyond 2^53', { manifest: { ...manifest, namespaces: [{ ...namespace('a'), documents: 2 ** 53 }] } }, 'ARCHIVE_CORRUPT'],
    ['an unknown kind', { manifest: { ...manifest, namespaces: [{ ...namespace('a'), kind: 'graph' }] } }, 'ARCHIVE_CORRUPT'],
    ['an unknown consistency', { manifest: { ...manifest, consistency: { level: 'maybe', clusterTime: null } } }, 'ARCHIVE_CORRUPT'],
    ['a manifest without producer', { manifest: { ...manifest, producer: undefined } }, 'ARCHIVE_CORRUPT'],
    ['a manifest that is no object', { manifest: [] }, 'ARCHIVE_CORRUPT'],
    ['a manifest that is no JSON', { manifest: gzipSync('{') }, 'ARCHIVE_CORRUPT'],
    ['a manifest that is no gzip', { manifest: Buffer.from('{}') }, 'ARCHIVE_CORRUPT'],
    ['a context that is no JSON', { context: 'x' }, 'ARCHIVE_CORRUPT'],
    ['a context without a backup', { context: { tenant: tenantId, label: '', createdAt: '' } }, 'ARCHIVE_CORRUPT'],
    ['a segment size of 4 GiB - 1', { segmentSize: 2 ** 32 - 1 }, 'ARCHIVE_UNSUPPORTED'],
    ['a segment size below 4096', { segmentSize: 4095 }, 'ARCHIVE_UNSUPPORTED'],
    ['a segment size above 16 MiB', { segmentSize: 2 ** 24 + 1 }, 'ARCHIVE_UNSUPPORTED'],
    ['an unknown codec', { codec: 3 }, 'ARCHIVE_UNSUPPORTED'],
    ['an unknown payload type', { payloadType: 5 }, 'ARCHIVE_UNSUPPORTED'],
  ])('authentic, but with %s: refused', async (_name, change, code) => {
    expect(await codesOf(forge({ ...base, ...change }).file)).toEqual(both(code));
  });

  it('authentic, but with another payload hash: refused at the end', async () => {
    expect(await codeOf(readWhole(forge({ ...base, manifest: { ...manifest, payload: { ...manifest.payload, sha256: '0'.repeat(64) } } }).file))).toBe('ARCHIVE_CORRUPT');
  });

  it('a manifest may have keys that are unknown here', async () => {
    const file = forge({ ...base, manifest: { ...manifest, future: { a: 1 }, payload: { ...manifest.payload, future: 2 } } }).file;
    expect(await codesOf(file)).toEqual(both('read'));
  });
});

describe('forged lengths', () => {
  const grown = async (reading: () => Promise<unknown>): Promise<number> => {
    const before = process.memoryUsage().arrayBuffers;
    let peak = before;
    const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().arrayBuffers)), 1);
    await reading();
    clearInterval(timer);
    return Math.max(peak, process.memoryUsage().arrayBuffers) - before;
  };
  const header = smallFile.subarray(0, smallFile.indexOf('"}') + 2);

  it.each<[string, Buffer, string, string]>([
    ['a trailer of 2 GiB', Buffer.concat([header, Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.alloc(5000), footerOf(header.length)]), 'ARCHIVE_CORRUPT', 'ARCHIVE_CORRUPT'],
    ['a trailer of 64 MiB that is not there', Buffer.concat([header, Buffer.from([0x84, 0, 0, 0]), Buffer.alloc(5000)]), 'ARCHIVE_TRUNCATED', 'ARCHIVE_TRUNCATED'],
    ['a trailer of no bytes', Buffer.concat([header, Buffer.from([0x80, 0, 0, 0]), footerOf(header.length)]), 'ARCHIVE_CORRUPT', 'ARCHIVE_CORRUPT'],
    ['a segment of 2 GiB', Buffer.concat([header, Buffer.from([0x7f, 0xff, 0xff, 0xff]), Buffer.alloc(5000), footerOf(header.length)]), 'ARCHIVE_CORRUPT', 'ARCHIVE_CORRUPT'],
  ])('%s is refused in bounded memory', async (_name, file, whole, streamed) => {
    const growth = await grown(async () => expect(await codesOf(file)).toEqual([whole, streamed]));
    expect(growth).toBeLessThan(16 << 20);
  });

  it.each([0n, 1n, BigInt(header.length - 1), BigInt(header.length + 1), BigInt(smallFile.length), BigInt(smallFile.length - 12), 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])('a footer that points to %s', async (offset) => {
    const file = Buffer.from(smallFile);
    file.writeBigUInt64BE(offset, file.length - 12);
    expect(await codesOf(file)).toEqual(both('ARCHIVE_CORRUPT'));
  });

  it('a manifest bomb is refused', async () => {
    const bomb = gzipSync(Buffer.alloc((256 << 20) + 1, ' '), { level: 1 });
    const { file } = forge({ masterKey: testKeys.current!.key, keyId: testKeys.current!.id, tenantId, segments: [], manifest: bomb });
    expect(await codeOf(readWhole(file))).toBe('ARCHIVE_TOO_LARGE');
  });

  const frameFile = (compressed: Buffer, bytes: number, codec = 1, hash = '0'.repeat(64)): Buffer =>
    forge({
      masterKey: testKeys.current!.key,
      keyId: testKeys.current!.id,
      tenantId,
      codec,
      segmentSize: 1 << 20,
      segments: [compressed],
      manifest: { ...manifestInput([]), formatVersion: 1, payload: { segments: 1, compressedBytes: compressed.length, bytes, sha256: hash }, frames: [[0, 0, -1]] },
    }).file;

  it('a frame that expands 1000:1 beyond the manifest is refused in bounded memory', async () => {
    const bomb = gzipSync(Buffer.alloc(200 << 20));
    const growth = await grown(async () => expect(await codeOf(readWhole(frameFile(bomb, 1 << 20)))).toBe('ARCHIVE_TOO_LARGE'));
    expect(growth).toBeLessThan(32 << 20);
  });

  it('a frame larger than a reader holds is refused before it is read', async () => {
    expect(await codesOf(frameFile(Buffer.from('x'), (256 << 20) + 1))).toEqual(both('ARCHIVE_TOO_LARGE'));
  });

  it.each<[string, Buffer, number]>([
    ['that is no gzip', randomBytes(500), 1000],
    ['whose checksum is wrong', flipLast(gzipSync('x'.repeat(1000))), 1000],
    ['that holds less than promised', gzipSync('x'.repeat(999)), 1000],
    ['with zeros behind its gzip member', Buffer.concat([gzipSync('x'.repeat(1000)), Buffer.alloc(3)]), 1000],
  ])('an authentic frame %s is refused', async (_name, compressed, bytes) => {
    const hash = sha256(Buffer.from('x'.repeat(1000)));
    expect(await codeOf(readWhole(frameFile(gzipSync('x'.repeat(1000)), 1000, 1, hash)))).toBe('read');
    expect(await codeOf(readWhole(frameFile(compressed, bytes, 1, hash)))).toBe('ARCHIVE_CORRUPT');
  });
});

describe('whose archive it is', () => {
  it('another tenant may not open it, even with the same keys', async () => {
    expect(await codesOf(smallFile, { tenant: '99999999-2222-4333-8444-555555555555' })).toEqual(both('ARCHIVE_FOREIGN'));
  });

  it('a header rewritten for another tenant does not open either', async () => {
    const other = tenantId.replace('1', '9');
    const file = Buffer.from(smallFile);
    file.write(other, file.indexOf(tenantId), 'latin1');
    expect(await codesOf(file, { tenant: other })).toEqual(both('KEY_MISMATCH'));
  });

  it('a file of another backup in its place is told apart, by id and by salt', async () => {
    const again = await makeArchive(small.frames, { codec: 'gzip' }, small.namespaces);
    expect(await codesOf(again.file, { expected: { backupId: 'b-test', salt: again.summary.salt } })).toEqual(both('read'));
    expect(await codesOf(smallFile, { expected: { backupId: 'b-test', salt: again.summary.salt } })).toEqual(both('ARCHIVE_REPLACED'));
    expect(await codesOf(smallFile, { expected: { backupId: 'b-newer' } })).toEqual(both('ARCHIVE_REPLACED'));
  });

  it('keys: unknown, wrong, rotated', async () => {
    const entry = (id: string, byte: number): string => `${id}:${Buffer.alloc(32, byte).toString('base64')}`;
    await expect(readWhole(smallFile, { keys: KeyRing.parse(entry('k-next', 5)) })).rejects.toMatchObject({ code: 'KEY_UNKNOWN', message: expect.stringContaining('k-here') });
    expect(await codesOf(smallFile, { keys: KeyRing.parse('') })).toEqual(both('KEY_UNKNOWN'));
    expect(await codesOf(smallFile, { keys: KeyRing.parse(entry('k-here', 6)) })).toEqual(both('KEY_MISMATCH'));
    expect(await codesOf(smallFile, { keys: KeyRing.parse(entry('k-next', 6), entry('k-here', 5)) })).toEqual(both('read'));
  });

  it('a wrong key is told before the file is looked at for damage', async () => {
    const wrong = KeyRing.parse(`k-here:${Buffer.alloc(32, 6).toString('base64')}`);
    expect(await codesOf(smallFile.subarray(0, -20), { keys: wrong })).toEqual(both('KEY_MISMATCH'));
  });
});

describe('nonces', () => {
  it('never repeat under one key', () => {
    const seen = new Set<string>();
    const indexes = [...Array.from({ length: 20_000 }, (_, index) => index), 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40, Number.MAX_SAFE_INTEGER];
    for (const index of indexes) for (const type of Object.values(nonceType)) seen.add(nonceOf(type, index).toString('hex'));
    expect(seen.size).toBe(indexes.length * 2);
    expect(nonceOf(nonceType.trailer, 2 ** 32 + 5).toString('hex')).toBe('010000000000000100000005');
  });

  it('are refused when the counter would overflow', () => {
    for (const index of [2 ** 53, -1, 0.5, NaN, Infinity]) expect(() => nonceOf(nonceType.segment, index)).toThrow(RangeError);
  });

  it('serve a key of their own in every archive', async () => {
    const first = await makeArchive(small.frames, { codec: 'none' }, small.namespaces);
    const second = await makeArchive(small.frames, { codec: 'none' }, small.namespaces);
    const at = (file: Buffer): Buffer => file.subarray(file.indexOf('"}') + 6);
    expect(at(first.file).subarray(0, 64).equals(at(second.file).subarray(0, 64))).toBe(false);
  });
});

describe('verifyArchive', () => {
  const full = smallPayload(6);

  it.each(['documents', 'bytes', 'indexes', 'crc64', 'sum', 'kind', 'name'] as const)('names the collection whose %s differs from the manifest', async (field) => {
    const changed = full.namespaces.map((one, index) => {
      if (index !== 1) return one;
      const value = one[field];
      return { ...one, [field]: typeof value === 'number' ? value + 1 : field === 'kind' ? 'timeseries' : field === 'name' ? 'elsewhere' : 'f'.repeat(16) };
    });
    const { file } = await makeArchive(full.frames, {}, changed);
    const archive = await openArchive(bufferSource(file), options({}));
    await expect(verifyArchive(archive)).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT', message: expect.stringMatching(/invoices|elsewhere/) });
  });

  it('accepts a manifest without sums', async () => {
    const without = full.namespaces.map(({ name, kind, documents, bytes, crc64, indexes }) => ({ name, kind, documents, bytes, crc64, indexes }));
    const { file } = await makeArchive(full.frames, {}, [], undefined, { ...manifestInput([]), namespaces: without });
    const archive = await openArchive(bufferSource(file), options({}));
    expect((await verifyArchive(archive)).namespaces).toEqual(full.namespaces);
  });

  it.each<[string, (frames: typeof full.frames) => typeof full.frames]>([
    ['a frame that claims another namespace', (frames) => frames.map(([index, payload]) => [index === 1 ? 0 : index, payload])],
    ['a prelude that reaches into the next frame', (frames) => [[-1, frames[0]![1].subarray(0, -3)], [0, Buffer.concat([frames[0]![1].subarray(-3), frames[1]![1]])], ...frames.slice(2)]],
    ['a block cut in two frames', (frames) => [frames[0]!, [0, frames[1]![1].subarray(0, -10)], [0, frames[1]![1].subarray(-10)], ...frames.slice(2)]],
    ['a namespace left out', (frames) => frames.filter(([index]) => index !== 2)],
    ['a block left out', (frames) => frames.filter((_, index) => index !== 1)],
  ])('refuses %s', async (_name, change) => {
    const { file } = await makeArchive(change(full.frames), {}, full.namespaces);
    const archive = await openArchive(bufferSource(file), options({}));
    await expect(verifyArchive(archive)).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
  });
});

interface Vector {
  readonly file: string;
  readonly codec: Codec;
  readonly tenantId: string;
  readonly keyId: string;
  readonly masterKeyBase64: string;
  readonly salt: string;
  readonly tenantKey: string;
  readonly keyCheck: string;
  readonly headerSha256: string;
  readonly archiveKey: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly segments: number;
  readonly compressedBytes: number;
  readonly payloadBytes: number;
  readonly payloadSha256: string;
}

describe.each(jsonFixture<Vector[]>('dbk1/vectors.json').map((vector) => [vector.file, vector] as const))('test vector %s', (_file, vector) => {
  const file = binaryFixture(`dbk1/${vector.file}`);
  const how = { keys: KeyRing.parse(`${vector.keyId}:${vector.masterKeyBase64}`), tenant: vector.tenantId, expected: { salt: vector.salt } };

  it('reads as it always has', async () => {
    expect([file.length, sha256(file)]).toEqual([vector.sizeBytes, vector.sha256]);
    const archive = await openArchive(bufferSource(file), options(how));
    expect(archive.header).toMatchObject({ codec: vector.codec, sha256: vector.headerSha256, salt: vector.salt });
    expect(archive.manifest.payload).toEqual({ segments: vector.segments, compressedBytes: vector.compressedBytes, bytes: vector.payloadBytes, sha256: vector.payloadSha256 });
    expect(sha256(await readWhole(file, how))).toBe(vector.payloadSha256);
    expect((await verifyArchive(archive)).namespaces).toEqual(archive.manifest.namespaces);
    await readStreamed(file, how);
  });

  it('has the keys that the format page derives', async () => {
    const { context, segmentSize } = (await openArchive(bufferSource(file), options(how))).header;
    const { header, keys } = forge({
      masterKey: Buffer.from(vector.masterKeyBase64, 'base64'),
      keyId: vector.keyId,
      tenantId: vector.tenantId,
      context,
      segmentSize,
      codec: ['none', 'gzip', 'zstd'].indexOf(vector.codec),
      salt: Buffer.from(vector.salt, 'hex'),
      segments: [],
      manifest: {},
    });
    expect(header.equals(file.subarray(0, header.length))).toBe(true);
    expect([keys.tenantKey, keys.keyCheck, keys.archiveKey].map((key) => key.toString('hex'))).toEqual([vector.tenantKey, vector.keyCheck, vector.archiveKey]);
  });
});
