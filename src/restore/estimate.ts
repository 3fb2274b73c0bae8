import type { EstimateRow } from './restore-plan.entity.js';

// Slow enough for a busy server of two cores; an estimate that is too long disappoints nobody.
const stageBytesPerMs = 15_000;
const safetyBytesPerMs = 30_000;
const copyBytesPerMs = 10_000;
const mergeDocumentsPerMs = 10;
const fixedMs = 3_000;
const downtimePerNamespaceMs = 4;
const fixedDowntimeMs = 500;
const longestMs = 2 ** 31 - 1;

export interface RestoreSize {
  readonly documents: number;
  readonly bytes: number;
  readonly liveBytes: number;
  readonly namespaces: number;
  /** Of both sides: they are copied in maintenance, where others are renamed. */
  readonly timeSeriesBytes: number;
  /** It writes document by document, in maintenance. */
  readonly isMerge: boolean;
  /** How long the product's word is awaited at most; null for a restore without maintenance. */
  readonly acknowledgementMs: number | null;
}

export function estimateOf({ documents, bytes, liveBytes, namespaces, timeSeriesBytes, isMerge, acknowledgementMs }: RestoreSize): EstimateRow {
  const mergeMs = isMerge ? Math.ceil(Math.max(bytes / copyBytesPerMs, documents / mergeDocumentsPerMs)) : 0;
  const swapMs = fixedDowntimeMs + namespaces * downtimePerNamespaceMs + Math.ceil(timeSeriesBytes / copyBytesPerMs) + mergeMs;
  const downtimeMs = acknowledgementMs === null ? 0 : swapMs + acknowledgementMs;
  // The archive is read, staged and read again; live data are read for the safety backup.
  const durationMs = Math.round(fixedMs + bytes / stageBytesPerMs + liveBytes / safetyBytesPerMs + swapMs + (acknowledgementMs ?? 0));
  return { durationMs: Math.min(durationMs, longestMs), downtimeMs: Math.min(downtimeMs, longestMs), acknowledgementMs: acknowledgementMs ?? 0, bytes };
}
