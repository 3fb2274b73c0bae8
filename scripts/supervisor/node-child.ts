import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { identifyProcess, type ProcessIdentity } from '../bootstrap/process-identity.mjs';
import { endProcess } from '../servers/end-process.ts';
import { Restarts, type RestartsPlan } from './restarts.ts';
import { StartError } from './settings.ts';

export interface NodeChildPlan extends RestartsPlan {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Asked until it answers 200. */
  readonly readyUrl: string;
  readonly onStart: (identity: ProcessIdentity) => void;
}

const biggestLogBytes = 20 * 1024 * 1024;

/** One process of ours, started again when it crashes: soon at first, then ever more slowly. */
export class NodeChild {
  private readonly plan: NodeChildPlan;
  private child: ChildProcess | null = null;
  private identity: ProcessIdentity | null = null;
  private wasReady = false;
  private readonly restarts: Restarts;
  private startedAtMs = 0;
  private logFrom = 0;

  constructor(plan: NodeChildPlan) {
    this.plan = plan;
    this.restarts = new Restarts(plan);
  }

  /** Resolves when it is ready. A process that ends before it was ever ready is not started again: it says why. */
  async start(limitMs = 60_000): Promise<void> {
    rotate(this.plan.logFile);
    this.logFrom = sizeOf(this.plan.logFile);
    this.spawn();
    const deadline = Date.now() + limitMs;
    while (!(await isReady(this.plan.readyUrl))) {
      if (this.child === null) throw new StartError(`The ${this.plan.name} ended while it was starting:\n${await this.lastWords()}`);
      if (Date.now() > deadline) throw new StartError(`The ${this.plan.name} was not ready within ${limitMs / 1000} s; its log is ${this.plan.logFile}\n${await this.lastWords()}`);
      await new Promise((wake) => setTimeout(wake, 50));
    }
    this.wasReady = true;
  }

  async stop(): Promise<void> {
    this.restarts.stop();
    if (this.identity !== null) await endProcess(this.identity, 'SIGTERM', 20_000);
  }

  private spawn(): void {
    const log = openSync(this.plan.logFile, 'a', 0o600);
    // A session of its own, so that Ctrl-C reaches the supervisor alone, which stops all in order.
    const child = spawn(process.execPath, this.plan.args, { env: this.plan.env, stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.child = child;
    this.startedAtMs = Date.now();
    if (child.pid !== undefined) {
      this.identity = identifyProcess(child.pid);
      if (this.identity !== null) this.plan.onStart(this.identity);
    }
    child.once('error', () => this.ended(child, 'could not be started'));
    child.once('exit', (code, signal) => this.ended(child, signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`));
  }

  private ended(child: ChildProcess, how: string): void {
    if (this.child !== child) return;
    this.child = null;
    if (this.wasReady) this.restarts.later(how, Date.now() - this.startedAtMs, () => this.spawn());
  }

  private async lastWords(): Promise<string> {
    const log = (await readFile(this.plan.logFile).catch(() => Buffer.alloc(0))).subarray(this.logFrom).toString('utf8').trim();
    return log.split('\n').slice(-15).map((line) => `  ${line.slice(0, 600)}`).join('\n');
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function rotate(file: string): void {
  if (sizeOf(file) > biggestLogBytes) renameSync(file, `${file}.1`);
}
