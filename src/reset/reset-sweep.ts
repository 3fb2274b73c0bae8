import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ResetsRepository } from './resets.repository.js';

/** Ends resets that nobody came back to. */
@Injectable()
export class ResetSweep extends Sweep {
  protected readonly failure = 'Resets whose time is over could not be ended';

  constructor(
    config: AppConfig,
    private readonly resets: ResetsRepository,
  ) {
    super(config);
  }

  protected look(): Promise<void> {
    return this.resets.tidy();
  }
}
