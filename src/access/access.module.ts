import { Global, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccessGuard } from './access.guard.js';
import { AccessRepository } from './access.repository.js';
import { AccessService } from './access.service.js';
import { MemberEntity } from './member.entity.js';

/** Who may do what. Global, because every feature asks. */
@Global()
@Module({
  imports: [TypeOrmModule.forFeature([MemberEntity])],
  providers: [AccessRepository, AccessService, { provide: APP_GUARD, useClass: AccessGuard }],
  exports: [AccessService],
})
export class AccessModule {}
