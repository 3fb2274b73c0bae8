import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { Permission } from '../../src/access/permission.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { LeasedOperationRepository } from '../../src/operations/leased-operation.repository.ts';
import { OperationFeed } from '../../src/operations/operation-feed.ts';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation, StartOperation } from '../../src/operations/operation-handler.ts';
import { OperationHandlers } from '../../src/operations/operation-handlers.ts';
import { operationQueue } from '../../src/operations/operation-queue.ts';
import { OperationRunner } from '../../src/operations/operation-runner.ts';
import { OperationSettlement } from '../../src/operations/operation-settlement.ts';
import { OperationSnapshots } from '../../src/operations/operation-snapshots.ts';
import { operationTiming, type OperationTiming } from '../../src/operations/operation-timing.ts';
import { OperationWorker } from '../../src/operations/operation-worker.ts';
import { OperationEntity, WholeOperationEntity } from '../../src/operations/operation.entity.ts';
import { OperationsRepository } from '../../src/operations/operations.repository.ts';
import { OperationsService, type StartedOperation } from '../../src/operations/operations.service.ts';
import { dataSourceOptions, openDataSource, runInTransaction } from '../../src/platform/database/data-source.ts';
import { EventBus } from '../../src/platform/events/event-bus.ts';
import { WorkQueue } from '../../src/platform/queue/work-queue.ts';

/** Seconds become tenths; the proportions stay. */
const quickTiming: OperationTiming = {
  ...operationTiming,
  leaseMs: 2_000,
  renewEveryMs: 400,
  sweepEveryMs: 400,
  progressEveryMs: 100,
  abandonAfterMs: 1_500,
  stopWithinMs: 3_000,
  recoveryPauseMs: 200,
};

export interface OperationProcessOptions {
  readonly databaseUrl: string;
  readonly handlers: readonly OperationHandler[];
  readonly worker?: boolean;
  readonly concurrency?: number;
  readonly graceMs?: number;
  readonly timing?: Partial<OperationTiming>;
  readonly faultPoints?: readonly string[];
}

/** The runtime of operations as one process has it, without Nest around it: a test starts several on one database. */
export class OperationProcess {
  readonly dataSource: DataSource;
  readonly bus: EventBus;
  readonly queue: WorkQueue;
  readonly repository: OperationsRepository;
  readonly leased: LeasedOperationRepository;
  readonly snapshots: OperationSnapshots;
  readonly feed: OperationFeed;
  readonly operations: OperationsService;
  readonly worker: OperationWorker;
  readonly faults: FaultPoints;

  private constructor(dataSource: DataSource, options: OperationProcessOptions) {
    const { databaseUrl, handlers: list, worker = true, concurrency = 4 } = options;
    const timing = { ...quickTiming, ...options.timing };
    const handlers = new OperationHandlers();
    for (const handler of list) handlers.register(handler);
    this.dataSource = dataSource;
    this.bus = new EventBus(databaseUrl, dataSource);
    this.queue = new WorkQueue(databaseUrl, [operationQueue]);
    this.faults = new FaultPoints(options.faultPoints ?? []);
    this.repository = new OperationsRepository(dataSource);
    this.leased = new LeasedOperationRepository(dataSource);
    this.snapshots = new OperationSnapshots(this.repository);
    this.feed = new OperationFeed(this.bus, this.snapshots, this.repository);
    const settlement = new OperationSettlement(dataSource, handlers);
    this.operations = new OperationsService(dataSource, this.repository, settlement, this.queue, this.bus);
    const runner = new OperationRunner(dataSource, this.leased, settlement, this.bus, this.faults, timing);
    this.worker = new OperationWorker({
      rows: this.leased, handlers, runner, operations: this.operations, settlement, queue: this.queue, bus: this.bus, timing, concurrency, graceMs: options.graceMs ?? 0, enabled: worker,
    });
  }

  static async start(options: OperationProcessOptions): Promise<OperationProcess> {
    const dataSource = await openDataSource({ ...dataSourceOptions(options.databaseUrl), entities: [OperationEntity, WholeOperationEntity] });
    const process = new OperationProcess(dataSource, options);
    await process.bus.onModuleInit();
    await process.queue.onModuleInit();
    await process.worker.begin();
    return process;
  }

  async stop(): Promise<void> {
    await this.worker.beforeApplicationShutdown();
    await this.queue.onApplicationShutdown();
    await this.bus.onApplicationShutdown();
    await this.dataSource.destroy();
  }

  async makeTenant(): Promise<string> {
    const id = randomUUID();
    await this.dataSource.query(
      `insert into tenant (id, slug, name, environment, engine, time_zone, target_cipher, target_deployment, target_database)
       values ($1, $2, 'Tenant', 'SANDBOX', 'MONGODB', 'UTC', '\\x00', $2, 'db')`,
      [id, `t-${id}`],
    );
    return id;
  }

  begin<Input extends JsonObject>(handler: OperationHandler<Input>, tenantId: string, start: Partial<StartOperation<Input>> & { input: Input }): Promise<StartedOperation> {
    return runInTransaction(this.dataSource, (manager) =>
      this.operations.start(manager, {
        handler, tenantId, startedBy: { kind: 'SYSTEM' }, actorId: 'tester', idempotencyKey: null, idempotencyInput: start.input, ...start,
      }),
    );
  }

  async get(id: string): Promise<WholeOperationEntity> {
    return this.dataSource.manager.findOneByOrFail(WholeOperationEntity, { id });
  }

  /** Waits until the row is as the test wants it; what it is instead is in the error. */
  async until(id: string, wanted: (operation: WholeOperationEntity) => boolean, withinMs = 20_000): Promise<WholeOperationEntity> {
    const lateAt = performance.now() + withinMs;
    for (;;) {
      const operation = await this.get(id).catch(() => null);
      if (operation !== null && wanted(operation)) return operation;
      if (performance.now() > lateAt) throw new Error(`Not within ${withinMs} ms: ${JSON.stringify(operation)}`);
      await delay(20);
    }
  }

  ended(id: string, withinMs?: number): Promise<WholeOperationEntity> {
    return this.until(id, ({ state }) => state !== 'QUEUED' && state !== 'RUNNING', withinMs);
  }
}

const anyInput = z.record(z.string(), z.json()) as unknown as z.ZodType<JsonObject>;

type Work = (context: OperationContext<JsonObject>) => Promise<JsonObject>;

/** A handler whose work the test gives; it counts its calls. */
export class ScriptedHandler implements OperationHandler {
  readonly kind: OperationHandler['kind'];
  readonly exclusive: boolean;
  readonly permission = Permission.BACKUP_CREATE;
  readonly restartable: boolean;
  readonly deadlineMs: number;
  readonly input = anyInput;
  readonly settledWith: SettledOperation<JsonObject>[] = [];
  runs = 0;
  recoveries = 0;

  constructor(
    private readonly work: { run: Work; recover?: Work; settled?: () => Promise<void> },
    options: { kind?: OperationHandler['kind']; exclusive?: boolean; deadlineMs?: number; phases?: readonly string[]; restartable?: boolean; weights?: Readonly<Record<string, number>> } = {},
  ) {
    this.kind = options.kind ?? 'BACKUP';
    this.exclusive = options.exclusive ?? true;
    this.restartable = options.restartable ?? false;
    this.deadlineMs = options.deadlineMs ?? 60_000;
    this.phaseNames = options.phases ?? ['PREPARE', 'WORK'];
    if (options.weights !== undefined) this.weights = options.weights;
  }

  readonly weights?: Readonly<Record<string, number>>;
  private readonly phaseNames: readonly string[];

  phases(): readonly string[] {
    return this.phaseNames;
  }

  run(context: OperationContext<JsonObject>): Promise<JsonObject> {
    this.runs++;
    return this.work.run(context);
  }

  recover(context: OperationContext<JsonObject>): Promise<JsonObject> {
    this.recoveries++;
    if (this.work.recover === undefined) throw new Error('Nothing should be recovered here');
    return this.work.recover(context);
  }

  async settled(operation: SettledOperation<JsonObject>): Promise<void> {
    this.settledWith.push(operation);
    await this.work.settled?.();
  }
}

/** Never ends by itself; throws what the signal was aborted with. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
