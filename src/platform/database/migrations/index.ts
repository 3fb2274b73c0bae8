import { Foundation1763700000000 } from './1763700000000-foundation.js';
import { Uploads1763715600000 } from './1763715600000-uploads.js';
import { Webhooks1763719200000 } from './1763719200000-webhooks.js';
import { PartialBackups1763720100000 } from './1763720100000-partial-backups.js';
import { DatabaseClaims1763730000000 } from './1763730000000-database-claims.js';
import { BackupLeftovers1763730100000 } from './1763730100000-backup-leftovers.js';
import { PlanExpiry1763730200000 } from './1763730200000-plan-expiry.js';
import { DirectUploads1763740000000 } from './1763740000000-direct-uploads.js';
import { PolicyChanges1763760000000 } from './1763760000000-policy-changes.js';
import { Schedules1763765000000 } from './1763765000000-schedules.js';
import { AuditChain1763780000000 } from './1763780000000-audit-chain.js';
import { OperationTrace1763780100000 } from './1763780100000-operation-trace.js';
import { HistoryExports1763780200000 } from './1763780200000-history-exports.js';
import { DataClasses1763790000000 } from './1763790000000-data-classes.js';
import { Alerts1763791000000 } from './1763791000000-alerts.js';
import { DiscardedArchives1763792000000 } from './1763792000000-discarded-archives.js';
import { Drills1763793000000 } from './1763793000000-drills.js';
import { StageLeftOvers1763800000000 } from './1763800000000-stage-left-overs.js';
import { Retention1763803000000 } from './1763803000000-retention.js';
import { FairClaims1763804000000 } from './1763804000000-fair-claims.js';
import { ListIndexes1763804100000 } from './1763804100000-list-indexes.js';
import { TransferRates1763804200000 } from './1763804200000-transfer-rates.js';
import { Resets1763805000000 } from './1763805000000-resets.js';
import { Announcements1763805100000 } from './1763805100000-announcements.js';
import { AddressRules1763806000000 } from './1763806000000-address-rules.js';
import { Approvals1763806100000 } from './1763806100000-approvals.js';
import { TenantDeletion1763807000000 } from './1763807000000-tenant-deletion.js';
import { BackupCopies1763807100000 } from './1763807100000-backup-copies.js';
import { PlainArchives1763810000000 } from './1763810000000-plain-archives.js';
import { StoreLocks1763811000000 } from './1763811000000-store-locks.js';
import { LoginLimits1763816000000 } from './1763816000000-login-limits.js';
import { ApiKeys1763817000000 } from './1763817000000-api-keys.js';
import { StoreIdentities1763820000000 } from './1763820000000-store-identities.js';
import { OperationOutlines1763830000000 } from './1763830000000-operation-outlines.js';
import { SnapshotLosses1763840000000 } from './1763840000000-snapshot-losses.js';

/** In the order in which they run; one that has shipped is never edited. */
export const migrations = [
  Foundation1763700000000,
  Uploads1763715600000,
  Webhooks1763719200000,
  PartialBackups1763720100000,
  DatabaseClaims1763730000000,
  BackupLeftovers1763730100000,
  PlanExpiry1763730200000,
  DirectUploads1763740000000,
  PolicyChanges1763760000000,
  Schedules1763765000000,
  AuditChain1763780000000,
  OperationTrace1763780100000,
  HistoryExports1763780200000,
  DataClasses1763790000000,
  Alerts1763791000000,
  DiscardedArchives1763792000000,
  Drills1763793000000,
  StageLeftOvers1763800000000,
  Retention1763803000000,
  FairClaims1763804000000,
  ListIndexes1763804100000,
  TransferRates1763804200000,
  Resets1763805000000,
  Announcements1763805100000,
  AddressRules1763806000000,
  Approvals1763806100000,
  TenantDeletion1763807000000,
  BackupCopies1763807100000,
  PlainArchives1763810000000,
  StoreLocks1763811000000,
  LoginLimits1763816000000,
  ApiKeys1763817000000,
  StoreIdentities1763820000000,
  OperationOutlines1763830000000,
  SnapshotLosses1763840000000,
];
