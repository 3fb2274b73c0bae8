import { randomBytes } from 'node:crypto';
import { mkdtemp, chmod } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { MongoClient, MongoServerError } from 'mongodb';
import pg from 'pg';
import { initiate, Mongod, type MongodOptions, writeKeyFile } from '../../scripts/servers/mongod.ts';
import { EmbeddedPostgres } from '../../scripts/servers/postgres.ts';
import { noteServer } from './run-folder.ts';

/** A fresh, empty PostgreSQL database on the server that all spec files share. */
export async function testDatabaseUrl(): Promise<string> {
  const server = new URL(await shared('postgres'));
  const name = `test_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: server.href });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  server.pathname = `/${name}`;
  return server.href;
}

export interface TestMongo {
  /** A replica set of one, shared by all spec files, with test commands enabled: do not stop it or set fail points on it that other specs would meet. */
  readonly uri: string;
  /** A name that no other spec uses; the database does not exist yet. */
  readonly database: string;
}

export async function testMongo(): Promise<TestMongo> {
  return { uri: await shared('mongo'), database: `test_${randomBytes(6).toString('hex')}` };
}

/** The mongod binary that the tests run. */
function mongodBinary(): Promise<string> {
  return shared('mongod');
}

export interface OwnMongodOptions {
  /** Name of the replica set (`rs0`), or false for a server that stands alone. */
  readonly replSet?: string | false;
  /** Makes the user `root` (password `root-password`) and asks every client to log in. */
  readonly auth?: boolean;
  readonly members?: number;
  readonly args?: readonly string[];
}

/** A mongod, or a replica set, of the test's own. It may be killed; the end of the run stops it in any case. */
export class OwnMongod {
  /** Names every member and, with `auth`, holds the credentials of `root`. */
  readonly uri: string;
  private readonly options: readonly MongodOptions[];
  private readonly servers: Mongod[];

  private constructor(uri: string, options: readonly MongodOptions[], servers: Mongod[]) {
    this.uri = uri;
    this.options = options;
    this.servers = servers;
  }

  static async start({ replSet = 'rs0', auth = false, members = 1, args = [] }: OwnMongodOptions): Promise<OwnMongod> {
    const folder = await mkdtemp(join(runFolder(), 'mongod-'));
    const keyFile = join(folder, 'key');
    if (auth) await writeKeyFile(keyFile);
    const authArgs = !auth ? [] : replSet === false ? ['--auth'] : ['--keyFile', keyFile];
    const plans = Array.from({ length: members }, (_, index): MongodOptions => ({
      binary: '',
      dataDir: join(folder, String(index)),
      args: ['--setParameter', 'enableTestCommands=1', ...authArgs, ...args],
      ...(replSet === false ? {} : { replSet }),
    }));
    const binary = await mongodBinary();
    const servers: Mongod[] = [];
    for (const plan of plans) servers.push(await startNoted({ ...plan, binary }));
    if (replSet !== false) await initiate(replSet, servers);
    if (auth) await createRoot(servers[0]);
    const hosts = servers.map((server) => server.address).join(',');
    const query = [...(replSet === false ? [] : [`replicaSet=${replSet}`]), ...(auth ? ['authSource=admin'] : [])].join('&');
    const options = plans.map((plan, index) => ({ ...plan, binary, port: servers[index]?.port ?? 0 }));
    return new OwnMongod(`mongodb://${auth ? `${root.username}:${root.password}@` : ''}${hosts}/${query === '' ? '' : `?${query}`}`, options, servers);
  }

  port(member = 0): number {
    return this.member(member).port;
  }

  /** Resolves when the process has ended, or, for a signal that does not end it (SIGSTOP, SIGCONT), at once. */
  async kill(signal: NodeJS.Signals = 'SIGKILL', member = 0): Promise<void> {
    const server = this.member(member);
    server.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await server.exited;
  }

  /** On the same port and data; stops it first if it runs. Resolves when it answers, and as a set of one, accepts writes. */
  async restart(member = 0): Promise<void> {
    await this.member(member).stop();
    const options = this.options[member];
    if (options === undefined) throw new Error(`There is no member ${member}`);
    const server = await startNoted(options);
    this.servers[member] = server;
    if (this.servers.length > 1 || options.replSet === undefined) return;
    const client = new MongoClient(this.uri, { serverSelectionTimeoutMS: 60_000 });
    try {
      await client.db('admin').command({ ping: 1 });
    } finally {
      await client.close();
    }
  }

  /** Of a set of three: resolves when another member is the primary; what is under way at the old one is cut off. */
  async stepDown(): Promise<void> {
    const client = await MongoClient.connect(this.uri);
    try {
      const admin = client.db('admin');
      const before: unknown = (await admin.command({ hello: 1 }))['primary'];
      // A member that stepped down a moment ago may not be elected again yet: then there is nobody to hand over to.
      for (let refused = true; refused; ) {
        refused = await admin.command({ replSetStepDown: 6, secondaryCatchUpPeriodSecs: 5 }).then(
          () => false,
          (error: unknown) => {
            if (error instanceof MongoServerError && error.code === noSuccessor) return true;
            throw error;
          },
        );
      }
      for (;;) {
        const after: unknown = await admin.command({ hello: 1 }).then((hello) => hello['primary'], () => before);
        if (after !== before && after !== undefined) return;
      }
    } finally {
      await client.close();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  private member(index: number): Mongod {
    const server = this.servers[index];
    if (server === undefined) throw new Error(`There is no member ${index}`);
    return server;
  }
}

export function startMongod(options: OwnMongodOptions = {}): Promise<OwnMongod> {
  return OwnMongod.start(options);
}

/** A PostgreSQL of the test's own that may be killed and started again on the same data and port. */
export class OwnPostgres {
  private readonly dataDir: string;
  private server: EmbeddedPostgres;

  private constructor(dataDir: string, server: EmbeddedPostgres) {
    this.dataDir = dataDir;
    this.server = server;
  }

  static async start(): Promise<OwnPostgres> {
    const folder = await mkdtemp(join(runFolder(), 'postgres-'));
    await chmod(folder, 0o755);
    const dataDir = join(folder, 'data');
    const server = await EmbeddedPostgres.start({ dataDir, fast: true });
    await noteServer(runFolder(), server.identity);
    return new OwnPostgres(dataDir, server);
  }

  /** Makes the database if it does not exist. */
  async databaseUrl(name = 'holdfast'): Promise<string> {
    return this.server.ensureDatabase(name);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.server.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await this.server.exited;
  }

  async restart(): Promise<void> {
    await this.server.stop();
    this.server = await EmbeddedPostgres.start({ dataDir: this.dataDir, port: this.server.port, fast: true });
    await noteServer(runFolder(), this.server.identity);
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }
}

export function startPostgres(): Promise<OwnPostgres> {
  return OwnPostgres.start();
}

/** ExceededTimeLimit. */
const noSuccessor = 262;

const root = { username: 'root', password: 'root-password' } as const;

async function createRoot(server: Mongod | undefined): Promise<void> {
  await server?.command({ createUser: root.username, pwd: root.password, roles: ['root'] });
}

async function startNoted(options: MongodOptions): Promise<Mongod> {
  const server = await Mongod.start(options);
  await noteServer(runFolder(), server.identity);
  return server;
}

/** A folder for the files of this test run; it is removed at the run's end. */
export function runFolder(): string {
  const folder = process.env['TEST_RUN_FOLDER'];
  if (folder === undefined) throw new Error('The tests need jest.config.js, which starts their servers');
  return folder;
}

function shared(name: 'postgres' | 'mongo' | 'mongod'): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath: join(runFolder(), 'door'), path: `/${name}`, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    })
      .on('error', reject)
      .end();
  });
}
