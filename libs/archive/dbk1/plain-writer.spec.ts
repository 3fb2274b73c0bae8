import { describe, expect, it } from '@jest/globals';
import { asAppError } from '#errors';
import { createHash } from 'node:crypto';
import { Writable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { collectBytes, manifestInput, memoryDestination, smallPayload } from '../../../test/support/archives.js';
import { openPlainArchive } from '../plain.js';
import { scanPayload, verifyArchive, verifySelection } from '../scan.js';
import { selectPayload } from '../select.js';
import { bufferSource } from '../source.js';
import type { Codec } from './header.js';
import { decodeManifest, encodeManifest } from './manifest.js';
import { openManifestedArchive } from './plain-reader.js';
import { PlainArchiveWriter, type PlainArchiveSummary } from './plain-writer.js';

const small = smallPayload();

async function write(codec: Codec): Promise<{ readonly file: Buffer; readonly summary: PlainArchiveSummary }> {
  const destination = memoryDestination();
  const writer = new PlainArchiveWriter(destination.body, { codec, payloadType: 'mongodump' });
  await Promise.all(small.frames.map(([namespaceIndex, payload]) => writer.writeFrame(namespaceIndex, payload)));
  const summary = await writer.finish(manifestInput(small.namespaces));
  return { file: destination.bytes(), summary };
}

/** As it is read: from bytes that were kept somewhere else. */
async function open(file: Buffer, { manifest }: PlainArchiveSummary) {
  return openManifestedArchive(bufferSource(file), await decodeManifest(await encodeManifest(manifest)));
}

const codeOf = async (work: () => Promise<unknown>): Promise<string> => work().then(() => 'nothing', (error: unknown) => asAppError(error).code);

describe.each(['none', 'gzip', 'zstd'] as const)('an archive without encryption, with the codec %s', (codec) => {
  it('is the payload under its compression and nothing else', async () => {
    const { file, summary } = await write(codec);
    expect(summary).toMatchObject({ sizeBytes: file.length, sha256: createHash('sha256').update(file).digest('hex') });
    expect(await collectBytes((await openPlainArchive(bufferSource(file))).payload())).toEqual(small.payload);
    if (codec === 'gzip') expect(gunzipSync(file)).toEqual(small.payload);
    if (codec === 'none') expect(file).toEqual(small.payload);
  });

  it('is read by its manifest: whole, by its ends, and by collections', async () => {
    const { file, summary } = await write(codec);
    const archive = await open(file, summary);
    expect(archive.codec).toBe(codec);
    expect((await verifyArchive(archive)).namespaces).toEqual(small.namespaces);
    expect(await collectBytes(archive.compressed())).toEqual(file);
    expect(small.payload.subarray(0, (await archive.prelude()).length)).toEqual(await archive.prelude());
    const names = new Set([small.namespaces[0]!.name]);
    expect((await verifySelection(archive, names)).namespaces).toEqual([small.namespaces[0]]);
    const selected = selectPayload(bufferSource(small.payload).stream(), names);
    expect((await scanPayload(archive.selection(names))).namespaces).toEqual((await scanPayload(selected)).namespaces);
    expect(archive.selectionBytes(names)).toBeLessThan(file.length);
  });

  it('is refused with a byte changed, any end cut off, and with another manifest', async () => {
    const { file, summary } = await write(codec);
    for (let at = 0; at < file.length; at += 7) {
      const changed = Buffer.from(file);
      changed[at] = changed[at]! ^ 1;
      const code = await codeOf(async () => verifyArchive(await open(changed, summary)));
      // A bit that the compression does not use is the business of the file's SHA-256.
      if (code === 'nothing') expect(await collectBytes((await open(changed, summary)).payload())).toEqual(small.payload);
      else expect([at, code]).toEqual([at, expect.stringMatching(/^ARCHIVE_/)]);
    }
    for (const length of [0, 1, 7, file.length - 1]) expect(await codeOf(() => open(file.subarray(0, length), summary))).toBe('ARCHIVE_TRUNCATED');
    expect(await codeOf(() => open(Buffer.concat([file, Buffer.alloc(1)]), summary))).toBe('ARCHIVE_CORRUPT');
    const { manifest } = summary;
    expect(await codeOf(() => openManifestedArchive(bufferSource(Buffer.concat([Buffer.from('DBK1'), file.subarray(4)])), manifest))).toBe('ARCHIVE_CORRUPT');
    const others = manifest.namespaces.map((namespace, index) => (index === 0 ? { ...namespace, documents: namespace.documents + 1 } : namespace));
    expect(await codeOf(async () => verifyArchive(await openManifestedArchive(bufferSource(file), { ...manifest, namespaces: others })))).toBe('ARCHIVE_CORRUPT');
  });
});

it('passes the failure of its destination on', async () => {
  const body = new Writable({ write: (_chunk, _encoding, done) => done(new Error('full')) });
  const writer = new PlainArchiveWriter(body, { codec: 'none', payloadType: 'mongodump' });
  await writer.writeFrame(-1, small.payload).catch(() => undefined);
  await expect(writer.finish(manifestInput(small.namespaces))).rejects.toThrow('full');
});
