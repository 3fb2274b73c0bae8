import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountDirectory } from '../platform/auth/account-directory.js';
import { AddressGate } from '../platform/auth/address-gate.js';
import { EventsModule } from '../platform/events/events.module.js';
import { AccessGuard } from './access.guard.js';
import { AccessRepository } from './access.repository.js';
import { AccessService } from './access.service.js';
import { AccountEntity } from './account.entity.js';
import { AccountsRepository } from './accounts.repository.js';
import { AccountsResolver } from './accounts.resolver.js';
import { AccountsService } from './accounts.service.js';
import { LoginLimiter } from './login-limiter.js';
import { MemberEntity } from './member.entity.js';
import { MembersRepository } from './members.repository.js';
import { MembersResolver } from './members.resolver.js';
import { MembersService } from './members.service.js';

/** Who may do what. Global, because every feature asks. */
@Global()
@Module({
  imports: [TypeOrmModule.forFeature([AccountEntity, MemberEntity]), EventsModule],
  providers: [
    AccessRepository,
    AccessService,
    AccountsRepository,
    AccountsResolver,
    AccountsService,
    LoginLimiter,
    MembersRepository,
    MembersResolver,
    MembersService,
    { provide: AccountDirectory, useExisting: AccountsService },
    { provide: AddressGate, useExisting: AccessService },
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [AccessService, AccountDirectory, AddressGate, LoginLimiter, MembersService],
})
export class AccessModule {}
