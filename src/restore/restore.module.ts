import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ApprovalsModule } from '../approvals/approvals.module.js';
import { AnnouncementsModule } from '../announcements/announcements.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { MaintenanceModule } from '../maintenance/maintenance.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { StorageModule } from '../platform/storage/storage.module.js';
import { RetentionModule } from '../retention/retention.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { TransfersModule } from '../transfers/transfers.module.js';
import { CollectionReplacement } from './collection-replacement.js';
import { KeptDatabaseSweep } from './kept-database-sweep.js';
import { PointerUndo } from './pointer-undo.js';
import { RestoreApprovals } from './restore-approvals.js';
import { RestoreDestinations } from './restore-destinations.js';
import { RestoreDrill } from './restore-drill.js';
import { RestoreMaintenance } from './restore-maintenance.js';
import { RestoreRepoint } from './restore-repoint.js';
import { PlanChecks } from './plan-checks.js';
import { ReleaseHandler } from './release.handler.js';
import { ReleaseResolver } from './release.resolver.js';
import { RestoreCopy } from './restore-copy.js';
import { RestoreFinish } from './restore-finish.js';
import { RestoreMerge } from './restore-merge.js';
import { RestorePreparation } from './restore-preparation.js';
import { RestorePlanEntity } from './restore-plan.entity.js';
import { RestorePlanner } from './restore-planner.js';
import { RestorePlansRepository } from './restore-plans.repository.js';
import './restore-result.model.js';
import { RestoreRelease } from './restore-release.js';
import { RestoreResultResolver } from './restore-result.resolver.js';
import { RestoreSettlement } from './restore-settlement.js';
import { RestoreSources } from './restore-sources.js';
import { RestoreHandler } from './restore.handler.js';
import { OperationPlanResolver, RestoreSourceResolver, RestoresResolver } from './restores.resolver.js';
import { RestoresService } from './restores.service.js';
import { StageLeftOvers } from './stage-left-overs.js';
import { StageLeftOversRepository } from './stage-left-overs.repository.js';
import { StageRemoval } from './stage-removal.js';
import { RestoreUndo } from './restore-undo.js';
import { UndoHandler } from './undo.handler.js';
import { UndoResolver } from './undo.resolver.js';
import { UndoTerm } from './undo-term.js';

@Module({
  imports: [TypeOrmModule.forFeature([RestorePlanEntity]), AnnouncementsModule, ApprovalsModule, BackupsModule, EncryptionModule, MaintenanceModule, OperationsModule, PoliciesModule, RetentionModule, StorageModule, TenantsModule, TransfersModule],
  providers: [
    CollectionReplacement, KeptDatabaseSweep, OperationPlanResolver, PlanChecks, PointerUndo, ReleaseHandler, ReleaseResolver, RestoreApprovals, RestoreCopy, RestoreDestinations, RestoreDrill, RestoreFinish, RestoreHandler, RestoreMaintenance, RestoreMerge, RestorePlanner, RestorePlansRepository, RestorePreparation,
    RestoreRelease, RestoreRepoint, RestoreResultResolver, RestoreSettlement, RestoreSourceResolver, RestoreSources, RestoresResolver, RestoresService, RestoreUndo, StageLeftOvers, StageLeftOversRepository, StageRemoval, UndoHandler, UndoResolver, UndoTerm,
  ],
  exports: [CollectionReplacement, RestoreDrill, RestorePlanner, RestoreSettlement],
})
export class RestoreModule {}
