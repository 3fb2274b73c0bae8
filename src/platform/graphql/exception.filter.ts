import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { AppError, type ErrorCode } from '#errors';
import { ErrorFormatter } from './error-formatter.js';

const statusOfCode: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  ADDRESS_REFUSED: 403,
  NOT_FOUND: 404,
  BAD_USER_INPUT: 400,
  RATE_LIMITED: 429,
  MAINTENANCE: 503,
  UNAVAILABLE: 503,
  INTERNAL: 500,
  OPERATION_ALREADY_RUNNING: 409,
  DOWNLOAD_EXPIRED: 410,
  ARCHIVE_MISSING: 410,
  UPLOAD_EXPIRED: 410,
  UPLOAD_CONFLICT: 409,
  UPLOAD_BUSY: 423,
  ARCHIVE_TOO_LARGE: 413,
  STORAGE_UNAVAILABLE: 503,
  STORE_CHANGED: 503,
  STORAGE_FULL: 507,
};

/**
 * GraphQL errors pass through to the formatter untouched and unlogged; what a REST route throws is answered as
 * `{ "error": { code, message, hint } }`.
 */
@Injectable()
@Catch()
export class ExceptionToAnswerFilter implements ExceptionFilter {
  constructor(private readonly formatter: ErrorFormatter) {}

  catch(exception: unknown, host: ArgumentsHost): unknown {
    if (host.getType<string>() === 'graphql') return exception instanceof Error ? exception : new Error(String(exception));
    const response = host.switchToHttp().getResponse<Response>();
    const { status, error } = this.answer(exception);
    if (response.headersSent) response.destroy();
    else response.status(status).json({ error });
    return undefined;
  }

  private answer(exception: unknown): { status: number; error: Record<string, unknown> } {
    const status = exception instanceof HttpException ? exception.getStatus() : clientStatus(exception);
    if (status !== null && status < 500) {
      const code = status === 404 ? 'NOT_FOUND' : 'BAD_USER_INPUT';
      const message = status === 404 ? 'There is nothing at this address' : status === 413 ? 'The request is too large' : 'The request cannot be read';
      return { status, error: { code, message, hint: new AppError(code, message).hint } };
    }
    const { message, extensions } = this.formatter.format(exception);
    const code = exception instanceof AppError ? exception.code : 'INTERNAL';
    return { status: statusOfCode[code] ?? (exception instanceof AppError ? 422 : 500), error: { message, ...extensions } };
  }
}

/** The status that Express's body parser puts on its errors. */
function clientStatus(exception: unknown): number | null {
  if (exception instanceof AppError || !(exception instanceof Error) || !('status' in exception) || typeof exception.status !== 'number') return null;
  return exception.status >= 400 && exception.status < 500 ? exception.status : null;
}
