import { Global, Module } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { HealthController } from './health.controller.js';
import { HealthRegistry } from './health-registry.js';

/** Global, because every feature may have something to say. */
@Global()
@Module({ controllers: [HealthController], providers: [HealthRegistry], exports: [HealthRegistry] })
export class HealthModule {
  constructor(registry: HealthRegistry, dataSource: DataSource) {
    registry.register('database', async () => {
      await dataSource.query('select 1');
      return { state: 'ok' };
    });
  }
}
