import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { AnnouncementsService } from './announcements.service.js';

/** More often than other sweeps: work is due at a time that people were told. */
const everyMs = 10_000;

@Injectable()
export class AnnouncementTicks extends Sweep {
  protected readonly failure = 'Announced work could not be looked for';

  constructor(
    config: AppConfig,
    private readonly announcements: AnnouncementsService,
  ) {
    super(config);
  }

  @Interval(everyMs)
  override tick(): Promise<void> {
    return super.tick();
  }

  protected async look(): Promise<void> {
    await this.announcements.sendMails();
    await this.announcements.startDue();
  }
}
