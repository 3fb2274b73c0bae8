import { Injectable } from '@nestjs/common';
import { BytePace, type Pace } from '#engines';
import { AppConfig } from '../config/app-config.js';
import type { TenantEntity } from './tenant.entity.js';

/**
 * The pace of each tenant's documents, shared by all sessions on its databases in this process. That is enough: of a tenant's exclusive operations one runs at a time,
 * in one process.
 */
@Injectable()
export class TransferRates {
  private readonly paces = new Map<string, BytePace>();

  constructor(private readonly config: AppConfig) {}

  /** Null: as fast as it goes. A limit that has changed holds for what is opened from now on. */
  of({ id, maxBytesPerSecond }: Pick<TenantEntity, 'id' | 'maxBytesPerSecond'>): Pace | null {
    const bytesPerSecond = maxBytesPerSecond === null ? this.config.maxBytesPerSecond : Number(maxBytesPerSecond);
    const known = this.paces.get(id);
    if (known !== undefined && known.bytesPerSecond === bytesPerSecond) return known;
    this.paces.delete(id);
    if (bytesPerSecond === null) return null;
    const pace = new BytePace(bytesPerSecond);
    this.paces.set(id, pace);
    return pace;
  }
}
