import { Module } from '@nestjs/common';
import { MongodbEngine } from '#engines';
import { TENANT_ENGINES, type TenantEngines } from './tenant-engines.js';

@Module({
  providers: [{ provide: TENANT_ENGINES, useFactory: (): TenantEngines => new Map([['MONGODB', new MongodbEngine()]]) }],
  exports: [TENANT_ENGINES],
})
export class EnginesModule {}
