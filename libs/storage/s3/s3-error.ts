import { AppError } from '#errors';

const missingNames: ReadonlySet<string> = new Set(['NoSuchKey', 'NotFound']);
const fullNames: ReadonlySet<string> = new Set(['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'ENOSPC']);

/** What the store said, by the name that S3 gives it; the SDK's own words may hold addresses. */
export function s3Error(error: unknown, doing: string, key: string): AppError {
  if (error instanceof AppError) return error;
  const name = nameOf(error);
  if (missingNames.has(name)) return missing(key);
  if (name === 'PreconditionFailed') return new AppError('ARCHIVE_REPLACED', `The stored object ${key} was replaced while it was read`, { cause: error });
  if (name === 'InvalidRange') return new AppError('ARCHIVE_TRUNCATED', `The stored object ${key} ends too early`, { cause: error });
  if (fullNames.has(name) || statusOf(error) === 507) return new AppError('STORAGE_FULL', `The archive store is full: it failed while ${doing} ${key} (${name})`, { cause: error });
  return new AppError('STORAGE_UNAVAILABLE', `The archive store failed while ${doing} ${key} (${name})`, { cause: error });
}

/** Does it; what fails is told as `s3Error` tells it. */
export async function ask<T>(doing: string, key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw s3Error(error, doing, key);
  }
}

export function missing(key: string): AppError {
  return new AppError('ARCHIVE_MISSING', `The archive store has no object ${key}`);
}

export function isMissing(error: unknown): boolean {
  return missingNames.has(nameOf(error));
}

/** There is no such multipart upload: it was completed, or somebody discarded it. */
export function isNoSuchUpload(error: unknown): boolean {
  return nameOf(error) === 'NoSuchUpload';
}

/** Whoever asks may not know, or the store knows nothing of it. */
export function isUntold(error: unknown): boolean {
  const status = statusOf(error);
  return status === 403 || status === 405 || status === 501 || nameOf(error) === 'NotImplemented';
}

/** What was to be new is there already, or is just being written. */
export function isConflict(error: unknown): boolean {
  const status = statusOf(error);
  return status === 412 || status === 409;
}

/** The store does not know this kind of request. */
export function isUnknownRequest(error: unknown): boolean {
  return statusOf(error) === 501 || nameOf(error) === 'NotImplemented';
}

/** The store will not, which may have to do with a lock; stores tell that in different words. */
export function isRefused(error: unknown): boolean {
  const status = statusOf(error);
  return status !== null && status >= 400 && status < 500 && status !== 404 && status !== 429;
}

/** The bucket has no object lock, or an object none. */
export function isUnlockedBucket(error: unknown): boolean {
  return nameOf(error) === 'InvalidRequest' || nameOf(error) === 'ObjectLockConfigurationNotFoundError' || nameOf(error) === 'NoSuchObjectLockConfiguration';
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'Code' in error && typeof error.Code === 'string' ? error.Code : null;
  if (statusOf(error) === 404 && (error.name === 'Error' || error.name === 'UnknownError')) return 'NotFound';
  return error.name === 'Error' || error.name === 'TypeError' ? (code ?? error.name) : error.name;
}

function statusOf(error: unknown): number | null {
  const status = (error as { readonly $metadata?: { readonly httpStatusCode?: unknown } } | null)?.$metadata?.httpStatusCode;
  return typeof status === 'number' ? status : null;
}
