import { Logger } from '@nestjs/common';

const acts = ['kill', 'hang', 'error'] as const;
export type FaultAct = (typeof acts)[number];

/**
 * Named places at which this process fails on purpose. `HOLDFAST_FAULT_POINTS` lists `<name>=kill|hang|error` (kill where
 * nothing is said); tests in the same process use `on`. The configuration refuses them in production.
 */
export class FaultPoints {
  private readonly logger = new Logger(FaultPoints.name);
  private readonly hooks = new Map<string, () => Promise<void>>();

  constructor(configured: readonly string[]) {
    for (const entry of configured) {
      const [name = '', word = 'kill'] = entry.split('=');
      const act = acts.find((known) => known === word);
      if (name === '' || act === undefined) throw new Error(`HOLDFAST_FAULT_POINTS: ${entry} is not <name>=${acts.join('|')}`);
      this.hooks.set(name, () => this.fail(name, act));
    }
  }

  /** Awaited each time the place is reached; returns how to take it off again. */
  on(name: string, hook: () => Promise<void>): () => void {
    this.hooks.set(name, hook);
    return () => this.hooks.delete(name);
  }

  async reach(name: string): Promise<void> {
    await this.hooks.get(name)?.();
  }

  private async fail(name: string, act: FaultAct): Promise<void> {
    this.logger.warn({ msg: 'Fault point reached', name, act });
    if (act === 'kill') process.kill(process.pid, 'SIGKILL');
    if (act === 'error') throw new Error(`Fault point ${name}`);
    await new Promise<never>(() => undefined);
  }
}
