import { Inject, Injectable } from '@nestjs/common';
import { OperationsRepository } from './operations.repository.js';
import type { OperationEntity } from './operation.entity.js';

const maxKept = 500;

interface Reading {
  current: Promise<OperationEntity | null> | null;
  next: Promise<OperationEntity | null> | null;
}

/** Shares reads of one row between all who wait for it in this process: a thousand subscribers cost one read for each change. */
@Injectable()
export class OperationSnapshots {
  private readonly readings = new Map<string, Reading>();
  private readonly newest = new Map<string, OperationEntity>();

  constructor(@Inject(OperationsRepository) private readonly repository: Pick<OperationsRepository, 'findAnywhere'>) {}

  /**
   * The row as it was at `revision` or later. Without a revision it is read anew: a read that is already under way may have begun before the
   * change that the caller must not miss, so the caller shares the one after it.
   */
  read(id: string, revision = Infinity): Promise<OperationEntity | null> {
    const kept = this.newest.get(id);
    if (kept !== undefined && kept.revision >= revision) return Promise.resolve(kept);
    const reading = this.readings.get(id) ?? { current: null, next: null };
    this.readings.set(id, reading);
    if (reading.current === null) return (reading.current = this.load(id, reading));
    reading.next ??= reading.current.then(
      () => this.load(id, reading),
      () => this.load(id, reading),
    );
    return reading.next;
  }

  private async load(id: string, reading: Reading): Promise<OperationEntity | null> {
    try {
      const operation = await this.repository.findAnywhere(id);
      if (operation !== null) this.keep(operation);
      return operation;
    } finally {
      reading.current = reading.next;
      reading.next = null;
      if (reading.current === null) this.readings.delete(id);
    }
  }

  private keep(operation: OperationEntity): void {
    this.newest.delete(operation.id);
    this.newest.set(operation.id, operation);
    const [oldest] = this.newest.keys();
    if (this.newest.size > maxKept && oldest !== undefined) this.newest.delete(oldest);
  }
}
