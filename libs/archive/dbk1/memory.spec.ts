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
const program = `
  import { randomBytes } from 'node:crypto';
  import { createWriteStream } from 'node:fs';
  import { finished } from 'node:stream/promises';
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  import { ArchiveWriter, deriveTenantKey, KeyRing, openArchive, openManifestedArchive, PlainArchiveWriter } from ${JSON.stringify(new URL('../../../dist/libs/archive/index.js', import.meta.url).href)};
  import { fileSource } from ${JSON.stringify(new URL('../../../dist/libs/archive/source.js', import.meta.url).href)};
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const [, codec, form, path] = process.argv;
  const keys = KeyRing.parse('test:' + Buffer.alloc(32, 7).toString('base64'));
  const namespaces = [{ name: 'a', kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), sum: '0'.repeat(16), indexes: 0 }];
  const about = {
    producer: { name: 'test', version: '1' }, tenant: { id: 'tenant', slug: 'slug', name: 'name' }, backup: { id: 'backup', label: 'label', trigger: 'MANUAL', scope: 'ALL', createdAt: new Date(0).toISOString() },
    engine: { name: 'mongodb', version: '6.0.5', featureCompatibility: '6.0' }, consistency: { level: 'snapshot', clusterTime: '1.1' }, namespaces,
  };
  const destination = createWriteStream(path);
  const options = { codec, payloadType: 'mongodump' };
  const context = { tenant: 'tenant', backup: 'backup', label: 'label', createdAt: about.backup.createdAt };
  const writer = form === 'plain' ? new PlainArchiveWriter(destination, options) : new ArchiveWriter(destination, { ...options, keyId: 'test', tenantKey: deriveTenantKey(keys.current, 'tenant'), context });
  await writer.writeFrame(-1, Buffer.from('prelude'));
  const payload = Buffer.alloc(1 << 20);
  for (let at = 0; at < payload.length; at += 16) randomBytes(4).copy(payload, at);
  const held = () => (collect({ type: 'minor' }), process.memoryUsage().arrayBuffers);
  let before = 0;
  for (let n = 0; n < 112; n += 1) {
    await writer.writeFrame(0, payload);
    if (held() < before || n === 16) before = held();
  }
  const written = held() - before;
  const { manifest } = await writer.finish(about);
  destination.end();
  await finished(destination);
  const source = await fileSource(path);
  const archive = form === 'plain' ? await openManifestedArchive(source, manifest) : await openArchive(source, { keys, tenantId: 'tenant' });
  let frames = 0;
  for await (const _ of archive.payload({ lent: true })) {
    frames += 1;
    // A piece of the file is read for several frames; the product collects every few megabytes.
    if (frames % 8 === 0 && (held() < before || frames === 16)) before = held();
  }
  console.log(JSON.stringify({ frames, written, read: held() - before }));
`;
const leftBytes = 6 << 20;

describe('memory', () => {
  it.each([
    ['zstd', 'encrypted'],
    ['gzip', 'encrypted'],
    ['none', 'encrypted'],
    ['zstd', 'plain'],
  ])('writing and reading frames leaves nothing to the old generation: %s, %s', async (codec, form) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--no-concurrent-array-buffer-sweeping', '--input-type=module', '--eval', program, codec, form, join(folder, `${codec}-${form}`)]);
    const { frames: count, written, read } = JSON.parse(stdout) as { readonly frames: number; readonly written: number; readonly read: number };
    expect(count).toBe(113);
    expect(written).toBeLessThan(leftBytes);
    expect(read).toBeLessThan(leftBytes);
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
