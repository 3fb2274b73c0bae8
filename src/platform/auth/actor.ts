export type ActorKind = 'ACCOUNT' | 'HOST_PRODUCT' | 'API_KEY' | 'SYSTEM';

/** A role in one tenant that the host product's own token carries; the tenant is named by its slug or its uuid. */
export interface ClaimedMembership {
  readonly tenant: string;
  readonly role: string;
}

/** What an API key may do, and in which tenant; null: in each. */
export interface KeyGrants {
  readonly tenantId: string | null;
  readonly permissions: readonly string[];
}

/** Who makes a call. Made anew for each request and each subscription, from a token that was checked. */
export interface Actor {
  /** Stable over logins and processes, `account:<uuid>` for example: the scope of idempotency keys and of rate limits. */
  readonly id: string;
  readonly kind: ActorKind;
  /** Of an embedded account. */
  readonly accountId: string | null;
  /** Lower case; null when a host product's token carries none that it vouches for. */
  readonly email: string | null;
  /** In E.164; of a host product's token that vouches for it. */
  readonly phone: string | null;
  readonly name: string | null;
  readonly isProvider: boolean;
  readonly timeZone: string;
  /** The client's IP address, seen through trusted proxies alone. */
  readonly address: string;
  readonly tokenId: string | null;
  readonly tokenExpiresAt: Date | null;
  /** When the person last proved who they are; refreshing a token does not. Null for tokens of a host product that do not say (`auth_time`). */
  readonly loggedInAt: Date | null;
  readonly memberships: readonly ClaimedMembership[];
  /** Of an API key; null for people. */
  readonly grants: KeyGrants | null;
}

/** What is kept of an actor beside a row or an event: `startedBy`, `createdBy`, the audit log. */
export interface ActorStamp {
  readonly [key: string]: string | null;
  readonly id: string;
  readonly kind: ActorKind;
  readonly email: string | null;
  readonly name: string | null;
}

export function stampOf(actor: Actor): ActorStamp {
  return { id: actor.id, kind: actor.kind, email: actor.email, name: actor.name };
}
