import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { identifyProcess, type ProcessIdentity } from '../bootstrap/process-identity.mjs';
import { endProcess } from './end-process.ts';

const portsTried = 3;

export interface ServerCommand {
  readonly name: string;
  readonly binary: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly logFile: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** A server of ours, in a session of its own so that Ctrl-C reaches the supervisor alone, which stops all in order. */
export class ServerProcess {
  readonly identity: ProcessIdentity;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  private readonly command: ServerCommand;
  private readonly child: ChildProcess;
  private gone = false;

  private constructor(command: ServerCommand, child: ChildProcess, pid: number) {
    this.command = command;
    this.child = child;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.gone = true;
        resolve({ code, signal });
      });
    });
    this.identity = identifyProcess(pid) ?? { pid, startedAt: 'ended at once' };
  }

  static async spawn(command: ServerCommand): Promise<ServerProcess> {
    const log = openSync(command.logFile, 'a', 0o600);
    try {
      // A database of thousands of collections needs more open files than a shell gives.
      const child = spawn('/bin/sh', ['-c', 'ulimit -n 64000 2>/dev/null || ulimit -n "$(ulimit -H -n)" 2>/dev/null; exec "$0" "$@"', command.binary, ...command.args], {
        cwd: command.cwd,
        stdio: ['ignore', log, log],
        detached: true,
        // Nothing of ours: a stray PGDATA, a proxy or a secret has no business in a database server.
        env: { PATH: process.env['PATH'], LANG: 'C', TZ: 'UTC' },
        ...(command.uid === undefined ? {} : { uid: command.uid }),
        ...(command.gid === undefined ? {} : { gid: command.gid }),
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', (cause) => reject(new Error(`${command.name} cannot be started: ${cause.message}`, { cause })));
      });
      if (child.pid === undefined) throw new Error(`${command.name} cannot be started`);
      return new ServerProcess(command, child, child.pid);
    } finally {
      closeSync(log);
    }
  }

  get running(): boolean {
    return !this.gone;
  }

  /** Tries `probe` until it no longer throws. Fails at once, with the end of the log, if the server exits. */
  async untilReady(probe: () => Promise<void>, limitMs = 60_000): Promise<void> {
    const deadline = Date.now() + limitMs;
    let last: unknown;
    while (this.running) {
      try {
        await probe();
        return;
      } catch (error) {
        last = error;
      }
      if (Date.now() > deadline) {
        await this.stop('SIGKILL');
        throw new Error(`${this.command.name} was not ready within ${limitMs / 1000} s: ${last instanceof Error ? last.message : String(last)}`, { cause: last });
      }
      await new Promise((wake) => setTimeout(wake, 30));
    }
    throw new ServerExited(this.command.name, await tail(this.command.logFile));
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) this.child.kill(signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM', patienceMs = 15_000): Promise<void> {
    if (!this.running) return;
    await endProcess(this.identity, signal, patienceMs);
    await this.exited;
  }
}

class ServerExited extends Error {
  readonly log: string;
  constructor(name: string, log: string) {
    super(`${name} ended while it was starting. The end of its log:\n${log}`);
    this.log = log;
  }
}

/** Has a server start on `wanted`, where that is free, or on another port; on yet another one where somebody takes it between the look and the start. */
export async function startOnPort<Server>(wanted: number | undefined, start: (port: number) => Promise<Server>): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = attempt === 1 && wanted !== undefined && (await isPortFree(wanted)) ? wanted : await freePort();
    try {
      return await start(port);
    } catch (error) {
      if (attempt === portsTried || !(error instanceof ServerExited && error.log.includes('Address already in use'))) throw error;
    }
  }
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-12).map((line) => `    ${line.slice(0, 400)}`).join('\n');
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No free port');
  return address.port;
}

export async function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
