import { describe, expect, it } from '@jest/globals';
import { policyOf, presetDefaults, tenantPolicy } from './tenant-policy.js';

const none = { count: null, days: null, hourly: null, daily: null, weekly: null, monthly: null, yearly: null };

describe('the presets say what the products say', () => {
  it('accounting', () => {
    expect(presetDefaults('ACCOUNTING')).toMatchObject({
      encryption: 'OPTIONAL', // S0-80
      autoDownload: true, // S0-8
      allowDownload: true, // S0-19
      partialBackups: true, // S0-6
      partialRestores: true, // S0-33
      sandboxCadences: ['DAILY_AT', 'WEEKLY', 'MONTHLY'], // S0-14
      productionCadences: ['DAILY_AT', 'WEEKLY', 'MONTHLY'],
      retention: { ...none, mode: 'COUNT', count: 10 }, // S0-16
      scheduling: 'SELF_SERVICE', // S0-13
    });
  });

  it('organization admin', () => {
    expect(presetDefaults('ORG_ADMIN')).toMatchObject({
      productionCadences: ['EVERY_8H', 'EVERY_12H', 'EVERY_24H', 'EVERY_3_DAYS', 'EVERY_7_DAYS'], // S1-7
      selfServiceDelete: true, // S1-17
      scheduling: 'SELF_SERVICE', maxSchedules: 10, // S1-3
      partialBackups: false, // S1-9
      encryption: 'REQUIRED', // C6 does not name it: as without a preset
    });
  });

  it('managed', () => {
    expect(presetDefaults('MANAGED')).toMatchObject({
      encryption: 'REQUIRED', // S2-17, S2-18
      scheduling: 'PROVIDER_MANAGED', maxSchedules: 1, // S2-12
      defaultSchedule: { active: true, cadence: 'EVERY_15_DAYS', atTime: '01:00' }, // S2-9, S2-15
      productionCadences: ['EVERY_30_DAYS', 'EVERY_15_DAYS', 'EVERY_7_DAYS', 'EVERY_3_DAYS', 'EVERY_24H'], // S2-15, S2-33
      sandboxCadences: ['EVERY_30_DAYS', 'EVERY_15_DAYS', 'EVERY_7_DAYS', 'EVERY_3_DAYS', 'EVERY_24H', 'DAILY_AT'], // S2-33
      retention: { ...none, mode: 'BY_FREQUENCY' }, // S2-14
      allowDownload: false, // C11
      selfServiceDelete: false, // C12
      partialBackups: false, partialRestores: false, // S2-32
      uploadFormats: ['HOLDFAST'], // C13
      fileNameTemplate: '{label}_{yyyyMMdd_HHmmss}', // S2-21, C14
    });
  });

  it('asset', () => {
    expect(presetDefaults('ASSET')).toMatchObject({
      defaultSchedule: { active: false, cadence: 'DAILY_AT', atTime: '02:00' }, // S3-13
      retention: { ...none, mode: 'AGE', days: 30 }, // S3-13
      uploadFormats: ['HOLDFAST', 'DUMP'], // S3-21
      fileNameTemplate: 'backup_{db}_{yyyyMMdd_HHmmss}', // S3-2, C14
      pageSize: 10, // S3-11
      exportsInHistory: true, // S3-10, C10
      allowDownload: true, // S3-15
      encryption: 'OFF', // C6
    });
  });

  it('school', () => {
    expect(presetDefaults('SCHOOL')).toMatchObject({
      completedLabel: 'created', // S4-4
      encryption: 'OFF', // C6
      uploadFormats: ['HOLDFAST', 'DUMP', 'COMPRESSED_DUMP'], // S4-7
      allowDownload: true, selfServiceDelete: true, // S4-6
    });
  });
});

describe('a stored policy', () => {
  it('is filled in from its preset, and from nothing for rows that are older than policies', () => {
    expect(policyOf({})).toEqual(presetDefaults(null));
    expect(policyOf({ preset: 'ASSET', pageSize: 25 })).toEqual({ ...presetDefaults('ASSET'), pageSize: 25 });
  });

  it('is valid with each preset', () => {
    for (const preset of [null, 'ACCOUNTING', 'ORG_ADMIN', 'MANAGED', 'ASSET', 'SCHOOL'] as const) expect(tenantPolicy.parse(presetDefaults(preset))).toEqual(presetDefaults(preset));
  });
});
