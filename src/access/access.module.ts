import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountDirectory } from '../platform/auth/account-directory.js';
import { AccessGuard } from './access.guard.js';
import { AccessRepository } from './access.repository.js';
import { AccessService } from './access.service.js';
import { AccountEntity } from './account.entity.js';
import { AccountsRepository } from './accounts.repository.js';
import { AccountsResolver } from './accounts.resolver.js';
import { AccountsService } from './accounts.service.js';
import { LoginLimiter } from './login-limiter.js';
import { MemberEntity } from './member.entity.js';

/** Who may do what. Global, because every feature asks. */
@Global()
@Module({
  imports: [TypeOrmModule.forFeature([AccountEntity, MemberEntity])],
  providers: [
    AccessRepository,
    AccessService,
    AccountsRepository,
    AccountsResolver,
    AccountsService,
    LoginLimiter,
    { provide: AccountDirectory, useExisting: AccountsService },
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [AccessService, AccountDirectory],
})
export class AccessModule {}
