import { Module } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppConfig } from '../../config/app-config.js';
import { EventBus } from './event-bus.js';

@Module({
  providers: [
    {
      provide: EventBus,
      useFactory: (config: AppConfig, dataSource: DataSource) => new EventBus(config.databaseUrl, dataSource),
      inject: [AppConfig, DataSource],
    },
  ],
  exports: [EventBus],
})
export class EventsModule {}
