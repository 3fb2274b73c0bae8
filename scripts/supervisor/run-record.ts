import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identifyProcess, isRunning, type ProcessIdentity } from '../bootstrap/process-identity.mjs';
import { endProcess } from '../servers/end-process.ts';
import { mongodLockPid } from '../servers/mongod.ts';
import { postgresFolder, postgresLockPid } from '../servers/postgres.ts';

interface Recorded extends ProcessIdentity {
  readonly name: string;
}

interface RunState {
  readonly supervisor: ProcessIdentity;
  readonly url: string;
  readonly servers: readonly Recorded[];
}

/** In this order, so that nobody loses the server that it works with. */
const stopOrder = ['api', 'worker', 'mongod', 'postgres'];
const stopSignals: Readonly<Record<string, NodeJS.Signals>> = { postgres: 'SIGINT' };

/**
 * The processes of the start that uses a data folder, kept in a file below it. A later start tells by it whether
 * another one runs, and which servers one that was killed has left.
 */
export class RunRecord {
  private readonly dataDir: string;
  private readonly path: string;
  private state: RunState;

  constructor(dataDir: string, url: string) {
    this.dataDir = dataDir;
    this.path = join(dataDir, 'running.json');
    const supervisor = identifyProcess(process.pid);
    if (supervisor === null) throw new Error('This process cannot see itself');
    this.state = { supervisor, url, servers: [] };
  }

  /** The start that runs on this data folder now, if one does. */
  other(): { readonly pid: number; readonly url: string } | null {
    const earlier = this.read();
    return earlier !== null && earlier.supervisor.pid !== process.pid && isRunning(earlier.supervisor) ? { pid: earlier.supervisor.pid, url: earlier.url } : null;
  }

  /** Stops what a start that was killed has left. Returns the names of what it stopped. */
  async stopLeftovers(): Promise<string[]> {
    const left = [...(this.read()?.servers ?? []), ...(await this.lockedServers())].filter((server) => isRunning(server));
    left.sort((a, b) => stopOrder.indexOf(a.name) - stopOrder.indexOf(b.name));
    for (const server of left) await endProcess(server, stopSignals[server.name] ?? 'SIGTERM', 20_000);
    return [...new Set(left.map(({ name }) => name))];
  }

  begin(): void {
    this.write();
  }

  add(name: string, identity: ProcessIdentity): void {
    this.state = { ...this.state, servers: [...this.state.servers.filter((server) => server.name !== name), { name, ...identity }] };
    this.write();
  }

  end(): void {
    rmSync(this.path, { force: true });
  }

  /** A start may be killed between making a server and noting it; the servers' own lock files tell of those. */
  private async lockedServers(): Promise<Recorded[]> {
    const folders = { postgres: postgresFolder(join(this.dataDir, 'postgres')), mongod: join(this.dataDir, 'mongod') };
    const pids = { postgres: postgresLockPid(folders.postgres), mongod: await mongodLockPid(folders.mongod) };
    const found: Recorded[] = [];
    for (const name of ['postgres', 'mongod'] as const) {
      const pid = pids[name];
      const identity = pid === null ? null : identifyProcess(pid);
      // The pid in an old lock file may be anybody's by now; a server names its data folder on its command line.
      if (identity !== null && (await commandLine(identity.pid)).includes(folders[name])) found.push({ name, ...identity });
    }
    return found;
  }

  private read(): RunState | null {
    try {
      const state = JSON.parse(readFileSync(this.path, 'utf8')) as Partial<RunState> | null;
      return state?.supervisor === undefined || !Array.isArray(state.servers) ? null : (state as RunState);
    } catch {
      return null;
    }
  }

  private write(): void {
    const draft = `${this.path}.new`;
    writeFileSync(draft, JSON.stringify(this.state), { mode: 0o600 });
    renameSync(draft, this.path);
  }
}

async function commandLine(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
}
