import { Module, type OnApplicationBootstrap } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { AppConfig } from '../config/app-config.js';
import { Background } from '../platform/background/background.js';
import { EventBus } from '../platform/events/event-bus.js';
import { EventsModule } from '../platform/events/events.module.js';
import { QueueModule } from '../platform/queue/queue.module.js';
import { WorkQueue } from '../platform/queue/work-queue.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { FaultPoints } from './fault-points.js';
import { LeasedOperationRepository } from './leased-operation.repository.js';
import { OperationAbandonment } from './operation-abandonment.js';
import { OperationAccess } from './operation-access.js';
import { OperationFeed } from './operation-feed.js';
import { OperationHandlers } from './operation-handlers.js';
import { operationQueue } from './operation-queue.js';
import { OperationMetrics } from './operation-metrics.js';
import { OperationRunner } from './operation-runner.js';
import { OperationSettlement } from './operation-settlement.js';
import { OperationSnapshots } from './operation-snapshots.js';
import { operationTiming } from './operation-timing.js';
import { OperationWorker } from './operation-worker.js';
import { OperationEntity, WholeOperationEntity } from './operation.entity.js';
import { OperationsResolver } from './operations.resolver.js';
import { OperationsRepository } from './operations.repository.js';
import { OperationsService } from './operations.service.js';
import { MaintenanceOperationResolver, TenantOperationsResolver } from './tenant-operations.resolver.js';

@Module({
  imports: [TypeOrmModule.forFeature([OperationEntity, WholeOperationEntity]), EventsModule, TenantsModule, QueueModule.forQueues(operationQueue)],
  providers: [
    OperationHandlers,
    OperationsRepository,
    OperationsService,
    OperationMetrics,
    OperationSettlement,
    OperationSnapshots,
    OperationFeed,
    LeasedOperationRepository,
    OperationAbandonment,
    OperationAccess,
    OperationsResolver,
    TenantOperationsResolver,
    MaintenanceOperationResolver,
    { provide: FaultPoints, useFactory: (config: AppConfig) => new FaultPoints(config.faultPoints), inject: [AppConfig] },
    {
      provide: OperationRunner,
      useFactory: (dataSource: DataSource, rows: LeasedOperationRepository, settlement: OperationSettlement, bus: EventBus, faults: FaultPoints, metrics: OperationMetrics) =>
        new OperationRunner(dataSource, rows, settlement, bus, faults, operationTiming, metrics),
      inject: [DataSource, LeasedOperationRepository, OperationSettlement, EventBus, FaultPoints, OperationMetrics],
    },
    {
      provide: OperationWorker,
      useFactory: (
        config: AppConfig,
        rows: LeasedOperationRepository,
        handlers: OperationHandlers,
        runner: OperationRunner,
        operations: OperationsService,
        settlement: OperationSettlement,
        queue: WorkQueue,
        bus: EventBus,
      ) =>
        new OperationWorker({ rows, handlers, runner, operations, settlement, queue, bus, timing: operationTiming, concurrency: config.workerConcurrency, graceMs: config.shutdownGraceMs, enabled: config.runsWorker }),
      inject: [AppConfig, LeasedOperationRepository, OperationHandlers, OperationRunner, OperationsService, OperationSettlement, WorkQueue, EventBus],
    },
  ],
  exports: [OperationHandlers, OperationsService, OperationFeed, FaultPoints],
})
export class OperationsModule implements OnApplicationBootstrap {
  constructor(
    private readonly worker: OperationWorker,
    private readonly background: Background,
  ) {}

  onApplicationBootstrap(): void {
    this.background.begin(() => this.worker.begin());
  }
}
