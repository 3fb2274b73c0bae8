import { afterAll, describe, expect, it } from '@jest/globals';
import { randomFillSync } from 'node:crypto';
import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { manifestInput, tenantId, testKeys, writerOptions } from '../../../test/support/archives.js';
import { heldSince } from '../../../test/support/garbage.js';
import { fileSource } from '../source.js';
import { decompressStream } from './codec.js';
import { openArchive } from './reader.js';
import { ArchiveWriter } from './writer.js';

const folder = await mkdtemp(join(tmpdir(), 'holdfast-archive-memory-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const frameBytes = 1 << 20;
const frames = 320;
const aheadBytes = 16 << 20;
/** Whatever grows with the archive holds nearly all that went through; what a collection leaves for the next one was seen to be 85 MiB. */
const heldBytes = (frames / 2) * frameBytes;

/** In a process of its own, where only young collections take place: what they leave is V8's to collect with its old generation, 64 MB later. */
const written = `
  import { randomBytes } from 'node:crypto';
  import { Writable } from 'node:stream';
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  import { ArchiveWriter, deriveTenantKey, KeyRing, PlainArchiveWriter } from ${JSON.stringify(new URL('../../../dist/libs/archive/index.js', import.meta.url).href)};
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const [, codec, form] = process.argv;
  const destination = new Writable({ write: (chunk, encoding, done) => setImmediate(done) });
  const options = { codec, payloadType: 'mongodump' };
  const context = { tenant: 'tenant', backup: 'backup', label: 'label', createdAt: new Date(0).toISOString() };
  const tenantKey = deriveTenantKey(KeyRing.parse('test:' + Buffer.alloc(32, 7).toString('base64')).current, 'tenant');
  const writer = form === 'plain' ? new PlainArchiveWriter(destination, options) : new ArchiveWriter(destination, { ...options, keyId: 'test', tenantKey, context });
  await writer.writeFrame(-1, Buffer.from('prelude'));
  const payload = Buffer.alloc(1 << 20);
  for (let at = 0; at < payload.length; at += 16) randomBytes(4).copy(payload, at);
  const frame = async () => {
    await writer.writeFrame(0, payload);
    collect({ type: 'minor' });
  };
  for (let n = 0; n < 16; n += 1) await frame();
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 96; n += 1) await frame();
  console.log(process.memoryUsage().arrayBuffers - before);
`;
const leftBytes = 6 << 20;

describe('memory', () => {
  it.each([
    ['zstd', 'encrypted'],
    ['gzip', 'encrypted'],
    ['none', 'encrypted'],
    ['zstd', 'plain'],
  ])('writing frames leaves nothing to the old generation: %s, %s', async (codec, form) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--no-concurrent-array-buffer-sweeping', '--input-type=module', '--eval', written, codec, form]);
    expect(Number(stdout)).toBeLessThan(leftBytes);
  });

  it('stays flat while an archive larger than it is written and read', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const path = join(folder, 'large.enc');
    const destination = createWriteStream(path);
    const writer = new ArchiveWriter(destination, writerOptions({ codec: 'none' }));
    await writer.writeFrame(-1, Buffer.from('prelude'));
    const pool = [1, 2, 3, 4].map(() => randomFillSync(Buffer.alloc(frameBytes)));
    let heldByWriting = Infinity;
    const inFlight: Promise<void>[] = pool.map(() => Promise.resolve());
    for (let index = 0; index < frames; index += 1) {
      await inFlight[index % pool.length];
      inFlight[index % pool.length] = writer.writeFrame(0, pool[index % pool.length]!);
      if (index === frames - 8) heldByWriting = heldSince(before);
    }
    await Promise.all(inFlight);
    await writer.finish(manifestInput([{ name: 'a', kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), sum: '0'.repeat(16), indexes: 0 }]));
    destination.end();
    await finished(destination);

    const archive = await openArchive(await fileSource(path), { keys: testKeys, tenantId });
    let bytes = 0;
    let heldByReading = 0;
    for await (const chunk of archive.payload()) {
      bytes += chunk.length;
      if (heldByReading === 0 && bytes > (frames - 8) * frameBytes) heldByReading = heldSince(before);
    }
    await archive.close();
    expect(bytes).toBe(7 + frames * frameBytes);
    expect(heldByWriting).toBeLessThan(heldBytes);
    expect(heldByReading).toBeLessThan(heldBytes);
  });

  it('stays flat while a long compressed stream is read', async () => {
    const member = gzipSync(randomFillSync(Buffer.alloc(frameBytes)), { level: 0 });
    const before = process.memoryUsage().arrayBuffers;
    let taken = 0;
    let given = 0;
    let ahead = 0;
    let held = 0;
    const input = async function* (): AsyncGenerator<Buffer> {
      for (let index = 0; index < frames; index += 1) {
        taken += frameBytes;
        yield Buffer.from(member);
      }
    };
    for await (const chunk of decompressStream('gzip', input())) {
      given += chunk.length;
      ahead = Math.max(ahead, taken - given);
      if (held === 0 && given > (frames - 8) * frameBytes) held = heldSince(before);
    }
    expect(given).toBe(frames * frameBytes);
    expect(ahead).toBeLessThan(aheadBytes);
    expect(held).toBeLessThan(heldBytes);
  });
});
