import { AppError, type ErrorCode } from '#errors';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { decompressStream } from '../dbk1/codec.js';
import type { ArchiveHeader } from '../dbk1/header.js';
import { readArchiveHeader } from '../dbk1/layout.js';
import { openArchive, type OpenArchive } from '../dbk1/reader.js';
import { StreamedArchive } from '../dbk1/stream-reader.js';
import type { OpenOptions } from '../dbk1/open.js';
import { KeyRing } from '../keys.js';
import { openRecoveryKit } from '../recovery-kit.js';
import { openPlainArchive, sniffArchive, streamPlainPayload } from '../plain.js';
import { compareWithManifest, scanPayload, verifyArchive } from '../scan.js';
import { fileSource, type ArchiveSource } from '../source.js';
import { describe, json, printable, table, verification, verified } from './output.js';

export interface CliStreams {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
}

const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  key: 3,
  truncated: 4,
  corrupt: 5,
  unsupported: 6,
  tooLarge: 7,
  foreign: 8,
  outputClosed: 9,
} as const;

const exitCodeOf: Partial<Record<ErrorCode, number>> = {
  ENCRYPTION_KEY_MISSING: exitCodes.key,
  KEY_UNKNOWN: exitCodes.key,
  KEY_MISMATCH: exitCodes.key,
  ARCHIVE_TRUNCATED: exitCodes.truncated,
  ARCHIVE_CORRUPT: exitCodes.corrupt,
  ARCHIVE_UNSUPPORTED: exitCodes.unsupported,
  ARCHIVE_TOO_LARGE: exitCodes.tooLarge,
  ARCHIVE_FOREIGN: exitCodes.foreign,
};

const help = `Usage: holdfast-archive <command> <file> [options]

Commands
  info      Say what the archive is, from its header alone: needs no key, proves nothing
  list      List the collections that the archive holds
  verify    Read everything and compare it with the manifest
  decrypt   Write the compressed stream to standard output:
            holdfast-archive decrypt f.gz.enc | gunzip | mongorestore --archive

<file> is an archive of Holdfast, or - for standard input. verify and list also
read what mongodump --archive wrote: as it is, or compressed with gzip or zstd.
The first bytes say what a file is, not its name.

Options
  --key-file <path>  Keys from a file, an entry a line, instead of the environment
  --tenant-key <path>
                     A tenant's recovery kit instead of the keys of the installation;
                     its passphrase is HOLDFAST_RECOVERY_PASSPHRASE, or in
  --passphrase-file <path>
  --tenant <id>      Refuse the archive unless it belongs to this tenant
  --json             Machine-readable output (info, list, verify)
  --help             This text

Keys are <base64 of 32 bytes> or <id>:<base64>, from BACKUP_ENCRYPTION_KEY and,
separated by commas, BACKUP_ENCRYPTION_KEYS_OLD.

Exit codes
  0  done; for decrypt, list and verify of an encrypted archive: its trailer was
     authentic
  1  something else failed, such as reading the file
  2  wrong usage
  3  no key, an unknown key or the wrong key
  4  the archive is incomplete
  5  the archive is damaged
  6  not an archive that this program reads
  7  the archive holds more than it declares or than the limits allow
  8  the archive belongs to another tenant
  9  the output was closed before everything was written
What decrypt has written is only good when it exits with 0.
`;

class UsageError extends Error {}

type Command = 'info' | 'list' | 'verify' | 'decrypt';
const commands: readonly Command[] = ['info', 'list', 'verify', 'decrypt'];

interface Invocation {
  readonly command: Command;
  readonly file: string;
  readonly keyFile: string | undefined;
  readonly tenantKey: string | undefined;
  readonly passphraseFile: string | undefined;
  readonly tenant: string | undefined;
  readonly isJson: boolean;
}

/** The command line without its process; returns the exit code. */
export async function run(argv: readonly string[], streams: CliStreams): Promise<number> {
  try {
    const invocation = parseInvocation(argv);
    if (invocation === null) {
      await print(streams, help);
      return exitCodes.done;
    }
    await execute(invocation, streams);
    return exitCodes.done;
  } catch (error) {
    return report(error, streams.stderr);
  }
}

function parseInvocation(argv: readonly string[]): Invocation | null {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { 'key-file': { type: 'string' }, 'tenant-key': { type: 'string' }, 'passphrase-file': { type: 'string' }, tenant: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help === true) return null;
  const [name, file, ...more] = positionals;
  if (name === undefined) throw new UsageError('No command given');
  const command = commands.find((candidate) => candidate === name);
  if (command === undefined) throw new UsageError(`Unknown command: ${name}`);
  if (file === undefined) throw new UsageError('No file given; use - for standard input');
  if (more.length > 0) throw new UsageError('More than one file given');
  if (values['key-file'] !== undefined && values['tenant-key'] !== undefined) throw new UsageError('Give either --key-file or --tenant-key');
  return { command, file, keyFile: values['key-file'], tenantKey: values['tenant-key'], passphraseFile: values['passphrase-file'], tenant: values.tenant, isJson: values.json === true };
}

async function execute(invocation: Invocation, streams: CliStreams): Promise<void> {
  const { command, file } = invocation;
  if (command === 'decrypt' && streams.stdout.isTTY === true) throw new UsageError('decrypt writes binary data: send its output to a file or a pipe');
  if (file === '-') return executeOnStream(invocation, streams, streams.stdin);
  // A pipe or device cannot be read at any place.
  if (!(await stat(file)).isFile()) return executeOnStream(invocation, streams, createReadStream(file));
  const source = await fileSource(file);
  try {
    await executeOnFile(invocation, streams, source);
  } finally {
    await source.close();
  }
}

async function executeOnFile(invocation: Invocation, streams: CliStreams, source: ArchiveSource): Promise<void> {
  const { command, isJson } = invocation;
  const format = sniffArchive(await source.read(0, Math.min(source.sizeBytes, 8)));
  if (format !== 'dbk1' && format !== 'unknown' && (command === 'verify' || command === 'list')) {
    return scanPlain(invocation, streams, (await openPlainArchive(source)).payload());
  }
  const header = await readArchiveHeader(source);
  if (command === 'info') return print(streams, describe(header, source.sizeBytes, isJson));
  const archive = await openArchive(source, await openOptions(invocation, streams, header));
  switch (command) {
    case 'list':
      return print(streams, isJson ? json(archive.manifest.namespaces) : table(archive.manifest.namespaces));
    case 'verify':
      await verifyWhole(archive);
      return print(streams, verification(archive.manifest, isJson));
    case 'decrypt':
      return pipeline(archive.compressed(), streams.stdout, { end: false });
  }
}

async function executeOnStream(invocation: Invocation, streams: CliStreams, stream: AsyncIterable<Buffer>): Promise<void> {
  const chunks = stream[Symbol.asyncIterator]();
  try {
    let start = Buffer.alloc(0);
    while (start.length < 8) {
      const next = await chunks.next();
      if (next.done === true) break;
      start = Buffer.concat([start, next.value]);
    }
    const format = sniffArchive(start);
    const isPlain = format === 'gzip' || format === 'zstd' || format === 'mongodump';
    if (isPlain && (invocation.command === 'verify' || invocation.command === 'list')) await scanPlain(invocation, streams, streamPlainPayload(format === 'mongodump' ? 'none' : format, rejoin(start, chunks)));
    else await executeOnSealed(invocation, streams, rejoin(start, chunks));
  } finally {
    await chunks.return?.();
  }
}

/** Chunk by chunk, as they come: whoever writes a pipe may keep it open. */
async function* rejoin(start: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield start;
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
}

async function executeOnSealed(invocation: Invocation, streams: CliStreams, input: AsyncIterable<Buffer>): Promise<void> {
  const { command, isJson } = invocation;
  const archive = await StreamedArchive.begin(input);
  const { header } = archive;
  try {
    if (command === 'info') return await print(streams, describe(header, null, isJson));
    const compressed = archive.compressed(await openOptions(invocation, streams, header));
    switch (command) {
      case 'decrypt':
        return await pipeline(compressed, streams.stdout, { end: false });
      case 'list':
        // The list stands in the trailer, behind everything.
        for await (const segment of compressed) void segment;
        return await print(streams, isJson ? json(archive.manifest.namespaces) : table(archive.manifest.namespaces));
      case 'verify':
        await verifyStreamed(archive, compressed);
        return await print(streams, verification(archive.manifest, isJson));
    }
  } finally {
    await archive.close();
  }
}

/** What the public tools wrote: only the payload tells what it holds. */
async function scanPlain({ command, isJson }: Invocation, streams: CliStreams, payload: AsyncIterable<Buffer>): Promise<void> {
  const { header, namespaces, bytes } = await scanPayload(payload);
  await print(streams, isJson ? json({ serverVersion: header.serverVersion, bytes, namespaces }) : command === 'list' ? table(namespaces) : `${verified(namespaces, bytes)}\nThe archive is not encrypted.\n`);
}

async function verifyWhole(archive: OpenArchive): Promise<void> {
  if (archive.header.payloadType === 'mongodump') await verifyArchive(archive);
  else for await (const chunk of archive.payload()) void chunk;
}

async function verifyStreamed(archive: StreamedArchive, compressed: AsyncIterable<Buffer>): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  const payload = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of decompressStream(archive.header.codec, compressed)) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  if (archive.header.payloadType === 'mongodump') {
    const result = await scanPayload(payload());
    compareWithManifest(result, archive.manifest);
  } else {
    for await (const chunk of payload()) void chunk;
  }
  const { payload: promised } = archive.manifest;
  if (bytes !== promised.bytes || hash.digest('hex') !== promised.sha256) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: its payload differs from the manifest');
}

async function openOptions({ keyFile, tenantKey, passphraseFile, tenant }: Invocation, { env }: CliStreams, header: ArchiveHeader): Promise<OpenOptions> {
  const tenantId = tenant ?? header.context.tenant;
  if (tenantKey !== undefined) return { keys: openRecoveryKit(await readFile(tenantKey, 'utf8'), await passphraseOf(passphraseFile, env)), tenantId };
  const keys = keyFile === undefined ? KeyRing.parse(env['BACKUP_ENCRYPTION_KEY'], env['BACKUP_ENCRYPTION_KEYS_OLD']) : KeyRing.parseFile(await readFile(keyFile, 'utf8'));
  if (keys.isEmpty) throw new AppError('ENCRYPTION_KEY_MISSING', 'No key given: set BACKUP_ENCRYPTION_KEY or use --key-file');
  return { keys, tenantId };
}

async function passphraseOf(file: string | undefined, env: CliStreams['env']): Promise<string> {
  const passphrase = file === undefined ? env['HOLDFAST_RECOVERY_PASSPHRASE'] : (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  if (passphrase === undefined || passphrase === '') throw new AppError('ENCRYPTION_KEY_MISSING', 'No passphrase given: set HOLDFAST_RECOVERY_PASSPHRASE or use --passphrase-file');
  return passphrase;
}

async function print({ stdout }: CliStreams, text: string): Promise<void> {
  await pipeline([Buffer.from(text)], stdout, { end: false });
}

function report(error: unknown, stderr: Writable): number {
  if (error instanceof UsageError) {
    stderr.write(`holdfast-archive: ${error.message}\nTry holdfast-archive --help\n`);
    return exitCodes.usage;
  }
  if (error instanceof AppError) {
    stderr.write(`holdfast-archive: ${error.code}: ${printable(error.message)}\n  ${error.hint}\n`);
    return exitCodeOf[error.code] ?? exitCodes.failed;
  }
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED') {
    stderr.write('holdfast-archive: the output was closed before everything was written\n');
    return exitCodes.outputClosed;
  }
  stderr.write(`holdfast-archive: ${printable(String(message ?? error))}\n`);
  return exitCodes.failed;
}
