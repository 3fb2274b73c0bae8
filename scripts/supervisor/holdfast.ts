import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findMongod, MongodMissing } from '../servers/find-mongod.ts';
import { initiate, Mongod, mongodLog } from '../servers/mongod.ts';
import { EmbeddedPostgres, postgresLog } from '../servers/postgres.ts';
import { freePort, isPortFree } from '../servers/server-process.ts';
import { GeneratedSecrets } from './generated-secrets.ts';
import { type EmbeddedServer, KeptServer } from './kept-server.ts';
import { NodeChild } from './node-child.ts';
import { RunRecord } from './run-record.ts';
import { type Settings, StartError } from './settings.ts';

const mainFile = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const replSet = 'rs0';

export interface Running {
  readonly url: string;
  readonly admin: { readonly email: string; readonly password: string } | null;
  /** The server of the demo workspace; null where the demo is refused. */
  readonly demoMongoUri: string | null;
  /** What a person has to know once, such as where a new key lies. */
  readonly notices: readonly string[];
}

/**
 * Holdfast on one machine: embedded servers where none are given, one process for the API and one for the worker.
 * `stop` stops all that `start` started, however far it came, in the order in which they need each other.
 */
export class Holdfast {
  private readonly settings: Settings;
  private readonly env: Readonly<Record<string, string | undefined>>;
  private readonly say: (line: string) => void;
  private readonly record: RunRecord;
  private readonly stops: (() => Promise<void>)[] = [];
  private stopped: Promise<void> | null = null;

  constructor(settings: Settings, env: Readonly<Record<string, string | undefined>>, say: (line: string) => void) {
    this.settings = settings;
    this.env = env;
    this.say = say;
    this.record = new RunRecord(settings.values.HOLDFAST_DATA_DIR, this.url);
  }

  async start(): Promise<Running> {
    const { HOLDFAST_DATA_DIR: dataDir, NODE_ENV } = this.settings.values;
    await mkdir(join(dataDir, 'logs'), { recursive: true });
    const other = this.record.other();
    if (other !== null) throw new StartError(`Holdfast runs already at ${other.url} (pid ${other.pid}) with the data folder ${dataDir}; stop it first, or set HOLDFAST_DATA_DIR and HOLDFAST_PORT`);
    const left = await this.record.stopLeftovers();
    if (left.length > 0) this.say(`Stopped what an earlier start had left running: ${left.join(', ')}`);
    await this.requireFreePort();
    this.record.begin();
    this.stops.push(() => Promise.resolve(this.record.end()));

    const notices: string[] = [];
    const [databaseUrl, mongoUri] = await Promise.all([this.startPostgres(), NODE_ENV === 'production' ? null : this.startMongo()]);
    const { env: secrets, admin } = await this.provideSecrets(notices);
    const env = { ...this.env, ...secrets, ...(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl }), HOLDFAST_PUBLIC_URL: this.settings.values.HOLDFAST_PUBLIC_URL ?? this.url };
    await this.startChildren(env);
    return { url: this.url, admin, demoMongoUri: mongoUri, notices };
  }

  /** Safe to call more than once, and while `start` is still under way. */
  stop(): Promise<void> {
    this.stopped ??= (async () => {
      for (let next = this.stops.pop(); next !== undefined; next = this.stops.pop()) await next();
    })();
    return this.stopped;
  }

  private get url(): string {
    const { HOLDFAST_HOST: host, HOLDFAST_PORT: port } = this.settings.values;
    const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
    return `http://${reachable}:${port}`;
  }

  private async requireFreePort(): Promise<void> {
    const { HOLDFAST_HOST: host, HOLDFAST_PORT: port } = this.settings.values;
    if (!(await isPortFree(port, host))) throw new StartError(`HOLDFAST_PORT: port ${port} of ${host} is taken by another program; stop it or set another port`);
  }

  private async startPostgres(): Promise<string | null> {
    if (this.settings.given.has('DATABASE_URL')) return null;
    const dataDir = join(this.settings.values.HOLDFAST_DATA_DIR, 'postgres');
    const server = await this.startServer('postgres', postgresLog(dataDir), (port) => EmbeddedPostgres.start({ dataDir, ...(port === undefined ? {} : { port }) }));
    return server.ensureDatabase('holdfast');
  }

  private async startMongo(): Promise<string> {
    const { MONGODB_URI, HOLDFAST_DATA_DIR, HOLDFAST_CACHE_DIR } = this.settings.values;
    if (MONGODB_URI !== undefined) return MONGODB_URI;
    const dataDir = join(HOLDFAST_DATA_DIR, 'mongod');
    const binary = await findMongod({ env: this.env, cacheDir: HOLDFAST_CACHE_DIR, say: this.say }).catch((error: unknown) => {
      throw error instanceof MongodMissing ? new StartError(error.message, { cause: error }) : error;
    });
    // The same port as last time where it is free: the demo workspace's target names it.
    const portFile = join(HOLDFAST_DATA_DIR, 'mongod-port');
    const last = Number((await readFile(portFile, 'utf8').catch(() => '')).trim());
    const server = await this.startServer('mongod', mongodLog(dataDir), (port = last > 0 ? last : undefined) => Mongod.start({ binary, dataDir, replSet, ...(port === undefined ? {} : { port }) }));
    await writeFile(portFile, `${server.port}\n`);
    await initiate(replSet, [server]);
    return `mongodb://${server.address}/?replicaSet=${replSet}`;
  }

  private startServer<Server extends EmbeddedServer>(name: string, logFile: string, start: (port: number | undefined) => Promise<Server>): Promise<Server> {
    const kept = new KeptServer({ name, logFile, start, onStart: (identity) => this.record.add(name, identity), say: this.say });
    this.beforeStop(() => kept.stop());
    return kept.start();
  }

  private async provideSecrets(notices: string[]): Promise<{ env: Record<string, string>; admin: Running['admin'] }> {
    const { values, given } = this.settings;
    const secrets = new GeneratedSecrets(values.HOLDFAST_DATA_DIR);
    const env: Record<string, string> = {};
    // Where nobody can send anything, a reset would want a code that never comes.
    if (!given.has('HOLDFAST_SMS_URL') && values.NODE_ENV !== 'production') {
      env['HOLDFAST_SMS_URL'] = 'outbox:';
      notices.push(`Codes by SMS are written to files: ${join(values.HOLDFAST_DATA_DIR, 'outbox')}`);
    }
    if (!given.has('HOLDFAST_SECRET_KEY')) env['HOLDFAST_SECRET_KEY_FILE'] = (await secrets.key('secret.key')).path;
    if (!given.has('BACKUP_ENCRYPTION_KEY')) {
      const key = await secrets.key('backup.key');
      env['BACKUP_ENCRYPTION_KEY_FILE'] = key.path;
      if (key.fresh) notices.push(`A backup key was made: ${key.path}\nKeep a copy of it elsewhere. Without it no archive can ever be opened again.`);
    } else if (values.BACKUP_ENCRYPTION_KEY === '') {
      notices.push('BACKUP_ENCRYPTION_KEY is empty: no backup and no restore can start.');
    }
    if (given.has('HOLDFAST_ADMIN_EMAIL') || given.has('HOLDFAST_ADMIN_PASSWORD')) {
      return { env, admin: { email: values.HOLDFAST_ADMIN_EMAIL ?? '', password: values.HOLDFAST_ADMIN_PASSWORD ?? '' } };
    }
    if (values.NODE_ENV === 'production') {
      notices.push('HOLDFAST_ADMIN_EMAIL and HOLDFAST_ADMIN_PASSWORD are not set: no administrator is made or updated.');
      return { env, admin: null };
    }
    const password = await secrets.password('admin-password');
    const admin = { email: 'admin@holdfast.example', password: await secrets.read(password) };
    env['HOLDFAST_ADMIN_EMAIL'] = admin.email;
    env['HOLDFAST_ADMIN_PASSWORD_FILE'] = password.path;
    return { env, admin };
  }

  private async startChildren(env: Readonly<Record<string, string | undefined>>): Promise<void> {
    const { HOLDFAST_DATA_DIR: dataDir, HOLDFAST_ROLE: role } = this.settings.values;
    if (!existsSync(mainFile)) throw new StartError('The program is not built; run: npm start');
    const names = role === 'all' ? (['api', 'worker'] as const) : ([role] as const);
    const children = await Promise.all(
      names.map(async (name) => {
        // The worker's own door, for its health alone, must not be the API's.
        const port = name === 'api' || role === 'worker' ? this.settings.values.HOLDFAST_PORT : await freePort();
        const host = name === 'api' || role === 'worker' ? this.settings.values.HOLDFAST_HOST : '127.0.0.1';
        const door = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
        return new NodeChild({
          name,
          args: ['--enable-source-maps', mainFile],
          env: { ...env, HOLDFAST_ROLE: name, HOLDFAST_HOST: host, HOLDFAST_PORT: String(port) },
          logFile: join(dataDir, 'logs', `${name}.log`),
          readyUrl: `http://${door}:${port}/readyz`,
          onStart: (identity) => this.record.add(name, identity),
          say: this.say,
        });
      }),
    );
    this.beforeStop(async () => void (await Promise.all(children.map((child) => child.stop()))));
    await Promise.all(children.map((child) => child.start()));
    await chmod(join(dataDir, 'logs'), 0o700);
  }

  /** What starts while everything is being stopped is stopped at once. */
  private beforeStop(stop: () => Promise<void>): void {
    this.stops.push(stop);
    if (this.stopped === null) return;
    void stop();
    throw new StartError('Stopped while starting');
  }
}
