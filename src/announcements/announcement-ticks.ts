import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { AnnouncementsService } from './announcements.service.js';

@Injectable()
export class AnnouncementTicks extends Sweep {
  protected readonly failure = 'Announced work could not be looked for';
  /** More often than other sweeps: work is due at a time that people were told. */
  protected override readonly everyMs = 10_000;

  constructor(
    config: AppConfig,
    private readonly announcements: AnnouncementsService,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    await this.announcements.sendMails();
    await this.announcements.startDue();
  }
}
