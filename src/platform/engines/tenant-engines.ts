import type { EngineName, TenantEngine } from '#engines';

/** DI token of `TenantEngines`. */
export const TENANT_ENGINES = Symbol('TENANT_ENGINES');

/** The engines that this version can back up; one that is missing is not built yet. */
export type TenantEngines = ReadonlyMap<EngineName, TenantEngine>;
