import { randomUUID } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { AppError, redact } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { isConnectionLoss } from '../database/connection-loss.js';
import { logFields } from '../telemetry/log-context.js';

/** Apollo's own codes for a request that is not fit to be run. */
const requestCodes = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'BAD_USER_INPUT',
  'BAD_REQUEST',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);

/** The one place where an error becomes an answer, over HTTP and over sockets. What nobody foresaw is logged here, once. */
@Injectable()
export class ErrorFormatter {
  private readonly logger = new Logger('GraphQL');

  constructor(private readonly config: AppConfig) {}

  format(error: unknown): GraphQLFormattedError {
    const cause = rootCause(error);
    const located = error instanceof GraphQLError ? error : null;
    const place = {
      ...(located?.locations === undefined ? {} : { locations: located.locations }),
      ...(located?.path === undefined ? {} : { path: located.path }),
    };
    if (cause instanceof AppError && cause.code !== 'INTERNAL') {
      return {
        message: cause.message,
        ...place,
        extensions: {
          code: cause.code,
          hint: cause.hint,
          ...(cause.retryAfterMs === undefined ? {} : { retryAfterMs: cause.retryAfterMs }),
        },
      };
    }
    if (cause instanceof GraphQLError && isRequestError(cause, located)) {
      return { message: this.withoutSuggestions(redact(requestMessage(error, cause))), ...place, extensions: { code: 'BAD_USER_INPUT', hint: new AppError('BAD_USER_INPUT', '').hint } };
    }
    const internal = new AppError('INTERNAL', 'Something went wrong inside Holdfast');
    const traceId = logFields().traceId ?? randomUUID();
    this.logger.error({ msg: 'A request failed', traceId, path: located?.path?.join('.'), err: cause });
    return { message: internal.message, ...place, extensions: { code: internal.code, hint: internal.hint, traceId } };
  }

  /** A schema that is not to be read must not be guessed by what GraphQL offers for misspelt names. */
  private withoutSuggestions(message: string): string {
    return this.config.introspection ? message : message.replace(/ ?Did you mean .+\?/gs, '');
  }
}

function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined) cause = cause.originalError;
  const origin = cause instanceof AppError && cause.code === 'INTERNAL' ? cause.cause : cause;
  // While PostgreSQL is away or starts up, the same request may succeed in a moment.
  return isConnectionLoss(origin) ? new AppError('UNAVAILABLE', "Holdfast's own database is away", { cause: origin }) : cause;
}

/** GraphQL's own message of a wrong variable holds the whole value, which may be a secret: of it the place alone is told. */
function requestMessage(error: unknown, cause: GraphQLError): string {
  for (let outer = error; outer instanceof GraphQLError && outer.originalError !== undefined; outer = outer.originalError) {
    const [, variable] = /^Variable "\$(\w+)" got invalid value /.exec(outer.message) ?? [];
    const tail = `; ${outer.originalError.message}`;
    if (variable === undefined || !outer.message.endsWith(tail)) continue;
    const [, path] = / at "([^"\\]+)"$/.exec(outer.message.slice(0, -tail.length)) ?? [];
    return `${path ?? variable}: ${cause.message}`;
  }
  return cause.message;
}

/**
 * True for what the client wrote wrongly. Errors of the request point at its text or carry a code of Apollo's; an error without either, at
 * a path of the answer, comes from printing a value of ours.
 */
function isRequestError(cause: GraphQLError, located: GraphQLError | null): boolean {
  const code = located?.extensions['code'] ?? cause.extensions['code'];
  if (typeof code === 'string' && code !== 'INTERNAL_SERVER_ERROR') return requestCodes.has(code);
  return located?.path === undefined || cause.nodes !== undefined;
}
