import { Module } from '@nestjs/common';
import { EventsModule } from '../platform/events/events.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { AddressRulesRepository } from './address-rules.repository.js';
import { AddressRulesResolver } from './address-rules.resolver.js';
import { AddressRulesService } from './address-rules.service.js';

/** Who may change from where a workspace is used; what the rules say is asked by `src/access`. */
@Module({
  imports: [EventsModule, TenantsModule],
  providers: [AddressRulesRepository, AddressRulesResolver, AddressRulesService],
})
export class AddressRulesModule {}
