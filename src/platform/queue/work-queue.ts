import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { PgBoss } from 'pg-boss';
import type { EntityManager } from 'typeorm';

/** A queue whose messages wake workers and hold an id, never the truth about the work. */
export interface WakeUpQueue {
  /** Such as `operation.run`. */
  readonly name: string;
  /** Longer than a worker may hold a message; pg-boss allows 24 hours. */
  readonly expireInSeconds: number;
  /** Messages that nobody picked up; by then the sweep has long done the work. */
  readonly retentionSeconds: number;
}

const schema = 'holdfast_queue';

/**
 * pg-boss, used for nothing but waking a worker at once. Every limit is stated because its defaults (two retries, 15 minutes) would run
 * long work twice.
 */
export class WorkQueue implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(WorkQueue.name);
  private readonly boss: PgBoss;

  constructor(
    databaseUrl: string,
    private readonly queues: readonly WakeUpQueue[],
  ) {
    this.boss = new PgBoss({
      connectionString: databaseUrl,
      application_name: 'holdfast-queue',
      schema,
      max: 3,
      connectionTimeoutMillis: 10_000,
      useListenNotify: true,
      schedule: false,
      supervise: true,
      reindex: false,
    });
    this.boss.on('error', (error) => this.logger.warn({ msg: 'The work queue has trouble with its database', error: error.message }));
    this.boss.on('warning', ({ message }) => this.logger.warn({ msg: 'The work queue warns', warning: message }));
  }

  async onModuleInit(): Promise<void> {
    await this.boss.start();
    for (const { name, expireInSeconds, retentionSeconds } of this.queues) {
      const limits = { retryLimit: 0, expireInSeconds, retentionSeconds, deleteAfterSeconds: 3600, notify: true };
      await this.boss.createQueue(name, { policy: 'standard', ...limits });
      await this.boss.updateQueue(name, limits);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.boss.stop({ graceful: true, timeout: 2_000 });
  }

  /** Throws when the queue's own connections do not reach it. */
  async check(): Promise<void> {
    if (!(await this.boss.isInstalled())) throw new Error('The tables of the work queue are missing');
  }

  /** Part of the transaction of `manager`: no message without the row, and no row without a message. */
  async send(queue: WakeUpQueue, data: { readonly id: string }, manager: EntityManager): Promise<void> {
    await this.boss.send(queue.name, data, {
      db: {
        executeSql: async (text, values) => {
          const rows: unknown = await manager.query(text, values);
          return { rows: Array.isArray(rows) ? rows : [] };
        },
      },
    });
  }

  /** `handler` gets one message at a time and takes no further one until it has settled. */
  async work(queue: WakeUpQueue, handler: (id: string) => Promise<void>): Promise<void> {
    await this.boss.work<{ id: string }>(queue.name, { batchSize: 1, pollingIntervalSeconds: 2, notifyPollingIntervalSeconds: 30 }, async (jobs) => {
      for (const job of jobs) await handler(job.data.id);
    });
  }

  async stopWork(queue: WakeUpQueue): Promise<void> {
    await this.boss.offWork(queue.name, { wait: false });
  }
}
