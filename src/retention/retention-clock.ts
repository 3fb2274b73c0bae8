import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';

/** What three clocks say at one moment. */
export interface ClockReading {
  /** PostgreSQL's: the one that everything goes by. */
  readonly database: Date;
  /** Of this process. */
  readonly process: Date;
  /** Counts on steadily whatever anybody sets; says nothing by itself. */
  readonly monotonicMs: number;
}

/** Where retention reads the time, and nowhere else. */
@Injectable()
export class RetentionClock {
  async read(manager: EntityManager): Promise<ClockReading> {
    const [row]: { now: Date }[] = await manager.query('select clock_timestamp() as now');
    if (row === undefined) throw new Error('The database did not tell the time');
    return { database: row.now, process: new Date(), monotonicMs: performance.now() };
  }
}
