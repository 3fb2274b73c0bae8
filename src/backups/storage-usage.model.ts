import { Field, ObjectType } from '@nestjs/graphql';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';
import { ObjectLockModel } from './object-lock.model.js';
import type { StorageTotals } from './backups.repository.js';

@ObjectType('StorageUsage')
export class StorageUsageModel {
  @Field(() => ByteCount, { description: 'What counts against the quota: every stored backup but the safety backups.' })
  usedBytes!: Int64;

  @Field(() => ByteCount, { nullable: true, description: 'Null: unlimited.' })
  quotaBytes!: Int64 | null;

  @Field(() => ByteCount, { description: 'Safety backups, kept outside the quota.' })
  safetyBytes!: Int64;

  @Field(() => Count)
  backups!: Int64;

  @Field(() => ObjectLockModel, { nullable: true, description: 'Of the main store; those of destinations are with them.' })
  objectLock!: ObjectLockModel | null;

  @Field(() => String, { nullable: true })
  warning!: string | null;
}

const warnFrom = 0.8;

export function toStorageUsage(totals: StorageTotals, quotaBytes: number | null, objectLock: ObjectLockModel | null = null): StorageUsageModel {
  return { ...totals, quotaBytes, objectLock, warning: warningOf(totals.usedBytes, quotaBytes) };
}

function warningOf(usedBytes: number, quotaBytes: number | null): string | null {
  if (quotaBytes === null) return null;
  if (usedBytes >= quotaBytes) return 'The storage quota is used up: no backup can be written until old ones are deleted';
  const percent = Math.floor((usedBytes / quotaBytes) * 100);
  return usedBytes >= quotaBytes * warnFrom ? `${percent} % of the storage quota is used` : null;
}
