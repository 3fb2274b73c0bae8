import { registerEnumType } from '@nestjs/graphql';

export const PolicyPreset = { ACCOUNTING: 'ACCOUNTING', ORG_ADMIN: 'ORG_ADMIN', MANAGED: 'MANAGED', ASSET: 'ASSET', SCHOOL: 'SCHOOL' } as const;
export type PolicyPreset = keyof typeof PolicyPreset;
registerEnumType(PolicyPreset, { name: 'PolicyPreset', description: 'How one of the products wants it.' });

export const EncryptionPolicy = { REQUIRED: 'REQUIRED', OPTIONAL: 'OPTIONAL', OFF: 'OFF' } as const;
export type EncryptionPolicy = keyof typeof EncryptionPolicy;
registerEnumType(EncryptionPolicy, { name: 'EncryptionPolicy' });

export const SchedulingPolicy = { SELF_SERVICE: 'SELF_SERVICE', PROVIDER_MANAGED: 'PROVIDER_MANAGED' } as const;
export type SchedulingPolicy = keyof typeof SchedulingPolicy;
registerEnumType(SchedulingPolicy, { name: 'SchedulingPolicy' });

export const Cadence = {
  MONTHLY: 'MONTHLY', WEEKLY: 'WEEKLY', DAILY_AT: 'DAILY_AT', EVERY_8H: 'EVERY_8H', EVERY_12H: 'EVERY_12H', EVERY_24H: 'EVERY_24H',
  EVERY_3_DAYS: 'EVERY_3_DAYS', EVERY_7_DAYS: 'EVERY_7_DAYS', EVERY_15_DAYS: 'EVERY_15_DAYS', EVERY_30_DAYS: 'EVERY_30_DAYS', CRON: 'CRON',
} as const;
export type Cadence = keyof typeof Cadence;
registerEnumType(Cadence, { name: 'Cadence' });

export const CatchUp = { RUN_ONCE: 'RUN_ONCE', SKIP: 'SKIP' } as const;
export type CatchUp = keyof typeof CatchUp;
registerEnumType(CatchUp, { name: 'CatchUp', description: 'What happens to runs that were missed while nothing ran.' });

export const ApprovalAction = { RESTORE: 'RESTORE', RESET: 'RESET', DELETE_PERMANENTLY: 'DELETE_PERMANENTLY', DOWNLOAD: 'DOWNLOAD' } as const;
export type ApprovalAction = keyof typeof ApprovalAction;
registerEnumType(ApprovalAction, { name: 'ApprovalAction', description: 'What may need the agreement of a second person.' });

export const UploadFormat = { HOLDFAST: 'HOLDFAST', DUMP: 'DUMP', COMPRESSED_DUMP: 'COMPRESSED_DUMP' } as const;
export type UploadFormat = keyof typeof UploadFormat;
registerEnumType(UploadFormat, { name: 'UploadFormat', description: "What an uploaded file is by its bytes: an encrypted archive of Holdfast, or a dump of the engine's own tool, compressed or not." });

export const ResetCodes = { EITHER: 'EITHER', EMAIL: 'EMAIL', SMS: 'SMS', BOTH: 'BOTH' } as const;
export type ResetCodes = keyof typeof ResetCodes;
registerEnumType(ResetCodes, {
  name: 'ResetCodes',
  description: 'Over which channels a person is sent a code before a reset.',
  valuesMap: { EITHER: { description: 'One of them, as the person chooses.' }, BOTH: { description: 'E-mail and SMS, both.' } },
});
