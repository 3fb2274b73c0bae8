import type { Actor } from './actor.js';

export interface TenantsByAddress {
  /** Tenants that the actor may use from where the call comes from. */
  readonly open: readonly string[];
  /** Tenants of the actor's whose address rules refuse it. */
  readonly closed: readonly string[];
}

/** Knows the address rules of tenants; the access feature provides it. */
export abstract class AddressGate {
  abstract tenantsByAddress(actor: Actor): Promise<TenantsByAddress>;
}
