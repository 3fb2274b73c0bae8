import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { transformFile } from '@swc/core';
import { spawn, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { gunzipSync, zstdCompressSync } from 'node:zlib';
import { collectBytes, makeArchive, smallPayload, tenantId, testKeys, testKeyText } from '../../../test/support/archives.js';
import { binaryFixture, jsonFixture } from '../../../test/support/fixtures.js';
import { testMongo } from '../../../test/support/servers.js';
import type { Codec } from '../dbk1/header.js';
import { deriveTenantKey } from '../keys.js';
import { sealRecoveryKit } from '../recovery-kit.js';
import { run } from './run.js';

const folder = await mkdtemp(join(tmpdir(), 'holdfast-archive-cli-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const { payload, frames, namespaces } = smallPayload();
const otherKey = `k-here:${Buffer.alloc(32, 6).toString('base64')}`;
const environment = { BACKUP_ENCRYPTION_KEY: testKeyText };
let file: Buffer;
let path: string;

beforeAll(async () => {
  ({ file } = await makeArchive(frames, { segmentSize: 4096 }, namespaces));
  path = await store('a.gz.enc', file);
});

async function store(name: string, bytes: Buffer | string): Promise<string> {
  const target = join(folder, name);
  await writeFile(target, bytes);
  return target;
}

interface Outcome {
  readonly code: number;
  readonly output: Buffer;
  readonly errors: string;
}

async function command(args: readonly string[], { env = environment, input = Buffer.alloc(0) }: { readonly env?: Readonly<Record<string, string>>; readonly input?: Buffer } = {}): Promise<Outcome> {
  const [stdout, stderr] = [new PassThrough({ highWaterMark: 1 << 26 }), new PassThrough({ highWaterMark: 1 << 20 })];
  const code = await run(args, { env, stdin: Readable.from([input], { objectMode: false }), stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, output: await collectBytes(stdout), errors: (await collectBytes(stderr)).toString() };
}

describe('holdfast-archive', () => {
  it('explains itself, exit codes included', async () => {
    for (const args of [['--help'], ['decrypt', '-h']]) {
      const { code, output } = await command(args);
      expect(code).toBe(0);
      expect(output.toString()).toMatch(/Usage: holdfast-archive[^]*mongorestore[^]*Exit codes/);
    }
  });

  it.each([[[]], [['info']], [['nonsense', 'x']], [['info', 'a', 'b']], [['info', '--wrong', 'a']]])('refuses the command line %j', async (args) => {
    const { code, errors } = await command(args);
    expect(code).toBe(2);
    expect(errors).toMatch(/--help/);
  });

  it.each(['file', 'standard input'])('tells the header of a %s without any key, and says that nothing is verified', async (from) => {
    const { code, output } = await command(['info', from === 'file' ? path : '-'], { env: {}, input: file });
    expect(code).toBe(0);
    expect(output.toString()).toMatch(new RegExp(`Tenant +${tenantId}[^]*Backup +b-test[^]*nothing of this is verified`));
    const { output: machine } = await command(['info', '--json', from === 'file' ? path : '-'], { env: {}, input: file });
    expect(JSON.parse(machine.toString())).toMatchObject({ tenant: tenantId, backup: 'b-test', keyId: 'k-here', codec: 'gzip', isVerified: false });
  });

  it.each(['file', 'standard input'])('lists and verifies a %s', async (from) => {
    const name = from === 'file' ? path : '-';
    const listed = await command(['list', name], { input: file });
    expect([listed.code, listed.output.toString()]).toEqual([0, expect.stringMatching(/collection +40 .* orders\n/)]);
    expect(JSON.parse((await command(['list', '--json', name], { input: file })).output.toString())).toEqual(namespaces);
    const verified = await command(['verify', name], { input: file });
    expect([verified.code, verified.output.toString()]).toEqual([0, expect.stringContaining(`Verified: 3 collections, 80 documents, ${payload.length} bytes.`)]);
    expect(JSON.parse((await command(['verify', '--json', name], { input: file })).output.toString())).toMatchObject({ isVerified: true, namespaces });
  });

  it.each<Codec>(['none', 'gzip', 'zstd'])('decrypts and verifies codec %s, from a file and from standard input', async (codec) => {
    const archive = await makeArchive(frames, { codec }, namespaces);
    const stored = await store(`codec-${codec}.enc`, archive.file);
    const fromFile = await command(['decrypt', stored]);
    const fromInput = await command(['decrypt', '-'], { input: archive.file });
    expect([fromFile.code, fromInput.code]).toEqual([0, 0]);
    expect(fromInput.output.equals(fromFile.output)).toBe(true);
    if (codec === 'gzip') expect(gunzipSync(fromFile.output).equals(payload)).toBe(true);
    if (codec === 'none') expect(fromFile.output.equals(payload)).toBe(true);
    for (const name of [stored, '-']) expect((await command(['verify', name], { input: archive.file })).code).toBe(0);
  });

  it('takes keys from a file, the current one or an old one', async () => {
    const keyFile = await store('keys', `# current\n${otherKey.replace('k-here', 'newer')}\n\n${testKeyText}\n`);
    expect((await command(['verify', path, '--key-file', keyFile], { env: {} })).code).toBe(0);
    const env = { BACKUP_ENCRYPTION_KEY: otherKey.replace('k-here', 'newer'), BACKUP_ENCRYPTION_KEYS_OLD: testKeyText };
    expect((await command(['verify', path], { env })).code).toBe(0);
    const malformed = await store('bad-keys', `${testKeyText}\nsecret-nonsense\n`);
    const { code, errors } = await command(['verify', path, '--key-file', malformed]);
    expect([code, errors]).toEqual([3, expect.stringContaining('Line 2 of the key file')]);
    expect(errors).not.toContain('secret-nonsense');
  });

  it('opens the archives of a tenant with its recovery kit and passphrase, and no others', async () => {
    const current = testKeys.current!;
    const passphrase = 'correct horse battery staple';
    const kit = await store('kit.json', sealRecoveryKit({ tenant: { id: tenantId, slug: 'acme', name: 'Acme' }, keys: [{ id: current.id, tenantKey: deriveTenantKey(current, tenantId) }] }, passphrase));
    const env = { HOLDFAST_RECOVERY_PASSPHRASE: passphrase };
    expect((await command(['verify', path, '--tenant-key', kit], { env })).code).toBe(0);
    const passphraseFile = await store('passphrase', `${passphrase}\n`);
    expect((await command(['decrypt', path, '--tenant-key', kit, '--passphrase-file', passphraseFile], { env: {} })).output).toEqual((await command(['decrypt', path])).output);
    expect((await command(['verify', path, '--tenant-key', kit], { env: { HOLDFAST_RECOVERY_PASSPHRASE: 'another passphrase' } })).code).toBe(3);
    expect((await command(['verify', path, '--tenant-key', kit], { env: {} })).code).toBe(3);
    expect((await command(['verify', path, '--tenant-key', kit, '--key-file', kit], { env })).code).toBe(2);
    const other = await store('other.json', sealRecoveryKit({ tenant: { id: '99999999-2222-4333-8444-555555555555', slug: 'o', name: 'O' }, keys: [{ id: current.id, tenantKey: deriveTenantKey(current, tenantId) }] }, passphrase));
    expect((await command(['verify', path, '--tenant-key', other], { env })).code).toBe(3);
  });

  it.each(['file', 'standard input'])('verifies and lists what mongodump itself wrote, from a %s', async (from) => {
    const compressed = binaryFixture('mongodump/every-shape.archive.gz');
    const plain = gunzipSync(compressed);
    for (const [name, input] of [['dump.gz', compressed], ['dump.zst', zstdCompressSync(plain)], ['dump.archive', plain]] as const) {
      const dump = from === 'file' ? await store(name, input) : '-';
      const { code, output } = await command(['verify', dump], { env: {}, input });
      expect([code, output.toString()]).toEqual([0, expect.stringMatching(/Verified: 22 collections[^]*not encrypted/)]);
      expect((await command(['list', dump], { env: {}, input })).output.toString()).toContain('ünï-コレクション');
      const cut = input.subarray(0, -20);
      expect((await command(['verify', from === 'file' ? await store(`cut-${name}`, cut) : '-'], { env: {}, input: cut })).code).toBe(4);
      // decrypt and info are for archives that are encrypted.
      expect((await command(['info', dump], { env: {}, input })).code).toBe(6);
    }
  });

  it('writes names without control characters', async () => {
    const { file: odd } = await makeArchive([], { context: { tenant: tenantId, backup: 'b', label: '\u001b[31mred\u0007', createdAt: '' } });
    expect((await command(['info', '-'], { input: odd })).output.toString()).toContain('\\x1b[31mred\\x07');
  });

  describe.each(['file', 'standard input'])('each failure from a %s has its exit code', (from) => {
    const flipped = (at: number): Buffer => {
      const copy = Buffer.from(file);
      copy[at]! ^= 1;
      return copy;
    };
    const cases: [string, number, () => Buffer, Record<string, string>, string[]?][] = [
      ['no key', 3, () => file, {}],
      ['another key with the same id', 3, () => file, { BACKUP_ENCRYPTION_KEY: otherKey }],
      ['a key with another id', 3, () => file, { BACKUP_ENCRYPTION_KEY: testKeyText.replace('k-here', 'k-other') }],
      ['a truncated file', 4, () => file.subarray(0, -1), environment],
      ['an empty file', 4, () => Buffer.alloc(0), environment],
      ['a changed segment', 5, () => flipped(400), environment],
      ['appended bytes', 5, () => Buffer.concat([file, Buffer.from('x')]), environment],
      ['another kind of file', 6, () => Buffer.from('PK\u0003\u0004 some zip file'), environment],
      ['an unknown version', 6, () => flipped(4), environment],
      ['another tenant', 8, () => file, environment, ['--tenant', 'somebody-else']],
    ];
    it.each(cases)('%s', async (name, expected, bytes, env, more = []) => {
      const input = bytes();
      const target = from === 'file' ? await store(`${name}.bin`, input) : '-';
      for (const verb of ['decrypt', 'verify', 'list']) {
        // The segments are not read for a list when the trailer can be reached.
        if (verb === 'list' && name === 'a changed segment' && from === 'file') continue;
        const { code, errors } = await command([verb, target, ...more], { env, input });
        expect([verb, code]).toEqual([verb, expected]);
        for (const secret of Object.values(env)) expect(errors).not.toContain(secret.split(':')[1]);
      }
    });
  });

  it('reports a missing file, and a key file that is missing', async () => {
    expect((await command(['verify', join(folder, 'nowhere')])).code).toBe(1);
    expect((await command(['verify', path, '--key-file', join(folder, 'nowhere')])).code).toBe(1);
  });

  it('fails when its output closes early', async () => {
    const stdout = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, callback) => callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) });
    const stderr = new PassThrough();
    const code = await run(['decrypt', path], { env: environment, stdin: Readable.from([]), stdout, stderr });
    expect(code).toBe(9);
  });

  it('does not write binary data to a terminal', async () => {
    const stdout = Object.assign(new PassThrough(), { isTTY: true });
    expect(await run(['decrypt', path], { env: environment, stdin: Readable.from([]), stdout, stderr: new PassThrough() })).toBe(2);
  });
});

/** The command as a process, compiled here: `dist/` may be old or absent. */
describe('the holdfast-archive process', () => {
  let main: string;
  const root = resolve(import.meta.dirname, '../../..');

  beforeAll(async () => {
    for (const lib of ['errors', 'archive']) {
      for (const entry of await readdir(join(root, 'libs', lib), { recursive: true })) {
        if (!entry.endsWith('.ts') || entry.endsWith('.spec.ts')) continue;
        const { code } = await transformFile(join(root, 'libs', lib, entry), { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } });
        const target = join(folder, 'build/libs', lib, entry.replace(/\.ts$/, '.js'));
        await mkdir(dirname(target), { recursive: true });
        await writeFile(target, code);
      }
    }
    await writeFile(join(folder, 'build/package.json'), JSON.stringify({ type: 'module', imports: { '#errors': './libs/errors/index.js' } }));
    await symlink(join(root, 'node_modules'), join(folder, 'build/node_modules'));
    main = join(folder, 'build/libs/archive/cli/main.js');
    await chmod(main, 0o755);
  });

  const env = { ...process.env, ...environment };

  it('decrypts through a pipe into zcat, from a file and from standard input', () => {
    for (const line of ['"$NODE" "$MAIN" decrypt "$FILE" | zcat', 'cat "$FILE" | "$NODE" "$MAIN" decrypt - | zcat']) {
      const { status, stdout, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', line], { env: { ...env, NODE: process.execPath, MAIN: main, FILE: path }, maxBuffer: 1 << 26 });
      expect([status, stderr.toString()]).toEqual([0, '']);
      expect(stdout.equals(payload)).toBe(true);
    }
  });

  it('exits with a failure when the trailer is missing, though segments were written', () => {
    const { status, stdout } = spawnSync(process.execPath, [main, 'decrypt', '-'], { env, input: file.subarray(0, -1) });
    expect(status).toBe(4);
    expect(gunzipSync(stdout).equals(payload)).toBe(true);
  });

  it('ends by itself while standard input stays open', async () => {
    const child = spawn(process.execPath, [main, 'verify', '-'], { env: { ...env, BACKUP_ENCRYPTION_KEY: '' }, stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.on('error', () => undefined);
    child.stdin.write(Buffer.concat([file, Buffer.alloc(10_000)]));
    const code = await new Promise((done) => child.on('exit', done));
    child.stdin.destroy();
    expect(code).toBe(3);
  });

  it('ends with its own exit code when the reader of its output goes away', async () => {
    const big = await makeArchive([[-1, Buffer.alloc(8 << 20, 'x')]], { codec: 'none' });
    const target = await store('big.enc', big.file);
    const child = spawn(process.execPath, [main, 'decrypt', target], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.once('data', () => child.stdout.destroy());
    const errors = collectBytes(child.stderr);
    const code = await new Promise((done) => child.on('exit', done));
    expect(code).toBe(9);
    expect((await errors).toString()).toBe('holdfast-archive: the output was closed before everything was written\n');
  });

  it('reads a named pipe, which cannot be read at any place', async () => {
    const pipe = join(folder, 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    const { status, stdout } = spawnSync('bash', ['-c', 'cat "$FILE" > "$PIPE" & "$NODE" "$MAIN" verify "$PIPE"'], { env: { ...env, NODE: process.execPath, MAIN: main, FILE: path, PIPE: pipe } });
    expect([status, stdout.toString()]).toEqual([0, expect.stringContaining('Verified')]);
  });

  it('gives the real mongorestore an archive that it reads', async () => {
    const tool = findTool('mongorestore');
    if (tool === null) {
      process.stdout.write('skipped: mongorestore was not found on PATH or in MONGO_TOOLS_DIR\n');
      return;
    }
    const vector = jsonFixture<{ keyId: string; masterKeyBase64: string }>('dbk1/every-shape.json');
    const archive = await store('every-shape.gz.enc', binaryFixture('dbk1/every-shape.gz.enc'));
    const { uri } = await testMongo();
    // The promised pipe, into a database of its own.
    const line = '"$NODE" "$MAIN" decrypt "$FILE" | gunzip | "$TOOL" --archive --uri "$URI" --nsFrom "tenant_fixture.*" --nsTo "cli_$$.*"';
    const { status, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', line], {
      env: { ...process.env, BACKUP_ENCRYPTION_KEY: `${vector.keyId}:${vector.masterKeyBase64}`, NODE: process.execPath, MAIN: main, FILE: archive, TOOL: tool, URI: uri },
    });
    expect([status, stderr.toString()]).toEqual([0, expect.stringMatching(/\d+ document\(s\) restored successfully/)]);
  });
});

function findTool(name: string): string | null {
  const folders = [process.env['MONGO_TOOLS_DIR'] ?? '', ...(process.env['PATH'] ?? '').split(delimiter)].filter((one) => one !== '');
  return folders.map((one) => join(one, name)).find((candidate) => spawnSync(candidate, ['--version']).status === 0) ?? null;
}
