import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const root = resolve(import.meta.dirname, '../..');

export interface WorkerProcessOptions {
  readonly databaseUrl: string;
  /** Of the application that shares the archives and the keys with it. */
  readonly dataDir: string;
  /** `<name>=<act>` or `<name>@<operation>=<act>`. */
  readonly faultPoints?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The whole program in a process of its own, for tests that stop or kill it: a worker, unless `env` says otherwise. */
export class WorkerProcess {
  private readonly lines: Readonly<Record<string, unknown>>[] = [];
  private readonly exit: Promise<unknown>;
  private complaints = '';
  private heard = Promise.withResolvers<void>();
  private ended: string | null = null;

  private constructor(private readonly child: ChildProcess) {
    if (child.stdout === null || child.stderr === null) throw new Error('The process has no output');
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text;
      process.stderr.write(text);
    });
    this.exit = Promise.all([once(child, 'exit'), once(child.stderr, 'close')]).then(([[code, signal]]) => {
      this.ended = String(signal ?? code);
      this.wake();
    });
    createInterface(child.stdout).on('line', (line) => {
      if (!line.startsWith('{')) return;
      this.lines.push(JSON.parse(line) as Record<string, unknown>);
      this.wake();
    });
  }

  static start({ databaseUrl, dataDir, faultPoints = [], env = {} }: WorkerProcessOptions): WorkerProcess {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--import', './test/support/typescript-hooks.mjs', 'src/main.ts'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'], HOME: process.env['HOME'], NODE_ENV: 'test', DATABASE_URL: databaseUrl, HOLDFAST_ROLE: 'worker', HOLDFAST_HOST: ownAddress(), HOLDFAST_PORT: '1', HOLDFAST_DATA_DIR: dataDir,
        HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'), BACKUP_ENCRYPTION_KEY: Buffer.alloc(32, 9).toString('base64'), HOLDFAST_LOG_LEVEL: 'warn', ...(faultPoints.length > 0 ? { HOLDFAST_FAULT_POINTS: faultPoints.join() } : {}), ...env,
      },
    });
    return new WorkerProcess(child);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves when every one of these has been reached. */
  async reached(points: readonly string[]): Promise<void> {
    const missing = (): string[] => points.filter((point) => !this.lines.some(({ msg, name }) => msg === 'Fault point reached' && name === point));
    await this.until(() => missing().length === 0, () => `not reached: ${missing().join()}`);
  }

  /** Resolves when it has logged, for each of these operations, that it gave it up. */
  async gaveUp(operationIds: readonly string[]): Promise<void> {
    const missing = (): string[] => operationIds.filter((id) => !this.lines.some(({ msg, operationId }) => operationId === id && String(msg).startsWith('The lease was lost')));
    await this.until(() => missing().length === 0, () => `not given up: ${missing().join()}`);
  }

  /** Resolves when the process has ended; at once for a signal that ends none. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await this.exit;
  }

  /** Does not wait for what it does. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** What ended it by itself, the name of a signal or an exit code. */
  async exited(): Promise<string> {
    await this.exit;
    return this.ended ?? '';
  }

  /** What it wrote to standard error. */
  get complained(): string {
    return this.complaints;
  }

  private async until(done: () => boolean, what: () => string): Promise<void> {
    while (!done()) {
      if (this.ended !== null) throw new Error(`The process ended with ${this.ended}; ${what()}\n${this.lines.map((line) => JSON.stringify(line)).join('\n')}`);
      await this.heard.promise;
    }
  }

  private wake(): void {
    this.heard.resolve();
    this.heard = Promise.withResolvers<void>();
  }
}

/** Of this machine alone, and of no other process that tests start at the same time. */
function ownAddress(): string {
  return ['127', ...[...randomBytes(3)].map((byte) => String(1 + (byte % 254)))].join('.');
}
