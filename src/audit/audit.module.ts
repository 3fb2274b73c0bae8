import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuditEventEntity } from './audit-event.entity.js';
import { AuditResolver } from './audit.resolver.js';
import { AuditRetention } from './audit-retention.js';
import { AuditService } from './audit.service.js';

/** Global, because every feature records what it did. `Tenant.auditEvents` is resolved by the tenants feature. */
@Global()
@Module({ imports: [TypeOrmModule.forFeature([AuditEventEntity])], providers: [AuditService, AuditRetention, AuditResolver], exports: [AuditService] })
export class AuditModule {}
