import { redact } from '#errors';

const secretNames = new Set(['password', 'passwordhash', 'newpassword', 'uri', 'databaseurl', 'authorization', 'cookie', 'token', 'accesstoken', 'secret', 'secretkey', 'targetcipher', 'key', 'code']);
const maxDepth = 6;

/**
 * A copy of what is to be logged without secrets: fields that are named like one lose their value, every other text passes the redactor.
 * `code` is hidden where it is made of digits alone: an error's code is made of letters.
 */
export function redactFields(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (depth >= maxDepth || Buffer.isBuffer(value) || ArrayBuffer.isView(value)) return '[...]';
  if (value instanceof Error) return describeError(value, depth);
  if (Array.isArray(value)) return value.slice(0, 100).map((one) => redactFields(one, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, one]: [string, unknown]) => [name, isSecret(name, one) ? '***' : redactFields(one, depth + 1)]),
  );
}

function isSecret(name: string, value: unknown): boolean {
  if (value === null || value === undefined || !secretNames.has(name.toLowerCase())) return false;
  return name.toLowerCase() !== 'code' || (typeof value === 'string' && /^\d+$/.test(value) && value.length !== 5);
}

/** Errors of drivers carry the query and its parameters, the connection's options and more: only these four fields are logged. */
function describeError(error: Error, depth: number): Record<string, unknown> {
  const code = 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? error.code : undefined;
  return {
    type: error.constructor.name,
    message: redact(error.message),
    ...(code === undefined ? {} : { code }),
    ...(error.stack === undefined ? {} : { stack: redact(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: redactFields(error.cause, depth + 1) }),
  };
}
