import { Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { redact } from '#errors';
import type { AppConfig } from '../../config/app-config.js';

const everyMs = 10 * 60 * 1000;

/** What any worker looks for by itself: at its start, and then every ten minutes. What fails is logged as `failure` and looked for again. */
export abstract class Sweep implements OnApplicationBootstrap {
  protected readonly logger = new Logger(this.constructor.name);
  protected abstract readonly failure: string;

  protected constructor(private readonly config: AppConfig) {}

  onApplicationBootstrap(): Promise<void> {
    return this.tick();
  }

  @Interval(everyMs)
  async tick(): Promise<void> {
    if (!this.config.runsWorker) return;
    try {
      await this.look();
    } catch (error) {
      this.logger.warn({ msg: this.failure, error: redact(String(error)) });
    }
  }

  /** One round: a bounded piece of work. Processes may be at it side by side. */
  protected abstract look(): Promise<void>;
}
