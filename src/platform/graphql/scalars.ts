import { CustomScalar, Scalar } from '@nestjs/graphql';
import { GraphQLError, Kind, type ValueNode } from 'graphql';

const dateTimePattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;

function parseDateTime(value: unknown): Date {
  if (typeof value === 'string' && dateTimePattern.test(value)) {
    const date = new Date(value);
    if (!Number.isNaN(date.getTime())) return date;
  }
  throw new GraphQLError('A DateTime is an ISO 8601 string with seconds and an offset, such as 2026-03-01T09:30:00Z');
}

@Scalar('DateTime', () => Date)
export class DateTimeScalar implements CustomScalar<string, Date> {
  readonly description = 'A point in time in ISO 8601; answers are in UTC, such as 2026-03-01T09:30:00.000Z.';
  parseValue = parseDateTime;
  parseLiteral(node: ValueNode): Date {
    return parseDateTime(node.kind === Kind.STRING ? node.value : null);
  }
  serialize(value: unknown): string {
    const date = value instanceof Date ? value : new Date(String(value));
    return date.toISOString();
  }
}

const int64Max = 2n ** 63n - 1n;

/** A count that may pass 2^53 crosses the wire as text. */
export type Int64 = bigint | number | string;

function parseInt64(value: unknown): bigint {
  if ((typeof value === 'string' && /^\d{1,19}$/.test(value)) || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)) {
    const parsed = BigInt(value);
    if (parsed <= int64Max) return parsed;
  }
  throw new GraphQLError('Expected a whole number from 0 to 9223372036854775807 as a string');
}

function parseInt64Literal(node: ValueNode): bigint {
  return parseInt64(node.kind === Kind.STRING || node.kind === Kind.INT ? node.value : null);
}

function printInt64(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value.toString();
  if (typeof value === 'string' && /^-?\d{1,19}$/.test(value)) return value;
  throw new TypeError('Not a whole number');
}

/** `@Field(() => ByteCount)` */
@Scalar('ByteCount')
export class ByteCount implements CustomScalar<string, bigint> {
  readonly description = 'A number of bytes, a 64-bit whole number as a string.';
  parseValue = parseInt64;
  parseLiteral = parseInt64Literal;
  serialize = printInt64;
}

/** `@Field(() => Count)` */
@Scalar('Count')
export class Count implements CustomScalar<string, bigint> {
  readonly description = 'A number of things, a 64-bit whole number as a string.';
  parseValue = parseInt64;
  parseLiteral = parseInt64Literal;
  serialize = printInt64;
}
