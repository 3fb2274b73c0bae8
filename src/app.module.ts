import { type DynamicModule, Module } from '@nestjs/common';
import type { DestinationStream } from 'pino';
import { AccessModule } from './access/access.module.js';
import { AddressRulesModule } from './address-rules/address-rules.module.js';
import { AlertsModule } from './alerts/alerts.module.js';
import { ApprovalsModule } from './approvals/approvals.module.js';
import { AnnouncementsModule } from './announcements/announcements.module.js';
import { ApiKeysModule } from './api-keys/api-keys.module.js';
import { AuditModule } from './audit/audit.module.js';
import { BackupsModule } from './backups/backups.module.js';
import { ClassesModule } from './classes/classes.module.js';
import { CompareModule } from './compare/compare.module.js';
import type { AppConfig } from './config/app-config.js';
import { ConfigModule } from './config/config.module.js';
import { KeysModule } from './keys/keys.module.js';
import { BackgroundModule } from './platform/background/background.module.js';
import { AuthModule } from './platform/auth/auth.module.js';
import { EncryptionModule } from './encryption/encryption.module.js';
import { MaintenanceModule } from './maintenance/maintenance.module.js';
import { OperationsModule } from './operations/operations.module.js';
import { NotificationsModule } from './notifications/notifications.module.js';
import { DatabaseModule } from './platform/database/database.module.js';
import { DeparturesModule } from './departures/departures.module.js';
import { DestinationsModule } from './destinations/destinations.module.js';
import { DrillsModule } from './drills/drills.module.js';
import { EventsModule } from './platform/events/events.module.js';
import { GraphqlSupportModule } from './platform/graphql/graphql-support.module.js';
import { GuidanceModule } from './guidance/guidance.module.js';
import { HistoryModule } from './history/history.module.js';
import { HealthModule } from './platform/health/health.module.js';
import { HttpModule } from './platform/http/http.module.js';
import { LoggingModule } from './platform/logging/logging.module.js';
import { MetricsModule } from './platform/metrics/metrics.module.js';
import { TelemetryModule } from './platform/telemetry/telemetry.module.js';
import { PoliciesModule } from './policies/policies.module.js';
import { ReconcileModule } from './reconcile/reconcile.module.js';
import { ResetModule } from './reset/reset.module.js';
import { RestoreModule } from './restore/restore.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { SchedulesModule } from './schedules/schedules.module.js';
import { TenantsModule } from './tenants/tenants.module.js';
import { TransfersModule } from './transfers/transfers.module.js';

@Module({})
export class AppModule {
  /** The role picks the modules: the API answers requests, workers do the long work, `all` is both. */
  static forRoot(config: AppConfig, logStream?: DestinationStream): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(config),
        LoggingModule.forRoot(logStream),
        BackgroundModule,
        DatabaseModule,
        EventsModule,
        GraphqlSupportModule,
        HealthModule,
        HttpModule,
        MetricsModule,
        TelemetryModule,
        AuthModule,
        AuditModule,
        AccessModule,
        TenantsModule,
        ApiKeysModule,
        AddressRulesModule,
        OperationsModule,
        EncryptionModule,
        ClassesModule,
        PoliciesModule,
        ApprovalsModule,
        BackupsModule,
        MaintenanceModule,
        AnnouncementsModule,
        RestoreModule,
        ResetModule,
        CompareModule,
        TransfersModule,
        HistoryModule,
        GuidanceModule,
        AlertsModule,
        NotificationsModule,
        KeysModule,
        DrillsModule,
        ReconcileModule,
        SchedulesModule,
        RetentionModule,
        DestinationsModule,
        DeparturesModule,
        ...(config.runsApi ? [graphqlServer()] : []),
      ],
    };
  }
}

/** Loaded only where it is used: it is a good part of the program, and workers are to be small. */
async function graphqlServer(): Promise<DynamicModule> {
  const { GraphqlServerModule } = await import('./platform/graphql/graphql-server.module.js');
  return { module: GraphqlServerModule };
}
