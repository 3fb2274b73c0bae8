import { once } from 'node:events';
import { Logger } from '@nestjs/common';

const acts = ['kill', 'hang', 'pause', 'error'] as const;
export type FaultAct = (typeof acts)[number];

/** @param signal of the operation that has reached the place, if it is one's */
type Hook = (signal?: AbortSignal) => Promise<void>;

/**
 * Named places at which this process fails on purpose. `HOLDFAST_FAULT_POINTS` lists `<name>=kill|hang|pause|error` (kill where
 * nothing is said; pause goes on when the process gets SIGCONT), `<name>@<operation>` for one operation alone; tests in the same
 * process use `on`. The configuration refuses them in production.
 */
export class FaultPoints {
  private readonly logger = new Logger(FaultPoints.name);
  /** Held, or the garbage collector would tidy up after those who hang here. */
  private readonly hung: (() => void)[] = [];
  private continued: Promise<unknown> | null = null;
  private readonly hooks = new Map<string, Hook>();

  constructor(configured: readonly string[]) {
    for (const entry of configured) {
      const [name = '', word = 'kill'] = entry.split('=');
      const act = acts.find((known) => known === word);
      if (name === '' || act === undefined) throw new Error(`HOLDFAST_FAULT_POINTS: ${entry} is not <name>=${acts.join('|')}`);
      this.hooks.set(name, () => this.fail(name, act));
    }
  }

  /** Awaited each time the place is reached; returns how to take it off again. */
  on(name: string, hook: Hook): () => void {
    this.hooks.set(name, hook);
    return () => this.hooks.delete(name);
  }

  async reach(name: string, operationId?: string, signal?: AbortSignal): Promise<void> {
    await this.hooks.get(name)?.(signal);
    if (operationId !== undefined) await this.hooks.get(`${name}@${operationId}`)?.(signal);
  }

  private async fail(name: string, act: FaultAct): Promise<void> {
    this.logger.warn({ msg: 'Fault point reached', name, act });
    if (act === 'kill') process.kill(process.pid, 'SIGKILL');
    if (act === 'error') throw new Error(`Fault point ${name}`);
    if (act === 'pause') await (this.continued ??= once(process, 'SIGCONT').finally(() => (this.continued = null)));
    else await new Promise<never>((_, reject) => this.hung.push(reject));
  }
}
