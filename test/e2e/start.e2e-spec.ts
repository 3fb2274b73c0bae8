import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identifyProcess, isRunning, type ProcessIdentity } from '../../scripts/bootstrap/process-identity.mjs';
import { endProcess } from '../../scripts/servers/end-process.ts';
import { postgresFolder } from '../../scripts/servers/postgres.ts';
import { freePort } from '../../scripts/servers/server-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** `npm start` from the point where everything is installed and built. */
class Start {
  output = '';
  readonly process: ChildProcess;
  readonly exit: Promise<number | null>;
  private readonly changed = new Set<() => void>();

  constructor(env: Record<string, string>) {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HOLDFAST_(?!CACHE_DIR)|DATABASE_URL|MONGODB_URI|BACKUP_|NODE_ENV|NODE_OPTIONS)/.test(name)));
    this.process = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(root, 'scripts', 'supervise.ts')], { cwd: root, env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const streams = [this.process.stdout, this.process.stderr].filter((stream) => stream !== null);
    for (const stream of streams) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
        for (const wake of this.changed) wake();
      });
    }
    // Not the event 'close': it never comes once the channel was closed from this side.
    this.exit = Promise.all([once(this.process, 'exit'), ...streams.map((stream) => once(stream, 'close'))]).then(([[code]]) => code as number | null);
    void this.exit.then(() => {
      for (const wake of this.changed) wake();
    });
  }

  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (this.process.exitCode !== null) throw new Error(`It ended without saying ${pattern.source}:\n${this.output}`);
      await new Promise<void>((wake) => {
        const once = () => {
          this.changed.delete(once);
          wake();
        };
        this.changed.add(once);
      });
    }
  }
}

interface Recorded extends ProcessIdentity {
  readonly name: string;
}

describe('npm start', () => {
  let folder: string;
  let env: Record<string, string>;
  const starts: Start[] = [];

  beforeAll(async () => {
    if (!existsSync(join(root, 'dist', 'src', 'main.js'))) throw new Error('The program is not built: npm run build');
    folder = await mkdtemp(join(tmpdir(), 'holdfast-start-'));
    // Neither is there, and as root nobody else may enter.
    await chmod(folder, 0o700);
    env = { HOLDFAST_DATA_DIR: join(folder, 'not', 'there'), HOLDFAST_PORT: String(await freePort()) };
  });

  afterAll(async () => {
    for (const { process: supervisor } of starts) supervisor.kill('SIGKILL');
    const left = await recorded().catch(() => []);
    for (const server of left) await endProcess(server, 'SIGKILL');
    await rm(postgresFolder(join(folder, 'not', 'there', 'postgres')), { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  });

  function start(more: Record<string, string> = {}): Start {
    const begun = new Start({ ...env, ...more });
    starts.push(begun);
    return begun;
  }

  async function recorded(): Promise<Recorded[]> {
    return (JSON.parse(await readFile(join(folder, 'not', 'there', 'running.json'), 'utf8')) as { servers: Recorded[] }).servers;
  }

  async function graphql<Data>(query: string, variables: Record<string, unknown>, token?: string): Promise<Data> {
    const response = await fetch(`http://127.0.0.1:${env['HOLDFAST_PORT']}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables }),
    });
    return ((await response.json()) as { data: Data }).data;
  }

  async function login(email: string, password: string): Promise<string> {
    const { login: payload } = await graphql<{ login: { accessToken: string } }>('mutation ($input: LoginInput!) { login(input: $input) { accessToken } }', { input: { email, password } });
    return payload.accessToken;
  }

  it('names every variable that production needs, in one message', async () => {
    const refused = start({ NODE_ENV: 'production' });
    expect(await refused.exit).toBe(1);
    for (const name of ['DATABASE_URL', 'HOLDFAST_SECRET_KEY', 'BACKUP_ENCRYPTION_KEY']) expect(refused.output).toContain(`- ${name} (or ${name}_FILE)`);
    expect(existsSync(join(folder, 'not'))).toBe(false);
  });

  it('lists what is wrong with the configuration and starts nothing', async () => {
    const refused = start({ HOLDFAST_LOG_LEVEL: 'loud', HOLDFAST_ROLE: 'both' });
    expect(await refused.exit).toBe(1);
    expect(refused.output).toMatch(/HOLDFAST_ROLE: must be[\s\S]*HOLDFAST_LOG_LEVEL: must be/);
    expect(existsSync(join(folder, 'not'))).toBe(false);
  });

  it('says in one line that the port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(Number(env['HOLDFAST_PORT']), '127.0.0.1', resolve));
    const refused = start();
    expect(await refused.exit).toBe(1);
    expect(refused.output.trim().split('\n')).toEqual([`holdfast: HOLDFAST_PORT: port ${env['HOLDFAST_PORT']} of 127.0.0.1 is taken by another program; stop it or set another port`]);
    other.close();
  });

  describe('with nothing but a data folder to come', () => {
    let first: Start;
    let credentials: readonly [email: string, password: string];

    beforeAll(async () => {
      first = start();
      const [, email = '', password = ''] = await first.says(/E-mail +(\S+)\n +Password +(\S+)[\s\S]*Ctrl-C/);
      credentials = [email, password];
    });

    it('prints where it is and whom it lets in, the demo workspace with a member of each role included', async () => {
      expect(first.output).toContain(`http://127.0.0.1:${env['HOLDFAST_PORT']}/graphql`);
      const { tenant } = await graphql<{ tenant: { name: string; database: { name: string; documents: string; error: string | null } } }>(
        'query { tenant(slug: "acme-trading") { name database { name documents error } } }',
        {},
        await login(...credentials),
      );
      expect(tenant).toMatchObject({ name: 'Acme Trading', database: { name: 'acme_trading', error: null } });
      expect(Number(tenant.database.documents)).toBeGreaterThan(5000);
      for (const role of ['OWNER', 'ADMIN', 'OPERATOR', 'RESTORER', 'VIEWER']) {
        const [, email = '', password = ''] = new RegExp(`${role} +(\\S+) +(\\S+)`).exec(first.output) ?? [];
        expect(await login(email, password)).toEqual(expect.any(String));
      }
    });

    it('lets the demo workspace be reset: the code comes by SMS into a file', async () => {
      const [, email = '', password = ''] = /OWNER +(\S+) +(\S+)/.exec(first.output) ?? [];
      const token = await login(email, password);
      const { tenant } = await graphql<{ tenant: { id: string } }>('{ tenant(slug: "acme-trading") { id } }', {}, token);
      const { resetBegin } = await graphql<{ resetBegin: { reset: { id: string } } }>('mutation ($id: ID!) { resetBegin(input: { tenantId: $id, reason: TESTING }) { reset { id } } }', { id: tenant.id }, token);
      const input = { resetId: resetBegin.reset.id, channel: 'SMS' };
      await graphql('mutation ($input: ResetSendCodeInput!) { resetSendCode(input: $input) { userErrors { code } } }', { input }, token);
      const [, outbox = ''] = /Codes by SMS are written to files: (\S+)/.exec(first.output) ?? [];
      const [file = ''] = await readdir(outbox);
      const [code = ''] = /\b\d{6}\b/.exec((await readFile(join(outbox, file), 'utf8')).split('\n\n')[1] ?? '') ?? [];
      const { resetVerifyCode } = await graphql<{ resetVerifyCode: { reset: { state: string } } }>('mutation ($input: ResetVerifyCodeInput!) { resetVerifyCode(input: $input) { reset { state } } }', { input: { ...input, code } }, token);
      expect(resetVerifyCode.reset.state).toBe('VERIFIED');
      await graphql('mutation ($id: ID!) { resetCancel(input: { resetId: $id }) { userErrors { code } } }', { id: resetBegin.reset.id }, token);
    });

    it('makes keys that only their owner may read, and says that the backup key must be kept', async () => {
      expect(first.output).toMatch(/A backup key was made: .*backup\.key\n.*Keep a copy/);
      for (const key of ['backup.key', 'secret.key', 'admin-password']) expect((await stat(join(folder, 'not', 'there', 'keys', key))).mode & 0o777).toBe(0o600);
    });

    it('tells a second start on the same data folder that it runs already', async () => {
      const second = start();
      expect(await second.exit).toBe(1);
      expect(second.output).toContain(`Holdfast runs already at http://127.0.0.1:${env['HOLDFAST_PORT']} (pid ${first.process.pid})`);
      expect((await recorded()).every((server) => isRunning(server))).toBe(true);
    });

    async function crash(name: string): Promise<void> {
      const crashed = (await recorded()).find((server) => server.name === name);
      process.kill(crashed?.pid ?? 0, 'SIGKILL');
      await first.says(new RegExp(`The ${name} was ended by SIGKILL; it is started again`));
      let next: Recorded | undefined;
      while (next === undefined || next.pid === crashed?.pid) {
        next = (await recorded()).find((server) => server.name === name);
        await new Promise((wake) => setTimeout(wake, 50));
      }
      expect(identifyProcess(next.pid)).not.toBeNull();
    }

    it('starts crashed servers again, and is in use again then', async () => {
      await Promise.all(['mongod', 'postgres'].map(crash));
      const lookUp = async () => graphql<{ tenant: { database: { error: string | null } } | null }>('query { tenant(slug: "acme-trading") { database { error } } }', {}, await login(...credentials)).catch(() => ({ tenant: null }));
      let answer = await lookUp();
      while (answer.tenant === null || answer.tenant.database.error !== null) {
        await new Promise((wake) => setTimeout(wake, 50));
        answer = await lookUp();
      }
    });

    it('starts a crashed worker again', () => crash('worker'));

    it('stops what a start that was killed has left, keeps its data and credentials, and stops everything at the end', async () => {
      const left = await recorded();
      expect(left.map(({ name }) => name).sort()).toEqual(['api', 'mongod', 'postgres', 'worker']);
      first.process.kill('SIGKILL');
      await first.exit;
      expect(left.some((server) => isRunning(server))).toBe(true);

      const second = start();
      const [, email, password] = await second.says(/E-mail +(\S+)\n +Password +(\S+)[\s\S]*Ctrl-C/);
      expect(second.output).toMatch(/Stopped what an earlier start had left running: api, worker, mongod, postgres/);
      expect([email, password]).toEqual(credentials);
      expect(second.output).not.toContain('A backup key was made');
      expect(left.filter((server) => isRunning(server))).toEqual([]);

      const own = await recorded();
      second.process.kill('SIGINT');
      expect(await second.exit).toBe(0);
      expect(own.filter((server) => isRunning(server))).toEqual([]);
      expect(existsSync(join(folder, 'not', 'there', 'running.json'))).toBe(false);
    });

    it('stops everything when the process that started it is killed, and leaves no key where none is wanted', async () => {
      const start3 = start({ BACKUP_ENCRYPTION_KEY: '' });
      await start3.says(/BACKUP_ENCRYPTION_KEY is empty: no backup and no restore can start\.[\s\S]*Ctrl-C/);
      const own = await recorded();
      // The channel closes as it does when its other end is killed.
      start3.process.disconnect();
      await start3.exit;
      expect(own.filter((server) => isRunning(server))).toEqual([]);
    });
  });
});
