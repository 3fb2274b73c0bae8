import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';

export type HealthState = 'ok' | 'warning' | 'down';

/** `message` is shown to anybody who asks: no addresses, no names of users. */
export interface HealthFinding {
  readonly state: HealthState;
  readonly message?: string;
}

export type HealthCheck = () => Promise<HealthFinding>;

const patienceMs = 3_000;

/** What `/readyz` asks; features register what they need to work. */
@Injectable()
export class HealthRegistry implements OnModuleDestroy {
  private readonly logger = new Logger(HealthRegistry.name);
  private readonly checks = new Map<string, HealthCheck>();
  private stopping = false;

  /** A check that throws, or takes longer than 3 seconds, counts as down. A missing encryption key is a warning: everything else works. */
  register(name: string, check: HealthCheck): void {
    if (this.checks.has(name)) throw new Error(`Two health checks are called ${name}`);
    this.checks.set(name, check);
  }

  async findings(): Promise<Record<string, HealthFinding>> {
    const entries = await Promise.all([...this.checks].map(async ([name, check]) => [name, await this.run(name, check)] as const));
    return { ...Object.fromEntries(entries), ...(this.stopping ? { shutdown: { state: 'down' as const, message: 'Shutting down' } } : {}) };
  }

  /** The first thing that a shutdown does. */
  onModuleDestroy(): void {
    this.stopping = true;
  }

  private async run(name: string, check: HealthCheck): Promise<HealthFinding> {
    const { promise: tooSlow, resolve } = Promise.withResolvers<HealthFinding>();
    const timer = setTimeout(() => resolve({ state: 'down', message: 'No answer within 3 seconds' }), patienceMs);
    try {
      return await Promise.race([check(), tooSlow]);
    } catch (error) {
      this.logger.warn({ msg: 'A health check failed', check: name, err: error });
      return { state: 'down', message: 'Not reachable' };
    } finally {
      clearTimeout(timer);
    }
  }
}
