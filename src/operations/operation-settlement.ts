import { Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { redact } from '#errors';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import { OperationHandlers } from './operation-handlers.js';
import { isFinal, WholeOperationEntity } from './operation.entity.js';

const leftOversAtOnce = 20;

/** Lets a feature's rows follow the end of its operation, in the same transaction, and later where that failed. */
@Injectable()
export class OperationSettlement {
  private readonly logger = new Logger(OperationSettlement.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly handlers: OperationHandlers,
  ) {}

  /** The operation must be final in `manager`'s transaction. */
  async settle(id: string, manager: EntityManager): Promise<void> {
    const operation = await manager.findOneByOrFail(WholeOperationEntity, { id });
    const handler = this.handlers.find(operation.kind);
    // Another process, one that knows this kind of work, will find it.
    if (handler === null || !isFinal(operation.state)) return;
    const { tenantId, kind, backupId, state, failure, result } = operation;
    try {
      await manager.transaction(async (savepoint) => {
        const settled = { id, tenantId, input: handler.input.parse(operation.input), state, failure, result };
        await handler.settled?.(settled, savepoint);
        for (const watcher of this.handlers.endWatchers) await watcher({ ...settled, kind, backupId }, savepoint);
      });
    } catch (error) {
      if (isConnectionLoss(error)) throw error;
      this.logger.error({ msg: 'The rows of a feature do not agree with its operation yet', operationId: id, error: redact(String(error)) });
      return;
    }
    await manager.query('update operation set settled_at = clock_timestamp() where id = $1', [id]);
  }

  /** Operations that ended without their feature being told, in no order: one that always fails must not keep the others. */
  async settleLeftOvers(): Promise<void> {
    const rows: { id: string }[] = await this.dataSource.query(
      `select id from operation where settled_at is null and finished_at < clock_timestamp() - interval '2 seconds' and kind = any($1)
       order by random() limit $2`,
      [this.handlers.kinds, leftOversAtOnce],
    );
    for (const { id } of rows) {
      await this.dataSource.transaction(async (manager) => {
        const locked: unknown[] = await manager.query('select 1 from operation where id = $1 and settled_at is null for update skip locked', [id]);
        if (locked.length > 0) await this.settle(id, manager);
      });
    }
  }
}
