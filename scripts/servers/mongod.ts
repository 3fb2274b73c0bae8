import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, MongoClient } from 'mongodb';
import { ServerProcess, startOnPort } from './server-process.ts';
import type { ProcessIdentity } from '../bootstrap/process-identity.mjs';

export interface MongodOptions {
  readonly binary: string;
  readonly dataDir: string;
  /** Taken if it is free. */
  readonly port?: number;
  /** Name of the replica set; without it the server stands alone. */
  readonly replSet?: string;
  readonly args?: readonly string[];
  /** Checked before the server counts as ready; with authentication on, nobody may ask more than this. */
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** One mongod process on 127.0.0.1. Making several into a replica set is `initiate`'s job. */
export class Mongod {
  readonly port: number;
  private readonly options: MongodOptions;
  private readonly server: ServerProcess;

  private constructor(options: MongodOptions, port: number, server: ServerProcess) {
    this.options = options;
    this.port = port;
    this.server = server;
  }

  static async start(options: MongodOptions): Promise<Mongod> {
    const data = join(options.dataDir, 'data');
    await mkdir(data, { recursive: true, mode: 0o700 });
    return startOnPort(options.port, async (port) => {
      const server = await ServerProcess.spawn({
        name: 'mongod',
        binary: options.binary,
        args: [
          ...['--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--wiredTigerCacheSizeGB', '0.25', '--nounixsocket'],
          // A set's primary would wait 15 s for the clients to move to another member.
          ...['--setParameter', 'shutdownTimeoutMillisForSignaledShutdown=100'],
          ...(options.replSet === undefined ? [] : ['--replSet', options.replSet]),
          ...(options.args ?? []),
        ],
        cwd: options.dataDir,
        logFile: mongodLog(options.dataDir),
      });
      const started = new Mongod(options, port, server);
      await server.untilReady(() => started.ping());
      return started;
    });
  }

  get identity(): ProcessIdentity {
    return this.server.identity;
  }

  get exited(): ServerProcess['exited'] {
    return this.server.exited;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  kill(signal: NodeJS.Signals): void {
    this.server.kill(signal);
  }

  async stop(): Promise<void> {
    await this.server.stop('SIGTERM', 20_000);
  }

  /** Runs one command on this very server. */
  async command(command: Document, credentials = this.options.credentials): Promise<Document> {
    const client = new MongoClient(`mongodb://${this.address}/?directConnection=true`, {
      serverSelectionTimeoutMS: 2000,
      ...(credentials === undefined ? {} : { auth: credentials, authSource: 'admin' }),
    });
    try {
      return await client.db('admin').command(command);
    } finally {
      await client.close();
    }
  }

  private async ping(): Promise<void> {
    await this.command({ hello: 1 });
  }
}

/**
 * Makes the servers a replica set, or leaves it as it is, and waits until the first one accepts writes. A server of a
 * set of one that came back on another port is told so, as nobody else could.
 */
export async function initiate(replSet: string, servers: readonly Mongod[]): Promise<void> {
  const [first] = servers;
  if (first === undefined) throw new Error('A replica set needs a server');
  const hello = await first.command({ hello: 1 });
  if (hello['setName'] === undefined && hello['isreplicaset'] === true) {
    const members = servers.map((server, index) => ({ _id: index, host: server.address }));
    // Everything is on this machine: members need not wait as long for each other as across a network.
    const settings = members.length === 1 ? {} : { settings: { heartbeatIntervalMillis: 200, electionTimeoutMillis: 2000 } };
    try {
      await first.command({ replSetInitiate: { _id: replSet, members, ...settings } });
    } catch (error) {
      // It knows its set of old: it has only not looked it up yet, or does not find itself in it, on another port.
      const alreadyInitialized = 23;
      if (!(error instanceof Error && 'code' in error && error.code === alreadyInitialized)) throw error;
      if (servers.length === 1) await moveMember(first);
    }
  }
  await untilPrimary(first);
}

async function moveMember(server: Mongod): Promise<void> {
  const { config } = (await server.command({ replSetGetConfig: 1 })) as { config: { version: number; members: { host: string }[] } };
  const [member] = config.members;
  if (member === undefined || member.host === server.address) return;
  member.host = server.address;
  config.version += 1;
  await server.command({ replSetReconfig: config, force: true });
}

async function untilPrimary(server: Mongod): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const hello = await server.command({ hello: 1 }).catch((): Document => ({}));
    if (hello['isWritablePrimary'] === true) return;
    if (Date.now() > deadline) throw new Error('The replica set has no primary after 60 s');
    await new Promise((wake) => setTimeout(wake, 30));
  }
}

export function mongodLog(dataDir: string): string {
  return join(dataDir, 'mongod.log');
}

/** The pid of a server that already runs on the folder, from its own lock file. */
export async function mongodLockPid(dataDir: string): Promise<number | null> {
  const text = await readFile(join(dataDir, 'data', 'mongod.lock'), 'utf8').catch(() => '');
  const pid = Number(text.trim());
  return Number.isInteger(pid) && pid > 0 ? pid : null;
}

/** The members of a replica set with authentication prove themselves to each other with this file. */
export async function writeKeyFile(path: string): Promise<void> {
  await writeFile(path, randomBytes(512).toString('base64'), { mode: 0o400 });
}
