import { Module } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppConfig } from '../../config/app-config.js';
import { HealthRegistry } from '../health/health-registry.js';
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
export class EventsModule {
  constructor(registry: HealthRegistry, bus: EventBus) {
    registry.register('events', () => Promise.resolve(bus.isListening ? { state: 'ok' } : { state: 'warning', message: 'Subscriptions wait for the database' }));
  }
}
