import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { homedir } from 'node:os';
import { findMongod } from '../../scripts/servers/find-mongod.ts';
import { initiate, Mongod } from '../../scripts/servers/mongod.ts';
import { EmbeddedPostgres } from '../../scripts/servers/postgres.ts';
import { createRunFolder, noteServer, removeAbandonedRuns, removeRunFolder } from './run-folder.ts';

/**
 * The servers that all spec files of a run share. They live in jest's parent process and start when the first spec
 * asks for them over a socket, so that a run of unit tests starts none.
 */
export class SharedServers {
  readonly folder = createRunFolder();
  private readonly door: Server;
  private readonly stops: (() => Promise<void>)[] = [];
  private readonly answers = new Map<string, Promise<string>>();

  private constructor() {
    this.door = createServer((request, response) => {
      const name = (request.url ?? '').slice(1);
      this.answer(name).then(
        (text) => response.end(text),
        (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
      );
    });
  }

  static async open(): Promise<SharedServers> {
    await removeAbandonedRuns();
    const shared = new SharedServers();
    await new Promise<void>((resolve, reject) => shared.door.once('error', reject).listen(join(shared.folder, 'door'), resolve));
    return shared;
  }

  async close(): Promise<void> {
    this.door.closeAllConnections();
    this.door.close();
    await Promise.allSettled(this.answers.values());
    await Promise.allSettled(this.stops.map((stop) => stop()));
    await removeRunFolder(this.folder);
  }

  private answer(name: string): Promise<string> {
    const starters: Record<string, () => Promise<string>> = {
      postgres: () => this.startPostgres(),
      mongo: () => this.startMongo(),
      mongod: () => testMongodBinary(),
    };
    const start = starters[name];
    if (start === undefined) return Promise.reject(new Error(`No shared server is called "${name}"`));
    const known = this.answers.get(name) ?? start();
    this.answers.set(name, known);
    return known;
  }

  private async startPostgres(): Promise<string> {
    const server = await EmbeddedPostgres.start({ dataDir: join(this.folder, 'postgres'), fast: true });
    this.stops.push(() => server.stop());
    await noteServer(this.folder, server.identity);
    return server.url();
  }

  private async startMongo(): Promise<string> {
    const server = await Mongod.start({ binary: await testMongodBinary(), dataDir: join(this.folder, 'mongo'), replSet: 'rs0', args: ['--setParameter', 'enableTestCommands=1'] });
    this.stops.push(() => server.stop());
    await noteServer(this.folder, server.identity);
    await initiate('rs0', [server]);
    return `mongodb://${server.address}/?replicaSet=rs0`;
  }
}

function testMongodBinary(): Promise<string> {
  return findMongod({
    env: process.env,
    cacheDir: process.env['HOLDFAST_CACHE_DIR'] ?? join(homedir(), '.cache', 'holdfast'),
    say: (line) => void process.stderr.write(`${line}\n`),
  });
}
