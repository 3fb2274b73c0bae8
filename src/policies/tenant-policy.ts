import { z } from 'zod';
import { fileNameTemplate } from './file-name-template.js';
import { ApprovalAction, Cadence, CatchUp, EncryptionPolicy, PolicyPreset, ResetCodes, SchedulingPolicy, UploadFormat } from './policy-enums.js';
import { retentionRule } from './retention-rule.js';

const cadences = z.array(z.enum(Cadence)).min(1);

/** What a tenant's policy says, whole. */
export const tenantPolicy = z.strictObject({
  preset: z.enum(PolicyPreset).nullable(),
  encryption: z.enum(EncryptionPolicy),
  allowDownload: z.boolean(),
  autoDownload: z.boolean(),
  selfServiceDelete: z.boolean(),
  uploadFormats: z.array(z.enum(UploadFormat)),
  partialBackups: z.boolean(),
  partialRestores: z.boolean(),
  scheduling: z.enum(SchedulingPolicy),
  maxSchedules: z.int().min(1).max(100),
  sandboxCadences: cadences,
  productionCadences: cadences,
  catchUp: z.enum(CatchUp),
  /** What a frontend offers for a new schedule. */
  defaultSchedule: z.strictObject({ active: z.boolean(), cadence: z.enum(Cadence), atTime: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/) }),
  /** Of the backups that schedules and crons take. */
  retention: retentionRule,
  /** Of those that people take. */
  manualRetention: retentionRule,
  resetCodes: z.enum(ResetCodes),
  /** Whether a restore or a reset ends the sessions of the product's users. */
  endSessions: z.boolean(),
  fileNameTemplate,
  exportsInHistory: z.boolean(),
  completedLabel: z.string().trim().min(1).max(40),
  pageSize: z.int().min(1).max(100),
  /** How old a login may be that starts a restore, an undo or a reset; 0: as old as it likes. */
  stepUpMinutes: z.int().min(0).max(1440),
  /** What needs a second person. */
  approvals: z.array(z.enum(ApprovalAction)),
});
export type TenantPolicy = z.output<typeof tenantPolicy>;

/** What is stored: the preset and what differs from it. A field that came later has its default. */
export const storedPolicy = tenantPolicy.partial();
export type StoredPolicy = z.output<typeof storedPolicy>;

const allCadences = Object.values(Cadence);
/** S1-7. */
const hourlyToWeekly = ['EVERY_8H', 'EVERY_12H', 'EVERY_24H', 'EVERY_3_DAYS', 'EVERY_7_DAYS'] as const;
/** S2-15; DAILY_AT comes to it in a sandbox, S2-33. */
const assigned = ['EVERY_30_DAYS', 'EVERY_15_DAYS', 'EVERY_7_DAYS', 'EVERY_3_DAYS', 'EVERY_24H'] as const;

const byFrequency = retentionRule.parse({ mode: 'BY_FREQUENCY' });

/** Without a preset everything is allowed, and encrypted. */
const base: TenantPolicy = {
  preset: null,
  encryption: 'REQUIRED',
  allowDownload: true,
  autoDownload: false,
  selfServiceDelete: true,
  uploadFormats: ['HOLDFAST', 'DUMP', 'COMPRESSED_DUMP'],
  partialBackups: true,
  partialRestores: true,
  scheduling: 'SELF_SERVICE',
  maxSchedules: 10,
  sandboxCadences: allCadences,
  productionCadences: allCadences,
  catchUp: 'RUN_ONCE',
  defaultSchedule: { active: true, cadence: 'EVERY_15_DAYS', atTime: '01:00' },
  retention: byFrequency,
  manualRetention: retentionRule.parse({ mode: 'FOREVER' }),
  resetCodes: 'EITHER',
  endSessions: true,
  fileNameTemplate: '{label}_{yyyyMMdd_HHmmss}_{id}',
  exportsInHistory: false,
  completedLabel: 'completed',
  pageSize: 50,
  stepUpMinutes: 0,
  approvals: [],
};

const presets: Readonly<Record<PolicyPreset, Partial<Omit<TenantPolicy, 'preset'>>>> = {
  ACCOUNTING: {
    encryption: 'OPTIONAL', autoDownload: true, maxSchedules: 1,
    defaultSchedule: { active: false, cadence: 'DAILY_AT', atTime: '01:00' },
    sandboxCadences: ['DAILY_AT', 'WEEKLY', 'MONTHLY'], productionCadences: ['DAILY_AT', 'WEEKLY', 'MONTHLY'], retention: retentionRule.parse({ mode: 'COUNT', count: 10 }),
  },
  ORG_ADMIN: {
    defaultSchedule: { active: true, cadence: 'EVERY_24H', atTime: '01:00' }, partialBackups: false, partialRestores: false, sandboxCadences: [...hourlyToWeekly], productionCadences: [...hourlyToWeekly],
  },
  MANAGED: {
    allowDownload: false, selfServiceDelete: false, uploadFormats: ['HOLDFAST'], partialBackups: false, partialRestores: false, scheduling: 'PROVIDER_MANAGED', maxSchedules: 1,
    sandboxCadences: [...assigned, 'DAILY_AT'], productionCadences: [...assigned], fileNameTemplate: '{label}_{yyyyMMdd_HHmmss}',
  },
  ASSET: {
    encryption: 'OFF', partialBackups: false, partialRestores: false, maxSchedules: 1, sandboxCadences: ['DAILY_AT'], productionCadences: ['DAILY_AT'],
    uploadFormats: ['HOLDFAST', 'DUMP'], defaultSchedule: { active: false, cadence: 'DAILY_AT', atTime: '02:00' },
    retention: retentionRule.parse({ mode: 'AGE', days: 30 }), exportsInHistory: true, pageSize: 10, fileNameTemplate: 'backup_{db}_{yyyyMMdd_HHmmss}',
  },
  SCHOOL: { encryption: 'OFF', partialBackups: false, partialRestores: false, completedLabel: 'created' },
};

export function presetDefaults(preset: PolicyPreset | null): TenantPolicy {
  return preset === null ? base : { ...base, ...presets[preset], preset };
}

/** Fills in what a row does not say. */
export function policyOf(stored: unknown): TenantPolicy {
  const known = storedPolicy.parse(stored);
  return tenantPolicy.parse({ ...presetDefaults(known.preset ?? null), ...known });
}

export type PolicyKey = keyof TenantPolicy;

/** What a workspace's own people may set; the rest is the provider's. */
export const ofTenants: ReadonlySet<PolicyKey> = new Set<PolicyKey>(['autoDownload', 'catchUp', 'retention', 'manualRetention', 'exportsInHistory', 'completedLabel', 'pageSize']);
