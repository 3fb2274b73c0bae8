import { Inject, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { redact } from '#errors';
import type { AppConfig } from '../../config/app-config.js';
import { Background } from '../background/background.js';

const tenMinutesMs = 10 * 60 * 1000;

/** What any worker looks for by itself: when it begins to work, and then again and again. What fails is logged as `failure` and looked for again. */
export abstract class Sweep implements OnApplicationBootstrap {
  protected readonly logger = new Logger(this.constructor.name);
  protected abstract readonly failure: string;
  protected readonly everyMs: number = tenMinutesMs;
  @Inject(Background) private readonly background!: Background;

  protected constructor(private readonly config: AppConfig) {}

  onApplicationBootstrap(): void {
    if (!this.config.runsWorker) return;
    this.background.begin(() => this.tick());
    this.background.every(this.constructor.name, this.everyMs, () => this.tick());
  }

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
