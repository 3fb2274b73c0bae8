import { AppError } from '#errors';
import {
  MongoNetworkError,
  MongoNotConnectedError,
  MongoParseError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
  MongoError,
} from 'mongodb';

/** Server error codes that this engine tells apart. */
export const serverCode = {
  unauthorized: 13,
  authenticationFailed: 18,
  namespaceNotFound: 26,
  namespaceExists: 48,
  maxTimeExpired: 50,
  writeConflict: 112,
  cappedPositionLost: 136,
  commandNotSupportedOnView: 166,
  queryPlanKilled: 175,
  snapshotTooOld: 239,
  snapshotUnavailable: 246,
  collectionUuidMismatch: 361,
  backgroundOperationInProgress: 12587,
} as const;

/** The node is going away or is no longer primary, or someone there ended our command or our cursor. */
const lostCodes = new Set([6, 7, 43, 89, 91, 94, 134, 189, 211, 237, 262, 9001, 10107, 11600, 11601, 11602, 13435, 13436]);
/** The driver's and the server's own word for errors after which the same command may succeed. */
const lostLabels = ['PoolRequestedRetry', 'RetryableWriteError', 'RetryableError', 'NetworkError'];
const diskFullCodes = new Set([14031, 12501]);
const authenticationCodes = new Set([11, 18, 8000]);

/** The server's error code, or undefined for errors that the server did not send. */
export function serverCodeOf(error: unknown): number | undefined {
  return error instanceof MongoServerError && typeof error.code === 'number' ? error.code : undefined;
}

/**
 * Maps what the driver threw to an AppError of the catalogue; an AppError passes unchanged. The message names
 * `doing` ("reading collection \"x\"") and never repeats the driver's, which may quote documents, hosts or commands:
 * that stays in `cause`. What is in no class of its own becomes INTERNAL.
 */
export function toTargetError(error: unknown, doing: string): AppError {
  if (error instanceof AppError) return error;
  const cause = { cause: error };
  const code = serverCodeOf(error);
  if (code !== undefined) {
    if (authenticationCodes.has(code)) return new AppError('TARGET_AUTH_FAILED', 'The database server refused the user or the password', cause);
    if (code === serverCode.unauthorized) return new AppError('TARGET_PRIVILEGE_MISSING', `The database user lacks a privilege for ${doing}`, cause);
    if (diskFullCodes.has(code)) return new AppError('TARGET_FULL', `The database server ran out of disk space while ${doing}`, cause);
    if (code === serverCode.snapshotTooOld) return new AppError('SNAPSHOT_TOO_OLD', `The database server no longer holds the snapshot needed for ${doing}`, cause);
  }
  if (isLost(error)) return new AppError('TARGET_LOST', `The connection to the database was lost while ${doing}`, cause);
  if (error instanceof MongoServerError && /no space left|out of disk space/i.test(error.message)) {
    return new AppError('TARGET_FULL', `The database server ran out of disk space while ${doing}`, cause);
  }
  const told = code === undefined ? '' : ` (server code ${code})`;
  return new AppError('INTERNAL', `The database gave an unexpected answer while ${doing}${told}`, cause);
}

/** What a socket says of itself; the driver hands it on as it is when the other side ended the connection between two commands. */
const socketCodes = new Set<unknown>(['EPIPE', 'ECONNRESET', 'ENOTCONN', 'ETIMEDOUT', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END']);

/** True if the connection, the primary or the server behind it went away. */
export function isLost(error: unknown): boolean {
  if (
    error instanceof MongoNetworkError ||
    error instanceof MongoServerSelectionError ||
    error instanceof MongoNotConnectedError ||
    error instanceof MongoTopologyClosedError
  ) {
    return true;
  }
  const code = serverCodeOf(error);
  if (code !== undefined && lostCodes.has(code)) return true;
  if (typeof error === 'object' && error !== null && 'code' in error && socketCodes.has(error.code)) return true;
  return error instanceof MongoError && (lostLabels.some((label) => error.hasErrorLabel(label)) || error.name === 'MongoPoolClearedError' || error.name === 'MongoPoolClosedError');
}

export function isDriverError(error: unknown): boolean {
  return error instanceof MongoError;
}

/** Maps what connecting to a target threw: TARGET_INVALID, TARGET_AUTH_FAILED or TARGET_UNREACHABLE. */
export function toConnectError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const cause = { cause: error };
  if (error instanceof MongoParseError) return new AppError('TARGET_INVALID', 'The connection string of the database cannot be read', cause);
  const mapped = toTargetError(error, 'connecting');
  if (mapped.code === 'TARGET_AUTH_FAILED') return mapped;
  if (mapped.code === 'TARGET_PRIVILEGE_MISSING') return new AppError('TARGET_AUTH_FAILED', 'The database server asks for a user, or the user may not list its collections', cause);
  if (mapped.code === 'TARGET_LOST') return new AppError('TARGET_UNREACHABLE', 'No database server answers at the given address', cause);
  // A driver error without a server's code: options that exclude each other, a DNS answer that is missing, a certificate that is not trusted.
  return new AppError('TARGET_UNREACHABLE', 'The database server cannot be reached with this connection string', cause);
}

/** Throws the signal's own reason if it is aborted (CANCELED, LEASE_LOST, ...), else the mapped error. */
export function throwTargetError(error: unknown, doing: string, signal?: AbortSignal): never {
  if (signal?.aborted) throw signal.reason;
  throw toTargetError(error, doing);
}
