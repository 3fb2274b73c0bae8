import { sqlState } from './data-source.js';

/**
 * Whether PostgreSQL was away (restarted, unreachable, out of connections) rather than refused the statement, so that the same statement may
 * succeed later. Whether it took effect the first time is not known.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const state = sqlState(error);
  // 08 connection exception, 57P0x shutdown and start-up, 53 out of connections or memory.
  if (state !== null) return /^(08|57P0|53)/.test(state);
  if ('code' in error && typeof error.code === 'string' && /^E(CONN|PIPE|HOST|NET|TIMEDOUT|NOENT)/.test(error.code)) return true;
  const message = 'message' in error ? String(error.message) : '';
  return /connection (terminated|ended|timeout)|timeout (expired|exceeded)|client (has encountered|was closed)|not queryable|cannot use a pool|driver not connected/i.test(message);
}
