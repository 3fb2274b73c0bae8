import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { EmbeddedPostgres, packagedBinaries, postgresFolder } from './postgres.ts';

const isRoot = process.getuid?.() === 0;

async function select(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows[0];
  } finally {
    await client.end();
  }
}

describe('the embedded PostgreSQL', () => {
  let folder: string;
  let server: EmbeddedPostgres | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-pg-'));
    await chmod(folder, 0o755);
  });
  afterEach(async () => {
    await server?.stop();
    if (server !== undefined) await rm(server.folder, { recursive: true, force: true });
    server = undefined;
    await rm(folder, { recursive: true });
  });

  it('makes a data folder that does not exist, and finds its data, port and password again', async () => {
    const dataDir = join(folder, 'not', 'there', 'yet');
    server = await EmbeddedPostgres.start({ dataDir });
    const first = { url: server.url(), port: server.port };
    await select(await server.ensureDatabase('holdfast'), 'CREATE TABLE kept AS SELECT 1 AS n');
    await server.stop();
    server = await EmbeddedPostgres.start({ dataDir, port: first.port });
    expect(server.url()).toBe(first.url);
    expect(await select(await server.ensureDatabase('holdfast'), 'SELECT n FROM kept')).toEqual({ n: 1 });
    expect((await stat(join(server.folder, 'password'))).mode & 0o777).toBe(0o600);
  });

  it('lets nobody in without the password', async () => {
    server = await EmbeddedPostgres.start({ dataDir: join(folder, 'data'), fast: true });
    await expect(select(server.url().replace(/:[^:@/]+@/, ':wrong@'), 'SELECT 1')).rejects.toThrow(/password authentication failed/);
  });

  it.each([
    ['the data folder', 'data'],
    ['the whole clone, binaries included', 'clone'],
  ])('starts as root below a folder of mode 700: %s', async (_what, kind) => {
    if (!isRoot) {
      process.stderr.write('Not tested here: only as root does PostgreSQL run as another user\n');
      return;
    }
    const closed = join(folder, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const dataDir = join(closed, '.holdfast', 'postgres');
    const binaries = kind === 'clone' ? await closedBinaries(closed) : undefined;
    server = await EmbeddedPostgres.start({ dataDir, fast: true, ...(binaries === undefined ? {} : { binaries }) });
    expect(server.folder).toBe(postgresFolder(dataDir));
    expect(server.folder.startsWith(folder)).toBe(false);
    expect(await select(server.url(), 'SELECT 1 AS n')).toEqual({ n: 1 });
    const { uid, mode } = await stat(server.folder);
    expect(uid).not.toBe(0);
    expect(mode & 0o777).toBe(0o700);
    const running = await readFile(`/proc/${server.identity.pid}/status`, 'utf8');
    expect(running).toMatch(new RegExp(`^Uid:\\s+${uid}\\s`, 'm'));
    expect(await readFile(`/proc/${server.identity.pid}/cmdline`, 'utf8')).not.toContain(closed);
  });

  /** The package as it lies in a clone that nobody else may enter: a copy, reached by a closed path. */
  async function closedBinaries(closed: string): Promise<string> {
    const copy = join(closed, 'node_modules', 'native');
    await cp(packagedBinaries(), copy, { recursive: true, verbatimSymlinks: true });
    await cp(join(packagedBinaries(), '..', 'package.json'), join(closed, 'node_modules', 'package.json'));
    return copy;
  }
});
