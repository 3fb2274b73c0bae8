import { types } from 'node:util';
import { AppError, errorCatalogue, redact } from '#errors';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import { sqlState } from '../platform/database/data-source.js';

const ofFile: Readonly<Record<string, string>> = {
  EEXIST: 'is there already and is never written over; name another file',
  ENOENT: 'is not there; check the path',
  EACCES: 'may not be read or written by this user; change its rights, or name another file',
  EPERM: 'may not be read or written by this user; change its rights, or name another file',
  EISDIR: 'is a folder; name a file',
  ENOSPC: 'cannot be written, its disk is full; make room, or name another file',
  EROFS: 'cannot be written, its disk is read-only; name another file',
};

/** In one line: what went wrong, with what, and what to do. @param databaseUrl null where the configuration itself is wrong */
export function explain(error: unknown, databaseUrl: string | null): string {
  if (error instanceof AppError) return `${error.code}: ${redact(error.message)}. ${errorCatalogue[error.code].hint}`;
  if (!types.isNativeError(error)) return redact(String(error));
  const { code, path } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : ofFile[code];
  if (path !== undefined && known !== undefined) return `${path} ${known} (${code})`;
  const told = redact(error.message || error.name);
  if (databaseUrl === null || (!isConnectionLoss(error) && sqlState(error) === null && !isNameUnknown(code))) return told;
  return `PostgreSQL at ${new URL(databaseUrl).host}: ${reasonOf(code, told)}. See that it runs and that DATABASE_URL names it rightly`;
}

function isNameUnknown(code?: string): boolean {
  return code === 'ENOTFOUND' || code === 'EAI_AGAIN';
}

/** Where a name has several addresses the error has no message of its own. */
function reasonOf(code: string | undefined, told: string): string {
  if (code === 'ECONNREFUSED') return `nothing takes connections there (${code})`;
  if (isNameUnknown(code)) return `this name is not known (${code})`;
  return told;
}
