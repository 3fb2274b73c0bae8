import { Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../alerts/alerts.service.js';
import { clockFinding, type ClockFinding } from './clock-findings.js';
import { RetentionClock, type ClockReading } from './retention-clock.js';
import { type ClockRecord, RetentionRepository } from './retention.repository.js';

const about = { tenantId: null, event: 'RETENTION_REFUSED', subject: 'clock' } as const;

/** Believes the clock only as long as nothing speaks against it: a jump must not make backups due. What it finds holds for all processes, and is remembered. */
@Injectable()
export class ClockGuard {
  private readonly logger = new Logger(ClockGuard.name);
  private before: ClockReading | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly clock: RetentionClock,
    private readonly rows: RetentionRepository,
    private readonly alerts: AlertsService,
  ) {}

  /** The time, if backups may be deleted by it; null while they may not. */
  async believedTime(): Promise<Date | null> {
    return this.dataSource.transaction(async (manager) => {
      const record = await this.rows.lockClock(manager);
      const reading = await this.clock.read(manager);
      const finding = clockFinding(reading, this.before, record.lastSeenAt);
      this.before = reading;
      const now = reading.database;
      const next = finding === null ? heldOn(record, now) : heldBy(record, finding, now);
      await this.rows.saveClock({ ...next, lastSeenAt: now }, manager);
      await this.tell(record, next, finding, manager);
      return next.heldUntil === null ? now : null;
    });
  }

  /** Somebody says that the time is right. False where nothing is held back. */
  async confirm(manager: EntityManager): Promise<boolean> {
    const record = await this.rows.lockClock(manager);
    if (record.heldUntil === null) return false;
    await this.rows.saveClock({ lastSeenAt: (await this.clock.read(manager)).database, heldUntil: null, heldBecause: null }, manager);
    await this.alerts.resolve(about, manager);
    return true;
  }

  private async tell(before: ClockRecord, next: ClockRecord, finding: ClockFinding | null, manager: EntityManager): Promise<void> {
    if (next.heldUntil === null) {
      if (before.heldUntil !== null) await this.alerts.resolve(about, manager);
      return;
    }
    if (finding === null || finding.trouble === before.heldBecause) return;
    const text = `${finding.text}. No backup is deleted by its rule before ${next.heldUntil.toISOString()}, unless the provider confirms that the time is right`;
    this.logger.warn({ msg: 'Retention deletes nothing: the clock is not to be believed', trouble: finding.trouble, heldUntil: next.heldUntil });
    await this.alerts.resolve(about, manager);
    await this.alerts.raise({ ...about, severity: finding.trouble === 'SILENCE' ? 'WARNING' : 'ERROR', text, detail: { trouble: finding.trouble } }, manager);
  }
}

type Hold = Pick<ClockRecord, 'heldUntil' | 'heldBecause'>;

function heldOn({ lastSeenAt, heldUntil, heldBecause }: ClockRecord, now: Date): ClockRecord {
  const hold: Hold = heldUntil === null || heldUntil <= now ? { heldUntil: null, heldBecause: null } : { heldUntil, heldBecause };
  return { lastSeenAt, ...hold };
}

/** A hold that was counted from a time that has not come is counted anew. */
function heldBy({ lastSeenAt, heldUntil }: ClockRecord, { trouble, holdMs }: ClockFinding, now: Date): ClockRecord {
  const until = new Date(now.getTime() + holdMs);
  return { lastSeenAt, heldUntil: trouble !== 'BACK' && heldUntil !== null && heldUntil > until ? heldUntil : until, heldBecause: trouble };
}
