import { AsyncLocalStorage } from 'node:async_hooks';

export interface LogFields {
  readonly traceId?: string;
  readonly operationId?: string;
  readonly tenantId?: string;
  readonly kind?: string;
}

const storage = new AsyncLocalStorage<LogFields>();

/** Every line that is logged in `work`, and in whatever it starts, carries these fields. For log lines alone: nothing is decided by them. */
export function withLogFields<T>(fields: LogFields, work: () => T): T {
  return storage.run({ ...storage.getStore(), ...fields }, work);
}

export function logFields(): LogFields {
  return storage.getStore() ?? {};
}
