import { type DynamicModule, Module } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';
import { type WakeUpQueue, WorkQueue } from './work-queue.js';

@Module({})
export class QueueModule {
  static forQueues(...queues: WakeUpQueue[]): DynamicModule {
    return {
      module: QueueModule,
      providers: [{ provide: WorkQueue, useFactory: (config: AppConfig) => new WorkQueue(config.databaseUrl, queues), inject: [AppConfig] }],
      exports: [WorkQueue],
    };
  }
}
