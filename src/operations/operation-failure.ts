import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { Logger } from '@nestjs/common';
import { AppError, asAppError, errorCatalogue, redact } from '#errors';
import { logFields } from '../platform/telemetry/log-context.js';
import type { OperationFailure } from './operation-handler.js';

const logger = new Logger('OperationFailure');

export function failureOf(error: AppError): OperationFailure {
  return { code: error.code, message: redact(error.message), retryable: errorCatalogue[error.code].retryable };
}

/** What people see of anything thrown: a catalogued error as it is, all else as INTERNAL with the id under which the log has the rest. */
export function failureOfAny(error: unknown, operationId: string): OperationFailure {
  const known = asAppError(error);
  if (known.code !== 'INTERNAL') return failureOf(known);
  const traceId = logFields().traceId ?? randomUUID();
  logger.error({ msg: 'An operation failed of an unexpected error', operationId, traceId, error: redact(inspect(known.cause ?? known)) });
  return failureOf(new AppError('INTERNAL', `Something went wrong inside Holdfast (traceId ${traceId})`));
}
