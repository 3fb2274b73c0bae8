import { Module, type OnModuleInit } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ApprovalsModule } from '../approvals/approvals.module.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { AnnouncementsModule } from '../announcements/announcements.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { ClassesModule } from '../classes/classes.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { MailModule } from '../platform/mail/mail.module.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { RestoreModule } from '../restore/restore.module.js';
import { SmsModule } from '../sms/sms.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { ResetChannels } from './reset-channels.js';
import { ResetCodeSecrets } from './reset-code.js';
import { ResetCodesService } from './reset-codes.js';
import { ResetProgress } from './reset-progress.js';
import { ResetSweep } from './reset-sweep.js';
import { ResetCodeEntity, ResetEntity } from './reset.entity.js';
import { ResetHandler } from './reset.handler.js';
import { ResetsRepository } from './resets.repository.js';
import { ResetsResolver } from './resets.resolver.js';
import { ResetsService } from './resets.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([ResetCodeEntity, ResetEntity]), AnnouncementsModule, ApprovalsModule, BackupsModule, ClassesModule, EncryptionModule, MailModule, OperationsModule, PoliciesModule, RestoreModule, SmsModule, TenantsModule],
  providers: [ResetChannels, ResetCodeSecrets, ResetCodesService, ResetHandler, ResetProgress, ResetsRepository, ResetsResolver, ResetsService, ResetSweep],
})
export class ResetModule implements OnModuleInit {
  constructor(
    private readonly approvals: ApprovalsService,
    private readonly resets: ResetsService,
  ) {}

  onModuleInit(): void {
    this.approvals.register({ action: 'RESET', subjectType: 'Reset', describe: (actor, id) => this.resets.describe(actor, id) });
  }
}
