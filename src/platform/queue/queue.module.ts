import { type DynamicModule, Module } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';
import { HealthRegistry } from '../health/health-registry.js';
import { type WakeUpQueue, WorkQueue } from './work-queue.js';

@Module({})
export class QueueModule {
  constructor(registry: HealthRegistry, queue: WorkQueue) {
    registry.register('queue', async () => {
      await queue.check();
      return { state: 'ok' };
    });
  }

  static forQueues(...queues: WakeUpQueue[]): DynamicModule {
    return {
      module: QueueModule,
      providers: [{ provide: WorkQueue, useFactory: (config: AppConfig) => new WorkQueue(config.databaseUrl, queues), inject: [AppConfig] }],
      exports: [WorkQueue],
    };
  }
}
