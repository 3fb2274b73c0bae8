import { errorCatalogue, type ErrorCode, type ErrorEntry } from './catalogue.js';

export interface AppErrorDetails extends ErrorOptions {
  /** Path of the input field at fault, such as `['confirmName']`. */
  readonly field?: readonly string[];
  /** Milliseconds after which the same request may succeed; only with RATE_LIMITED. */
  readonly retryAfterMs?: number;
}

/**
 * The only error type that may leave the process. `message` is sentence case without a final period and holds no
 * secret and no id of another tenant; `cause` stays inside.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly field: readonly string[];
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: AppErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.field = details.field ?? [];
    this.retryAfterMs = details.retryAfterMs;
  }

  get entry(): ErrorEntry {
    return errorCatalogue[this.code];
  }

  get hint(): string {
    return this.entry.hint;
  }
}

/** Returns `error` if it is an AppError, else an INTERNAL one that keeps it as its cause. */
export function asAppError(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError('INTERNAL', 'Something went wrong inside Holdfast', { cause: error });
}
