import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Paginated } from '../platform/graphql/connection.js';
import { Node } from '../platform/graphql/node.model.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';
import type { TenantEntity } from './tenant.entity.js';

export enum Engine {
  MONGODB = 'MONGODB',
  POSTGRESQL = 'POSTGRESQL',
  MYSQL = 'MYSQL',
}
registerEnumType(Engine, { name: 'Engine' });

export enum Environment {
  SANDBOX = 'SANDBOX',
  PRODUCTION = 'PRODUCTION',
}
registerEnumType(Environment, { name: 'Environment' });

export enum TenantStatus {
  ACTIVE = 'ACTIVE',
  MAINTENANCE = 'MAINTENANCE',
  SUSPENDED = 'SUSPENDED',
  DELETING = 'DELETING',
  DELETED = 'DELETED',
}
registerEnumType(TenantStatus, {
  name: 'TenantStatus',
  valuesMap: { DELETING: { description: 'Closed; its archives go when the time to take that back is over.' }, DELETED: { description: 'Its history is what is left of it.' } },
});

@ObjectType('DatabaseInfo', { description: 'The tenant\'s database as it is now; `error` says why the rest is unknown.' })
export class DatabaseInfoModel {
  @Field(() => String)
  name!: string;

  @Field(() => Engine)
  engine!: Engine;

  @Field(() => String, { nullable: true })
  version!: string | null;

  @Field(() => ByteCount, { nullable: true })
  sizeBytes!: number | null;

  @Field(() => Count, { nullable: true })
  collections!: number | null;

  @Field(() => Count, { nullable: true })
  documents!: number | null;

  @Field(() => String, { nullable: true })
  error!: string | null;
}

@ObjectType('MaintenanceState', { description: 'While it is on, the product keeps its users out.' })
export class MaintenanceStateModel {
  /** Of the operation that the maintenance is for, for its field resolver. */
  operationUuid!: string | null;

  @Field(() => Boolean)
  on!: boolean;

  @Field(() => Date, { nullable: true })
  since!: Date | null;

  @Field(() => String, { nullable: true })
  message!: string | null;

  @Field(() => Date, { nullable: true })
  acknowledgedAt!: Date | null;
}

@ObjectType('Tenant', { implements: () => [Node], description: 'A workspace of the product, with a database of its own.' })
export class TenantModel implements Node {
  readonly __typename = 'Tenant';

  /** For field resolvers; not part of the schema. */
  uuid!: string;

  /** For subscriptions; not part of the schema. */
  revision!: number;

  /** For `database`; not part of the schema. */
  databaseName!: string;

  /** For `storage`; not part of the schema. */
  quotaBytes!: bigint | null;

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  slug!: string;

  @Field(() => String)
  name!: string;

  @Field(() => Environment)
  environment!: Environment;

  @Field(() => Engine)
  engine!: Engine;

  @Field(() => TenantStatus)
  status!: TenantStatus;

  @Field(() => String, { description: 'IANA time zone.' })
  timeZone!: string;

  @Field(() => Boolean)
  suspended!: boolean;

  @Field(() => ByteCount, { nullable: true, description: 'What backups read of its database, and restores write, in a second. Null: what the installation allows.' })
  maxBytesPerSecond!: Int64 | null;

  @Field(() => MaintenanceStateModel)
  maintenance!: MaintenanceStateModel;

  @Field(() => Int, { description: 'Grows with each maintenance: end the sessions of an earlier epoch.' })
  sessionEpoch!: number;

  @Field(() => Date, { nullable: true, description: 'When a drill last restored a backup of it whole.' })
  lastProvenRestorableAt!: Date | null;

  @Field(() => Date)
  createdAt!: Date;
}

@ObjectType()
export class TenantConnection extends Paginated('Tenant', () => TenantModel) {}

function statusOf(row: TenantEntity): TenantStatus {
  if (row.deletedAt !== null) return TenantStatus.DELETED;
  if (row.deletionAskedAt !== null) return TenantStatus.DELETING;
  if (row.suspendedAt !== null) return TenantStatus.SUSPENDED;
  return row.maintenanceSince === null ? TenantStatus.ACTIVE : TenantStatus.MAINTENANCE;
}

export function toTenantModel(row: TenantEntity): TenantModel {
  return {
    __typename: 'Tenant',
    id: toGlobalId('Tenant', row.id),
    uuid: row.id,
    revision: row.revision,
    databaseName: row.targetDatabase,
    quotaBytes: row.quotaBytes,
    slug: row.slug,
    name: row.name,
    environment: Environment[row.environment],
    engine: Engine[row.engine],
    status: statusOf(row),
    timeZone: row.timeZone,
    suspended: row.suspendedAt !== null,
    maxBytesPerSecond: row.maxBytesPerSecond,
    maintenance: {
      operationUuid: row.maintenanceOperationId,
      on: row.maintenanceSince !== null,
      since: row.maintenanceSince,
      message: row.maintenanceMessage,
      acknowledgedAt: row.maintenanceAcknowledgedAt,
    },
    sessionEpoch: row.sessionEpoch,
    lastProvenRestorableAt: row.provenRestorableAt,
    createdAt: row.createdAt,
  };
}
