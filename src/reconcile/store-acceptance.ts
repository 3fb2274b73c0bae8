import { Injectable } from '@nestjs/common';
import { AuditService } from '../audit/audit.service.js';
import { ArchiveStores } from '../platform/storage/archive-stores.js';
import { type StoreChange, StoreIdentities, type StoreName, type StoreState } from '../platform/storage/store-identities.js';

/** What is known of the stores, and the operator's word that another one is meant. */
@Injectable()
export class StoreAcceptance {
  constructor(
    private readonly stores: ArchiveStores,
    private readonly identities: StoreIdentities,
    private readonly audit: AuditService,
  ) {}

  get names(): readonly StoreName[] {
    return [null, ...this.stores.names];
  }

  /** @throws AppError STORAGE_UNAVAILABLE, STORE_CHANGED for an identity that cannot be read */
  state(name: StoreName): Promise<StoreState> {
    return this.identities.state(name);
  }

  /** @param found what `state` said of it: nothing is accepted that nobody has seen. @throws AppError STORE_CHANGED where it is another one by now */
  accept(name: StoreName, found: string | null): Promise<StoreChange> {
    return this.identities.accept(name, found, ({ from, to }, manager) =>
      this.audit.record({ action: 'store.accepted', tenantId: null, actor: null, subject: { type: 'Store', id: name ?? 'main' }, detail: { from, to, hadIdentity: found !== null } }, manager),
    );
  }
}
