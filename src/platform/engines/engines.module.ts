import { Module } from '@nestjs/common';
import { TENANT_ENGINES, type TenantEngines } from './tenant-engines.js';

@Module({
  providers: [{ provide: TENANT_ENGINES, useFactory: (): TenantEngines => new Map() }],
  exports: [TENANT_ENGINES],
})
export class EnginesModule {}
